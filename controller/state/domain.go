package state

import (
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
)

// Domain is a name in DNS that policies allow, with the addresses that it has for Pods.
type Domain struct {
	Name      string // as DomainName makes it
	Addresses []netip.Addr
}

func (d *Domain) equal(o *Domain) bool {
	return d.Name == o.Name && slices.Equal(d.Addresses, o.Addresses)
}

// DomainName is a name as DNS compares it: in lower case, with the dot at its end.
func DomainName(text string) string { return strings.ToLower(strings.TrimSuffix(text, ".")) + "." }

// DomainKey is the name of the object for a name in DNS, which may have letters that no object's name has.
func DomainKey(name string) string {
	sum := sha256.Sum256([]byte(name))
	return "dns-" + hex.EncodeToString(sum[:10])
}

// DomainSet is the address set of a name.
func DomainSet(kind SetKind, name string) string { return SetName(kind, "domain "+name) }

// Domain returns the Domain under that key, nil when there is none.
func (v *View) Domain(key string) *Domain { return v.store.Domains.get(v, key) }
