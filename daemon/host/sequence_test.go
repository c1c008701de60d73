package host

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// randomInput is any input, sensible or not.
func randomInput(rnd *rand.Rand) Input {
	pick := func(from ...string) string { return from[rnd.IntN(len(from))] }
	in := Input{
		IP:      pick("100.64.0.2", "100.64.0.3,fd00:100:64::3", "fd00:100:64::2", "100.64.0.2,fd00:100:64::2", "", "nonsense"),
		MAC:     pick("0a:58:64:40:00:02", "0a:58:64:40:00:03", ""),
		CIDR:    pick("100.64.0.0/16,fd00:100:64::/112", "100.64.0.0/16,fd00:100:64::/112", "100.64.0.0/24", "100.65.0.0/16"),
		Gateway: pick("100.64.0.1,fd00:100:64::1", "100.64.0.1,fd00:100:64::1", "100.64.0.9", ""),
	}
	cidrs := []string{
		"10.16.0.0/16,fd00:10:16::/112", "10.16.4.0/24", "10.17.0.0/24", "10.18.0.0/16,fd00:10:18::/112", "10.0.0.0/8", "fd00:10:19::/112",
	}
	for i, cidr := range cidrs {
		if rnd.IntN(2) == 0 {
			in.Subnets = append(in.Subnets, Subnet{Name: fmt.Sprint("s", i), CIDR: cidr, NATOutgoing: rnd.IntN(2) == 0})
		}
	}
	in.OwnIPs, in.Services = []string{"192.0.2.1", "2001:db8:1::1"}, randomServices(rnd)
	for i := range 4 {
		if rnd.IntN(2) == 0 {
			in.NodeIPs = append(in.NodeIPs, fmt.Sprintf("192.0.2.%d", i+1), fmt.Sprintf("2001:db8:1::%d", i+1))
		}
	}
	return in
}

func randomServices(rnd *rand.Rand) []*Service {
	var out []*Service
	for i := range rnd.IntN(6) {
		s := &Service{Name: fmt.Sprint("default/s", i), Local: rnd.IntN(2) == 0, Affinity: int32(rnd.IntN(3) * 30)}
		if rnd.IntN(2) == 0 {
			s.ExternalIPs = []netip.Addr{netip.MustParseAddr("198.51.100.80"), netip.MustParseAddr("2001:db8:2::80")}
		}
		if rnd.IntN(2) == 0 {
			s.Ingress = []netip.Addr{netip.MustParseAddr("203.0.113.1")}
			s.SourceRanges = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("10.0.0.0/8")}[rnd.IntN(2):]
		}
		for j, vip := range []string{"10.96.0.%d", "fd00:10:96::%d"} {
			if j == 1 && s.Affinity > 0 {
				continue // nft 1.0.6 of Debian 12 cannot write the rule that remembers IPv6 clients
			}
			addr := netip.MustParseAddr(fmt.Sprintf(vip, i+10))
			p := ServicePort{
				VIP: netip.AddrPortFrom(addr, 80), Protocol: []string{"tcp", "udp", "sctp"}[rnd.IntN(3)],
				NodePort: uint16(30000 + i), Live: rnd.IntN(4) > 0,
			}
			for e := range rnd.IntN(4) {
				at := netip.AddrPortFrom(netip.MustParseAddr([]string{"10.16.0.5", "fd00:10:16::5"}[j]), uint16(8080+e))
				p.Pick, p.Here = append(p.Pick, at), append(p.Here, at)
			}
			if rnd.IntN(4) == 0 {
				p.Own = p.Pick
			}
			s.Ports = append(s.Ports, p)
		}
		out = append(out, s)
	}
	return out
}

// nothingToDo asks a kernel of our own whether the node is as this input wants it.
func (r *rig) nothingToDo(in Input) bool {
	k, err := openKernel(r.ovs)
	if err != nil {
		r.t.Fatal(err)
	}
	defer k.close()
	f, err := k.facts(r.t.Context(), r.cfg, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	want := Compile(r.cfg, &in, f)
	have, err := k.observe(r.t.Context(), want)
	if err != nil {
		r.t.Fatal(err)
	}
	p := MakePlan(have, want)
	return p.Empty() && len(p.Waiting) == 0
}

func (r *rig) dump() string {
	_, addrs, _ := strings.Cut(r.node.MustExec("", "ip", "addr", "show", "dev", "ovn0", "scope", "global"), "\n") // no index
	return addrs + r.node.MustExec("", "ip", "route") +
		r.node.MustExec("", "ip", "-6", "route", "show", "proto", "72") + r.dumpTable()
}

// dumpTable is in the order of names: nft lists chains as they were made, and calls a port after what it thinks that it knows.
func (r *rig) dumpTable() string {
	text := strings.ReplaceAll(r.node.MustExec("", "nft", "-s", "list", "table", "inet", "heddle"), "tcp dport", "th dport")
	_, text, _ = strings.Cut(text, "{\n")
	blocks := strings.Split(strings.TrimSuffix(text, "}\n"), "\n\n")
	for i := range blocks {
		blocks[i] = strings.TrimSpace(blocks[i])
	}
	slices.Sort(blocks)
	return strings.Join(blocks, "\n")
}

// TestSequences gives sequences of inputs, forward and backward, each step settled or squashed with the next, with restarts
// between; whatever came before, the end is that of a node that has only ever had the last input.
func TestSequences(t *testing.T) {
	r := newRig(t, DatapathNetdev)
	for seed := range uint64(5) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		inputs := make([]Input, 6)
		for i := range inputs {
			inputs[i] = randomInput(rnd)
		}
		last := randomInput(rnd)
		last.MAC = "0a:58:64:40:00:02" // without one, the MAC address is not managed and stays as it was
		first := r.play(rnd, append(slices.Clone(inputs), last))
		slices.Reverse(inputs)
		if second := r.play(rnd, append(inputs, last)); second != first {
			t.Fatalf("seed %d: after one sequence\n%s\nafter its reverse\n%s", seed, first, second)
		}
		if err := New(r.cfg).Teardown(t.Context()); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if fresh := r.play(rnd, []Input{last}); fresh != first {
			t.Fatalf("seed %d, input %+v: after a sequence\n%s\nfresh\n%s", seed, last, first, fresh)
		}
	}
}

// play gives one input after the other and returns the state at the end.
func (r *rig) play(rnd *rand.Rand, inputs []Input) string {
	r.t.Helper()
	h, stop := r.start(&inputs[0])
	for i, in := range inputs {
		if rnd.IntN(4) == 0 {
			stop()
			h, stop = r.start(&in)
		}
		h.Update(in)
		if i == len(inputs)-1 || rnd.IntN(2) == 0 {
			r.until(fmt.Sprintf("settled with %+v", in), func() bool { return r.nothingToDo(in) })
		}
	}
	stop()
	return r.dump()
}
