package ipam

import (
	"fmt"
	"net/netip"
	"strings"
)

// ConflictError says that another owner holds the address (or the MAC, then Addr is not valid).
type ConflictError struct {
	Addr   netip.Addr
	MAC    MAC
	Holder string
}

func (e *ConflictError) Error() string {
	if e.MAC != (MAC{}) {
		return fmt.Sprintf("MAC %s is held by %s", e.MAC, e.Holder)
	}
	return fmt.Sprintf("%s is held by %s", e.Addr, e.Holder)
}

// ExhaustedError says that no address of the family is free.
type ExhaustedError struct {
	Family Family
	CIDR   netip.Prefix
}

func (e *ExhaustedError) Error() string {
	return fmt.Sprintf("no free %s address in %s", e.Family, e.CIDR)
}

// OutsideError says that the address is in none of the Subnet's CIDRs.
type OutsideError struct {
	Addr  netip.Addr
	CIDRs []netip.Prefix
}

func (e *OutsideError) Error() string {
	cidrs := make([]string, len(e.CIDRs))
	for i, c := range e.CIDRs {
		cidrs[i] = c.String()
	}
	return fmt.Sprintf("%s is outside of %s", e.Addr, strings.Join(cidrs, " and "))
}

// ReservedError says that the address cannot be given to anybody; Use is "gateway", "network address" and so on.
type ReservedError struct {
	Addr netip.Addr
	Use  string
}

func (e *ReservedError) Error() string {
	if e.Use == useNode {
		return fmt.Sprintf("%s is the address of a node", e.Addr)
	}
	return fmt.Sprintf("%s is the subnet's %s", e.Addr, e.Use)
}

// RequestError says that the request makes no sense in this Subnet, whoever holds what.
type RequestError struct{ Text string }

func (e *RequestError) Error() string { return e.Text }

var errNoOwner = &RequestError{"no owner"}
