package domain

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/heddle-net/heddle/crds/v1"
	"github.com/heddle-net/heddle/daemon/dns"
)

func TestMatches(t *testing.T) {
	for pattern, names := range map[string]map[string]bool{
		"kubernetes.io.":      {"kubernetes.io.": true, "www.kubernetes.io.": false, "my-kubernetes.io.": false, "wikipedia.org.": false},
		"blog.kubernetes.io.": {"blog.kubernetes.io.": true, "www.kubernetes.io.": false, "kubernetes.io.": false},
		"*.Kubernetes.IO.":    {"www.kubernetes.io.": true, "latest.blog.kubernetes.io.": true, "kubernetes.io.": false, "my-kubernetes.io.": false, ".kubernetes.io.": false},
	} {
		for name, want := range names {
			if got := matches(pattern, name); got != want {
				t.Errorf("%s and %s: %v, want %v", pattern, name, got, want)
			}
		}
	}
}

func object(name string, resolved ...v1.DNSNameResolverResolvedName) *v1.DNSNameResolver {
	return &v1.DNSNameResolver{
		ObjectMeta: metav1.ObjectMeta{Name: "o"}, Spec: v1.DNSNameResolverSpec{Name: name}, Status: v1.DNSNameResolverStatus{ResolvedNames: resolved},
	}
}

func resolved(name string, at time.Time, ttl int32, ips ...string) v1.DNSNameResolverResolvedName {
	n := v1.DNSNameResolverResolvedName{DNSName: name}
	for _, ip := range ips {
		n.ResolvedAddresses = append(n.ResolvedAddresses, v1.DNSNameResolverResolvedAddress{IP: ip, TTLSeconds: ttl, LastLookupTime: metav1.NewTime(at)})
	}
	return n
}

func record(name string, ttl time.Duration, ips ...string) dns.Record {
	r := dns.Record{Name: name}
	for _, ip := range ips {
		r.Addresses = append(r.Addresses, dns.Address{IP: netip.MustParseAddr(ip), TTL: ttl})
	}
	return r
}

// TestHold follows what is held, and why it goes on, through the events that reach a node. Nobody writes here.
func TestHold(t *testing.T) {
	changes := 0
	b := NewBook(nil, testr.New(t), func() { changes++ })
	now := time.Now()
	waits := func(c <-chan struct{}) bool {
		select {
		case <-c:
			return false
		default:
			return c != nil
		}
	}
	if !b.Empty() || waits(b.Hold(record("a.example.org.", time.Minute, "192.0.2.1"))) {
		t.Error("without names something is held")
	}
	b.Put("o", object("*.example.org.", resolved("b.example.org.", now, 3600, "192.0.2.1")))
	if b.Empty() || changes != 1 {
		t.Errorf("the first name is told %d times", changes)
	}
	if waits(b.Hold(record("a.example.com.", time.Minute, "192.0.2.9"))) {
		t.Error("an answer for a name that nobody allows is held")
	}
	if waits(b.Hold(record("a.example.org.", time.Minute, "192.0.2.1"))) {
		t.Error("an address that is in force, by another name, is held")
	}
	held := b.Hold(record("a.example.org.", time.Minute, "192.0.2.1", "192.0.2.2"))
	b.Installed()
	if !waits(held) {
		t.Error("an address that nobody has written is let through")
	}
	b.Put("o", object("*.example.org.", resolved("a.example.org.", now, 3600, "192.0.2.1", "192.0.2.2")))
	if !waits(held) || !waits(b.Hold(record("a.example.org.", time.Minute, "192.0.2.2"))) {
		t.Error("an address that is not installed is let through")
	}
	b.Installed()
	if waits(held) || waits(b.Hold(record("a.example.org.", time.Minute, "192.0.2.2"))) {
		t.Error("an address that is installed is held")
	}
	held = b.Hold(record("a.example.org.", time.Minute, "192.0.2.3"))
	b.Delete("o")
	if waits(held) || !b.Empty() || changes != 2 {
		t.Errorf("held after its name has gone: %v; %d changes", waits(held), changes)
	}
}

// TestHoldIsBounded: while nothing is ever in force, the oldest go on and what is to be written does not pile up. What nobody outside can
// have is neither held nor written.
func TestHoldIsBounded(t *testing.T) {
	b := NewBook(nil, testr.New(t), func() {})
	b.Put("o", object("*.example.org."))
	if b.Hold(record("a.example.org.", time.Minute, "127.0.0.1", "fe80::1", "0.0.0.0")) != nil || len(b.wanted) > 0 {
		t.Errorf("addresses of nobody outside are held, or written: %v", b.wanted)
	}
	first := b.Hold(record("a.example.org.", time.Minute, "192.0.2.1"))
	for range mostHeld {
		b.Hold(record("a.example.org.", time.Minute, "192.0.2.1"))
	}
	select {
	case <-first:
	default:
		t.Error("the oldest is held still")
	}
	if len(b.held) != mostHeld || len(b.wanted) != mostHeld {
		t.Errorf("%d are held and %d to be written, want %d", len(b.held), len(b.wanted), mostHeld)
	}
}

// TestMerge: what is written for an answer, when it is due, and that it is bounded.
func TestMerge(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		name   string
		have   []v1.DNSNameResolverResolvedName
		answer dns.Record
		want   string
	}{
		{"new", nil, record("a.", time.Minute, "192.0.2.1"), "a. 192.0.2.1 60"},
		{"a short time", nil, record("a.", time.Second, "192.0.2.1"), "a. 192.0.2.1 30"},
		{"one more", []v1.DNSNameResolverResolvedName{resolved("a.", now, 60, "192.0.2.1")}, record("a.", time.Minute, "192.0.2.2"), "a. 192.0.2.1 60 192.0.2.2 60"},
		{"another name", []v1.DNSNameResolverResolvedName{resolved("a.", now, 60, "192.0.2.1")}, record("b.", time.Minute, "192.0.2.1"), "a. 192.0.2.1 60; b. 192.0.2.1 60"},
		{"known, young", []v1.DNSNameResolverResolvedName{resolved("a.", now.Add(-time.Minute), 300, "192.0.2.1")}, record("a.", 5*time.Minute, "192.0.2.1"), ""},
		{"known, old", []v1.DNSNameResolverResolvedName{resolved("a.", now.Add(-time.Hour), 3600, "192.0.2.1")}, record("a.", 5*time.Minute, "192.0.2.1"), "a. 192.0.2.1 300"},
	} {
		obj := object("*.", c.have...)
		changed := merge(obj, []want{{"o", c.answer, now}})
		if got := statusText(obj); changed != (c.want != "") || changed && got != c.want {
			t.Errorf("%s: changed %v, %s; want %s", c.name, changed, got, c.want)
		}
	}
	obj := object("*.")
	for i := range most + 10 {
		ip := netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)})
		merge(obj, []want{{"o", dns.Record{Name: "a.", Addresses: []dns.Address{{IP: ip}}}, now.Add(time.Duration(i) * time.Second)}})
	}
	if list := obj.Status.ResolvedNames[0].ResolvedAddresses; len(list) != most || list[0].IP != "192.0.0.10" {
		t.Errorf("%d addresses, the first is %s", len(list), list[0].IP)
	}
}

func statusText(obj *v1.DNSNameResolver) string {
	var names []string
	for _, n := range obj.Status.ResolvedNames {
		text := n.DNSName
		for _, a := range n.ResolvedAddresses {
			text += " " + a.IP + " " + (time.Duration(a.TTLSeconds) * time.Second).String()
		}
		names = append(names, text)
	}
	return strings.NewReplacer("1m0s", "60", "30s", "30", "5m0s", "300", "1h0m0s", "3600").Replace(strings.Join(names, "; "))
}
