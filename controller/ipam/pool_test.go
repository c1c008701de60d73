package ipam

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
)

func newPool(t testing.TB, cidrs ...string) *Pool {
	t.Helper()
	var c Config
	for _, cidr := range cidrs {
		c.CIDRs = append(c.CIDRs, netip.MustParsePrefix(cidr))
	}
	p, err := NewPool(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func mustAcquire(t testing.TB, p *Pool, owner string) Lease {
	t.Helper()
	l, err := p.Acquire(owner, Request{})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestChurnInALargeSubnet lets Pods come and go in subnets that are never full. What the pool remembers must be bounded,
// and an address must still come back late.
func TestChurnInALargeSubnet(t *testing.T) {
	p := newPool(t, "10.0.0.0/8", "fd00::/64")
	first := mustAcquire(t, p, "first")
	p.Release("first")
	mustAcquire(t, p, "stays")
	for i := range 2*queueLimit + 10 {
		l := mustAcquire(t, p, "pod")
		if i < queueLimit-1 && (l.V4 == first.V4 || l.V6 == first.V6) {
			t.Fatalf("%v comes back after %d releases", first, i)
		}
		p.Release("pod")
	}
	for _, f := range p.families {
		if len(f.released.ring) > queueLimit || len(f.released.serial) > queueLimit {
			t.Errorf("%s: %d released addresses are remembered", f.cidr, len(f.released.ring))
		}
		if ranges := slices.Collect(f.fresh.All()); len(ranges) > 3 {
			t.Errorf("%s: %d fresh ranges", f.cidr, len(ranges))
		}
	}
	checkInvariants(t, "churn", p)
}

// TestStaticChurn has one owner come and go with a static address that is always in the queue.
func TestStaticChurn(t *testing.T) {
	p := newPool(t, "10.0.0.0/16")
	for range 1000 {
		if _, err := p.Acquire("web-0.default", Request{Static: []netip.Addr{netip.MustParseAddr("10.0.7.7")}}); err != nil {
			t.Fatal(err)
		}
		p.Release("web-0.default")
	}
	if n := len(p.families[IPv4].released.ring); n != 1 {
		t.Errorf("%d entries in the queue for one released address", n)
	}
}

// TestNoOwner: "" means nobody in Holder.
func TestNoOwner(t *testing.T) {
	p := newPool(t, "10.0.0.0/24")
	if _, err := p.Acquire("", Request{}); err == nil {
		t.Error("nobody acquired an address")
	}
	if err := p.Hold("", []netip.Addr{netip.MustParseAddr("10.0.0.5")}, ""); err == nil {
		t.Error("nobody holds an address")
	}
}

// TestConcurrentUse is for the race detector, and for uniqueness under contention: 40 owners, 29 addresses.
func TestConcurrentUse(t *testing.T) {
	m := New()
	base := Config{CIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/27"), netip.MustParsePrefix("fd00::/64")}}
	moved := base
	moved.Exclude = []Range{single(netip.MustParseAddr("10.0.0.9"))}
	if _, err := m.Apply("blue", base); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			p, _ := m.Pool("blue")
			for i := range 500 {
				owner := fmt.Sprint("pod-", (w*5+i%5)%40)
				if l, err := p.Acquire(owner, Request{}); err == nil && p.Holder(l.V4) != owner {
					t.Errorf("%s is held by %s, not by %s", l.V4, p.Holder(l.V4), owner)
				}
				switch i % 4 {
				case 0:
					p.Status()
				case 1:
					if _, err := m.Apply("blue", []Config{base, moved}[i/4%2]); err != nil {
						t.Error(err)
					}
				default:
					p.Release(owner)
				}
			}
		})
	}
	wg.Wait()
	p, _ := m.Pool("blue")
	checkInvariants(t, "concurrent use", p)
}

func TestIPAM(t *testing.T) {
	m := New()
	blue := Config{CIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")}}
	if _, err := m.Apply("red", Config{}); err == nil {
		t.Error("a subnet without CIDR has a pool")
	}
	p, err := m.Apply("blue", blue)
	if err != nil {
		t.Fatal(err)
	}
	mustAcquire(t, p, "a")
	again, err := m.Apply("blue", blue)
	if err != nil || again != p {
		t.Errorf("applied again: %p, %v; want the pool %p", again, err, p)
	}
	if _, ok := again.Lease("a"); !ok {
		t.Error("a lost its lease")
	}
	if got := m.Subnets(); !slices.Equal(got, []string{"blue"}) {
		t.Errorf("subnets %v", got)
	}
	m.Delete("blue")
	if _, ok := m.Pool("blue"); ok {
		t.Error("a deleted subnet has a pool")
	}
}

// TestConfigIsCopied: the caller may reuse its slices.
func TestConfigIsCopied(t *testing.T) {
	c := Config{CIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")}, Exclude: []Range{single(netip.MustParseAddr("10.0.0.1"))}}
	p, err := NewPool(c)
	if err != nil {
		t.Fatal(err)
	}
	c.Exclude[0] = single(netip.MustParseAddr("10.0.0.2"))
	if err := p.Reconfigure(c); err != nil {
		t.Fatal(err)
	}
	if l := mustAcquire(t, p, "a"); l.V4.String() != "10.0.0.1" {
		t.Errorf("a has %s: the change of the config went unseen", l.V4)
	}
	c.Exclude[0] = single(netip.MustParseAddr("10.0.0.3"))
	if err := p.Reconfigure(c); err != nil {
		t.Fatal(err)
	}
	if l := mustAcquire(t, p, "b"); l.V4.String() != "10.0.0.2" {
		t.Errorf("b has %s: the second change went unseen", l.V4)
	}
}

// TestAlternativeMACs: pickMAC ends because there are more of them than owners, and none is a multicast address.
func TestAlternativeMACs(t *testing.T) {
	seen := map[MAC]uint32{}
	for _, n := range []uint32{0, 1, 255, 256, 257, 65535, 65536, 1 << 24, 1<<32 - 1} {
		mac := DefaultMAC(netip.MustParseAddr("10.16.0.2"), netip.Addr{}).alternative(n)
		if was, twice := seen[mac]; twice {
			t.Errorf("%s comes as %d and as %d", mac, was, n)
		}
		if _, err := ParseMAC(mac.String()); err != nil {
			t.Error(err)
		}
		seen[mac] = n
	}
}

// FuzzParseMAC compares with net.ParseMAC, which pure code may not import.
func FuzzParseMAC(f *testing.F) {
	for _, s := range []string{"0a:58:0a:10:00:02", "0A-58-0a-10-00-02", "0a58.0a10.0002", "0a580a100002", "01:00:5e:00:00:01", "0a:58:0a:10:00:02:03:04", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want, err := net.ParseMAC(s)
		usable := err == nil && len(want) == 6 && want[0]&1 == 0 && !bytes.Equal(want, make([]byte, 6))
		got, err := ParseMAC(s)
		if (err == nil) != usable || usable && got.String() != want.String() {
			t.Fatalf("%q reads as %s, %v; net has %s", s, got, err, want)
		}
	})
}
