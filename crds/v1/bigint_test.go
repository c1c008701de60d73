package v1

import (
	"encoding/json"
	"math/big"
	"reflect"
	"strings"
	"testing"

	utiljson "k8s.io/apimachinery/pkg/util/json"
)

func TestBigIntJSON(t *testing.T) {
	for _, test := range []struct{ in, out string }{
		{"0", "0"},
		{"null", "0"},
		{"65533", "65533"},
		{"9223372036854775807", "9223372036854775807"},
		{"18446744073709551614", "18446744073709552000"},
		{"18446744073709552000", "18446744073709552000"},
		{"340282366920938463463374607431768211456", "340282366920938500000000000000000000000"},
		{"1.8446744073709552e+19", "18446744073709552000"},
		{"5.192296858534828e+33", "5192296858534828000000000000000000"},
		{"-1", "-1"},
	} {
		var n BigInt
		if err := json.Unmarshal([]byte(test.in), &n); err != nil {
			t.Errorf("%s: %v", test.in, err)
			continue
		}
		if out, err := json.Marshal(n); err != nil || string(out) != test.out {
			t.Errorf("%s: got %s (%v), want %s", test.in, out, err, test.out)
		}
	}
}

func TestBigIntRefused(t *testing.T) {
	for _, in := range []string{"1.5", "1e400", "1e999999999", "1e-3", `"3"`, "{}", "true", strings.Repeat("9", 65)} {
		n := NewBigInt(7)
		err := json.Unmarshal([]byte(in), &n)
		if err == nil || !strings.Contains(err.Error(), "is not a whole number below 2^256") {
			t.Errorf("%s: read as %s, error %v", in, n, err)
		}
	}
}

// TestBigIntIsAValue: equal numbers are deeply equal however they came about, and copies share nothing.
func TestBigIntIsAValue(t *testing.T) {
	var read BigInt
	if err := json.Unmarshal([]byte("0"), &read); err != nil {
		t.Fatal(err)
	}
	difference := new(big.Int).Sub(big.NewInt(1<<40), big.NewInt(1<<40))
	for _, zero := range []BigInt{{}, read, NewBigInt(0), BigIntFrom(nil), BigIntFrom(difference)} {
		if !reflect.DeepEqual(zero, BigInt{}) || !zero.Equal(BigInt{}) {
			t.Errorf("%#v is not the zero value", zero)
		}
	}
	source := big.NewInt(5)
	n := BigIntFrom(source)
	copied := n.DeepCopy()
	source.SetInt64(6)
	n.Int().SetInt64(7)
	if n.String() != "5" || copied.String() != "5" || !reflect.DeepEqual(n, *copied) || n.Equal(NewBigInt(6)) {
		t.Errorf("5 became %s, its copy %s", n, copied)
	}
}

// TestBigIntIsStable: what is made of a number is what the API server, which goes by float64, gives back.
func TestBigIntIsStable(t *testing.T) {
	for bits := range uint(129) {
		n := new(big.Int).Lsh(big.NewInt(1), bits)
		made := BigIntFrom(n.Sub(n, big.NewInt(3)))
		stored, err := json.Marshal(storedNumber(t, made))
		if err != nil {
			t.Fatal(err)
		}
		var read BigInt
		if err := json.Unmarshal(stored, &read); err != nil || !reflect.DeepEqual(read, made) {
			t.Errorf("2^%d-3: made %s, read %s (%v) from %s", bits, made, read, err, stored)
		}
	}
}

// storedNumber is what the API server's decoder makes of a number: an int64 where it fits, else a float64.
func storedNumber(t *testing.T, n BigInt) any {
	t.Helper()
	var stored map[string]any
	if err := utiljson.Unmarshal([]byte(`{"n":`+n.String()+`}`), &stored); err != nil {
		t.Fatal(err)
	}
	return stored["n"]
}
