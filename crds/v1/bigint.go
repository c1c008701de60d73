package v1

import (
	"fmt"
	"math/big"
	"strconv"
)

// maxBigIntText bounds the text that BigInt reads. 2^128, the number of IPv6 addresses, has 39 digits; the
// bound keeps "1e999999999" from becoming a number of a gigabyte.
const maxBigIntText = 64

// BigInt is a count of addresses, as a bare JSON number of any size: an IPv6 Subnet has up to 2^127 of them,
// more than int64 holds. The zero value is 0.
//
// The API server keeps a number that does not fit in int64 as float64. BigInt rounds such a number to the same
// 17 digits when it is made, so that what is written and what is read back are equal, and a status that did not
// change is not written again. Count with big.Int; make a BigInt at the end. Two BigInts of one number are deeply
// equal.
//
// The schema says "number" and not "integer" because the API server refuses a float64 above 2^53 as an integer.
//
// +kubebuilder:validation:Type=number
type BigInt struct {
	// value is nil for 0, and never changes.
	value *big.Int
}

// NewBigInt gives n as a BigInt.
func NewBigInt(n int64) BigInt {
	return BigIntFrom(big.NewInt(n))
}

// BigIntFrom gives n as a BigInt, rounded as the type's doc says; nil is 0.
func BigIntFrom(n *big.Int) BigInt {
	switch {
	case n == nil || n.Sign() == 0:
		return BigInt{}
	case n.IsInt64():
		return BigInt{value: new(big.Int).Set(n)}
	default:
		return BigInt{value: asStored(n)}
	}
}

// asStored rounds as the API server does: to the shortest decimal number that stands for the same float64.
func asStored(n *big.Int) *big.Int {
	nearest, _ := new(big.Float).SetInt(n).Float64()
	decimal, _ := new(big.Rat).SetString(strconv.FormatFloat(nearest, 'e', -1, 64))
	return new(big.Int).Set(decimal.Num())
}

// Int gives a copy of the number.
func (b BigInt) Int() *big.Int {
	if b.value == nil {
		return new(big.Int)
	}
	return new(big.Int).Set(b.value)
}

// Equal says whether both are the same number.
func (b BigInt) Equal(other BigInt) bool {
	return b.Int().Cmp(other.Int()) == 0
}

// String gives the decimal digits.
func (b BigInt) String() string {
	return b.Int().String()
}

// MarshalJSON writes all digits, without quotes and without an exponent.
func (b BigInt) MarshalJSON() ([]byte, error) {
	return []byte(b.String()), nil
}

// UnmarshalJSON reads a JSON number; fractions are an error, null is 0.
func (b *BigInt) UnmarshalJSON(data []byte) error {
	text := string(data)
	if text == "null" {
		*b = BigInt{}
		return nil
	}
	n, err := parseWhole(text)
	if err != nil {
		return err
	}
	*b = BigIntFrom(n)
	return nil
}

// DeepCopyInto makes out the same number.
func (b *BigInt) DeepCopyInto(out *BigInt) {
	*out = *b
}

// DeepCopy gives the same number.
func (b *BigInt) DeepCopy() *BigInt {
	if b == nil {
		return nil
	}
	out := *b
	return &out
}

// parseWhole reads a whole number in any JSON notation ("18", "1.8e1").
func parseWhole(text string) (*big.Int, error) {
	if len(text) <= maxBigIntText {
		f, _, err := big.ParseFloat(text, 10, 256, big.ToNearestEven)
		if err == nil && f.IsInt() && f.MantExp(nil) <= 256 {
			n, _ := f.Int(nil)
			return n, nil
		}
	}
	return nil, fmt.Errorf("count of addresses: %.*q is not a whole number below 2^256", maxBigIntText, text)
}
