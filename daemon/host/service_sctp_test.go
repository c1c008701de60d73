package host

import (
	"net/netip"
	"testing"

	"github.com/heddle-net/heddle/ovs/ovstest/sctp"
)

// TestServiceSCTP asks at the node's frontends by SCTP, with packets made by hand: who answers, and whom did it see? The kernel's
// connection tracking knows SCTP, and its translation makes checksums right again.
func TestServiceSCTP(t *testing.T) {
	r, _, _, pods := newServiceRigOf(t, sctpInput())
	for _, at := range []string{"10.96.0.10:80", "[fd00:10:96::10]:80", "10.16.0.5:8080", "[fd00:10:16::5]:8080"} {
		r.serveSCTP(pods, at)
	}
	for _, c := range []struct{ what, netns, from, to, want string }{
		{"NodePort, policy Cluster", r.outside, "198.51.100.10", "192.0.2.1:30080", "10.96.0.10:80 100.64.0.2"},
		{"NodePort, policy Cluster", r.outside, "2001:db8:2::10", "[2001:db8:1::1]:30080", "[fd00:10:96::10]:80 fd00:100:64::2"},
		{"external address", r.outside, "198.51.100.10", "203.0.113.80:80", "10.96.0.10:80 100.64.0.2"},
		{"policy Local", r.outside, "198.51.100.10", "192.0.2.1:30082", "10.16.0.5:8080 198.51.100.10"},
		{"policy Local", r.outside, "2001:db8:2::10", "[2001:db8:1::1]:30082", "[fd00:10:16::5]:8080 2001:db8:2::10"},
		{"policy Local, endpoints elsewhere", r.outside, "198.51.100.10", "192.0.2.1:30083", "nothing"},
		{"affinity", r.outside, "198.51.100.10", "192.0.2.1:30084", "10.16.0.5:8080 100.64.0.2"},
		{"affinity, remembered", r.outside, "198.51.100.10", "192.0.2.1:30084", "10.16.0.5:8080 100.64.0.2"},
		{"NodePort from the node", "", "", "192.0.2.1:30080", "10.96.0.10:80 100.64.0.2"},
		{"a port of no Service", r.outside, "198.51.100.10", "192.0.2.1:30099", "nothing"},
	} {
		if got := saySCTP(c.netns, c.from, c.to); got != c.want {
			t.Errorf("%s: from %q to %s: %s, want %s", c.what, c.from, c.to, got, c.want)
		}
	}
	if !r.has("sctp", "nft", "list", "map", "inet", "heddle", "affinity-v4") {
		t.Error("the client of SCTP is not remembered")
	}
}

// sctpInput has the Services of serviceInput with SCTP alone.
func sctpInput() Input {
	in := serviceInput()
	for _, s := range in.Services {
		var list []ServicePort
		for _, p := range s.Ports {
			if p.Protocol == "tcp" {
				p.Protocol = "sctp"
				list = append(list, p)
			}
		}
		s.Ports = list
		if s.Affinity > 0 {
			s.Ports[0].Pick = s.Ports[0].Pick[:1]
		}
	}
	return in
}

func (r *rig) serveSCTP(netns, at string) {
	r.t.Helper()
	err := in(netns, func() error {
		c, err := sctp.Listen(netip.MustParseAddrPort(at))
		if err == nil {
			r.t.Cleanup(func() { c.Close() })
		}
		return err
	})
	if err != nil {
		r.t.Fatalf("serve sctp %s: %v", at, err)
	}
}

// saySCTP is one question, answered as say does.
func saySCTP(netns, from, to string) (answer string) {
	source, _ := netip.ParseAddr(from) // none: any
	err := in(netns, func() (err error) {
		answer, err = sctp.Ask(source, netip.MustParseAddrPort(to), patience)
		return err
	})
	if err != nil {
		return outcome(err)
	}
	return answer
}
