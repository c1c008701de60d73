package v1

import (
	"fmt"
	"math/big"
)

// maxBigIntText bounds the text that BigInt reads. 2^128, the number of IPv6 addresses, has 39 digits; the
// bound keeps "1e999999999" from becoming a number of a gigabyte.
const maxBigIntText = 64

// BigInt is a count of addresses, as a bare JSON number of any size: an IPv6 Subnet has up to 2^127 of them,
// more than int64 holds. The zero value is 0.
//
// Heddle writes every digit. The API server keeps numbers above 2^63 as float64, however, so what is read
// back may be rounded after 15 digits and may come in exponent form, which is read as well. That is also
// why the schema says "number" and not "integer": the API server refuses a float64 beyond 2^53 as an integer.
//
// +kubebuilder:validation:Type=number
type BigInt struct {
	// value is nil for 0, so that two equal BigInts are also deeply equal.
	value *big.Int
}

// NewBigInt gives n as a BigInt.
func NewBigInt(n int64) BigInt {
	return BigIntFrom(big.NewInt(n))
}

// BigIntFrom gives a copy of n; nil is 0.
func BigIntFrom(n *big.Int) BigInt {
	if n == nil || n.Sign() == 0 {
		return BigInt{}
	}
	return BigInt{value: new(big.Int).Set(n)}
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

// DeepCopyInto copies the number, so that no two BigInts share memory.
func (b *BigInt) DeepCopyInto(out *BigInt) {
	*out = BigIntFrom(b.value)
}

// DeepCopy gives a copy that shares no memory with b.
func (b *BigInt) DeepCopy() *BigInt {
	if b == nil {
		return nil
	}
	out := BigIntFrom(b.value)
	return &out
}

// parseWhole reads a whole number in any JSON notation ("18", "1.8e1").
func parseWhole(text string) (*big.Int, error) {
	f, _, err := big.ParseFloat(text, 10, 256, big.ToNearestEven)
	if len(text) > maxBigIntText || err != nil || !f.IsInt() || f.MantExp(nil) > 256 {
		return nil, fmt.Errorf("count of addresses: %.*q is not a whole number below 2^256", maxBigIntText, text)
	}
	n, _ := f.Int(nil)
	return n, nil
}
