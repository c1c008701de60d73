package ipam

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
)

// tape turns bytes into operations.
type tape struct{ bytes []byte }

func (d *tape) byte() byte {
	if len(d.bytes) == 0 {
		return 0
	}
	b := d.bytes[0]
	d.bytes = d.bytes[1:]
	return b
}

func (d *tape) pick(n int) int { return int(d.byte()) % n }

func (d *tape) owner() string { return string(rune('a' + d.pick(12))) }

// addr is in the CIDR or one off its ends.
func (d *tape) addr(f Family) netip.Addr {
	base := netip.MustParseAddr("9.255.255.255")
	if f == IPv6 {
		base = netip.MustParseAddr("fcff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")
	}
	return plus(base, uint64(d.pick(18)))
}

func (d *tape) mac() string {
	switch d.pick(4) {
	case 0:
		return fmt.Sprintf("02:00:00:00:00:%02x", d.pick(8))
	case 1:
		return fmt.Sprintf("0a:%02x:0a:00:00:%02x", 0x58+d.pick(2), d.pick(16))
	}
	return ""
}

func (d *tape) addrs() (addrs []netip.Addr) {
	for range d.pick(3) {
		addrs = append(addrs, d.addr(Family(d.pick(2))))
	}
	return addrs
}

func (d *tape) config() Config {
	var c Config
	shape := d.pick(8)
	if shape != 0 {
		c.CIDRs = append(c.CIDRs, netip.MustParsePrefix("10.0.0.0/28"))
		c.Gateways = append(c.Gateways, plus(c.CIDRs[0].Addr(), uint64(1+d.pick(14))))
	}
	if shape == 0 || shape > 2 {
		c.CIDRs = append(c.CIDRs, netip.MustParsePrefix("fd00::/124"))
	}
	for range d.pick(3) {
		f := Family(d.pick(2))
		r := Range{First: d.addr(f), Last: d.addr(f)}
		if r.Last.Less(r.First) {
			r.First, r.Last = r.Last, r.First
		}
		c.Exclude = append(c.Exclude, r)
	}
	return c
}

// replay runs the operations on a Pool and on the model, which must agree after each.
func replay(t *testing.T, bytes []byte) {
	d := &tape{bytes}
	config := d.config()
	p, err := NewPool(config)
	if err != nil {
		t.Fatal(err)
	}
	m := &model{config: config, leases: map[string]Lease{}}
	for len(d.bytes) > 0 {
		step := operate(t, d, p, m)
		compare(t, step, p, m)
		checkInvariants(t, step, p)
	}
}

func operate(t *testing.T, d *tape, p *Pool, m *model) string {
	switch op := d.pick(16); {
	case op == 0:
		c := d.config()
		step := fmt.Sprintf("reconfigure %v", c)
		if err, ok := p.Reconfigure(c), m.reconfigure(c); (err == nil) != ok {
			t.Fatalf("%s: %v, want success %v", step, err, ok)
		}
		return step
	case op < 4:
		owner, addrs, mac := d.owner(), d.addrs(), d.mac()
		step := fmt.Sprintf("hold %s %v %s", owner, addrs, mac)
		if err, failed := p.Hold(owner, addrs, mac), m.hold(owner, addrs, mac); (err != nil) != failed {
			t.Fatalf("%s: %v, want failure %v", step, err, failed)
		}
		return step
	case op < 8:
		owner := d.owner()
		_, held := m.leases[owner]
		if got := p.Release(owner); got != held {
			t.Fatalf("release %s: %v", owner, got)
		}
		m.set(owner, Lease{})
		return "release " + owner
	default:
		owner, req := d.owner(), Request{Static: d.addrs(), MAC: d.mac()}
		req.Families = [][]Family{nil, nil, {}, {IPv4}, {IPv6}, {IPv4, IPv6}}[d.pick(6)]
		step := fmt.Sprintf("acquire %s %v", owner, req)
		got, err := p.Acquire(owner, req)
		want, failure := m.acquire(owner, req)
		if got != want || kind(err) != failure {
			t.Fatalf("%s: %v %v, want %v %s", step, got, err, want, failure)
		}
		return step
	}
}

func kind(err error) string {
	if err == nil {
		return ""
	}
	return strings.TrimPrefix(fmt.Sprintf("%T", err), "*ipam.")
}

func compare(t *testing.T, step string, p *Pool, m *model) {
	t.Helper()
	status := p.Status()
	for f, s := range []FamilyStatus{status.V4, status.V6} {
		using, available := m.using(Family(f)), m.available(Family(f))
		if s.Using.String() != listing(using) || s.Using.Count().Int64() != int64(len(using)) {
			t.Fatalf("%s: using %s %s, want %s", step, s.Using.Count(), s.Using, listing(using))
		}
		if s.Available.String() != listing(available) || s.Available.Count().Int64() != int64(len(available)) {
			t.Fatalf("%s: available %s %s, want %s", step, s.Available.Count(), s.Available, listing(available))
		}
	}
	leases := p.Leases()
	if len(leases) != len(m.leases) {
		t.Fatalf("%s: leases %v, want %v", step, leases, m.leases)
	}
	for owner, l := range m.leases {
		if leases[owner] != l {
			t.Fatalf("%s: %s has %v, want %v", step, owner, leases[owner], l)
		}
	}
}

// checkInvariants tells whether the parts of a Pool agree, whatever its history.
func checkInvariants(t *testing.T, step string, p *Pool) {
	t.Helper()
	if err := invariants(p); err != nil {
		t.Fatalf("%s: %v", step, err)
	}
}

func invariants(p *Pool) error {
	macs := 0
	held := [2]int{}
	for owner, l := range p.leases {
		if l.MAC != (MAC{}) {
			macs++
			if p.macs[l.MAC] != l {
				return fmt.Errorf("MAC %s of %s is held by %v", l.MAC, owner, p.macs[l.MAC])
			}
		}
		for _, a := range l.Addrs() {
			f := p.families[FamilyOf(a)]
			held[FamilyOf(a)]++
			if f.holders[a] != l || l.owner != owner || p.Holder(a) != owner || !f.used.Contains(a) {
				return fmt.Errorf("%s of %s is held by %v", a, owner, f.holders[a])
			}
		}
	}
	if macs != len(p.macs) {
		return fmt.Errorf("%d MACs for %d leases with one", len(p.macs), macs)
	}
	for i, f := range p.families {
		if f == nil {
			continue
		}
		if err := f.invariants(held[i]); err != nil {
			return fmt.Errorf("%s: %w", Family(i), err)
		}
	}
	return nil
}

func (f *family) invariants(held int) error {
	if len(f.holders) != held || f.used.Count().Int64() != int64(held) {
		return fmt.Errorf("%d held, %d holders, %s used", held, len(f.holders), f.used.Count())
	}
	free := f.fresh.Clone()
	queued := 0
	for i, a := range f.released.ring {
		if !a.IsValid() {
			if i == 0 {
				return errors.New("the front of the queue is a hole")
			}
			continue
		}
		queued++
		if n, ok := f.released.serial[a]; !ok || n != f.released.base+uint64(i) || f.fresh.Contains(a) {
			return fmt.Errorf("queue: %s is misplaced", a)
		}
		free.Add(single(a))
	}
	if queued != len(f.released.serial) {
		return fmt.Errorf("queue: %d addresses, %d serials", queued, len(f.released.serial))
	}
	if got := f.available(&f.used); got.String() != free.String() {
		return fmt.Errorf("available %s, but fresh and released %s", got, free)
	}
	whole := NewSet(prefixRange(f.cidr))
	for _, s := range []*Set{free, &f.used, &f.excluded} {
		for r := range s.All() {
			whole.Remove(r)
		}
	}
	for a := range f.special {
		whole.Remove(single(a))
	}
	if whole.Count().Sign() != 0 {
		return fmt.Errorf("neither free nor used nor reserved: %s", whole)
	}
	for _, s := range []*Set{&f.fresh, &f.used} {
		left := s.Clone()
		left.Remove(prefixRange(f.cidr))
		if left.Count().Sign() != 0 {
			return fmt.Errorf("outside of the CIDR: %s", left)
		}
	}
	return errors.Join(wellFormed(&f.used), wellFormed(&f.fresh), wellFormed(&f.excluded))
}

func TestRandomOperations(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 0))
			bytes := make([]byte, 2000)
			for i := range bytes {
				bytes[i] = byte(rng.Uint32())
			}
			replay(t, bytes)
		})
	}
}

func FuzzPool(f *testing.F) {
	f.Add([]byte("\x05 a pool, two owners and a move"))
	f.Fuzz(func(t *testing.T, bytes []byte) {
		if len(bytes) < 1000 { // longer ones are slow and say no more
			replay(t, bytes)
		}
	})
}
