package controller

import (
	"slices"
	"testing"
)

func TestDatabaseAddresses(t *testing.T) {
	got, err := Database{Addr: "unix:/a,tcp:192.0.2.1:6641", Service: "x/y"}.endpoints(t.Context(), nil)
	if want := []string{"unix:/a", "tcp:192.0.2.1:6641"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	if _, err := (Database{Service: "none"}).endpoints(t.Context(), nil); err == nil {
		t.Error("a name without a namespace gives no error")
	}
}
