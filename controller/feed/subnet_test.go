package feed_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/heddle-net/heddle/controller/feed"
	"github.com/heddle-net/heddle/controller/state"
	v1 "github.com/heddle-net/heddle/crds/v1"
)

func TestSubnetAddresses(t *testing.T) {
	cases := []struct{ name, cidr, gateway, exclude, want string }{
		{"the first usable address is the gateway", "10.66.0.0/24", "", "", "10.66.0.0/24 10.66.0.1"},
		{"of both families", "10.66.0.0/24,fd00:66::/64", "", "", "10.66.0.0/24 10.66.0.1 fd00:66::/64 fd00:66::1"},
		{"IPv4 comes first", "fd00:66::/64,10.66.0.0/24", "fd00:66::9,10.66.0.9", "", "10.66.0.0/24 10.66.0.9 fd00:66::/64 fd00:66::9"},
		{"gateways find their CIDR", "10.66.0.0/24,fd00:66::/64", "fd00:66::9,10.66.0.9", "", "10.66.0.0/24 10.66.0.9 fd00:66::/64 fd00:66::9"},
		{"host bits", "10.66.0.77/24", "", "", "10.66.0.0/24 10.66.0.1"},
		{"upper case", "FD00:66::/64", "FD00:66::A", "FD00:66::B..fd00:66::C", "fd00:66::/64 fd00:66::a"},
		{"blanks", " 10.66.0.0/24 , fd00:66::/64 ", " 10.66.0.9 ,fd00:66::9 ", " 10.66.0.2 .. 10.66.0.4 ", "10.66.0.0/24 10.66.0.9 fd00:66::/64 fd00:66::9"},
		{"a gateway written as IPv6", "10.66.0.0/24", "::ffff:10.66.0.9", "", "10.66.0.0/24 10.66.0.9"},
		{"two addresses", "10.66.0.2/31", "", "", "10.66.0.2/31 10.66.0.2"},
		{"two addresses of IPv6", "fd00:66::2/127", "fd00:66::3", "", "fd00:66::2/127 fd00:66::3"},
		{"excludes outside of the CIDR do nothing", "10.66.0.0/24", "", "10.99.0.0/16|fd00::1", "10.66.0.0/24 10.66.0.1"},
		{"everything excluded", "10.66.0.0/24", "", "10.66.0.0/24", "10.66.0.0/24 10.66.0.1"},
		{"an exclude that is the gateway", "10.66.0.0/24", "10.66.0.1", "10.66.0.1", "10.66.0.0/24 10.66.0.1"},

		{"empty", "", "", "", "spec.cidrBlock is empty"},
		{"blank", " ", "", "", `spec.cidrBlock: " " is not a CIDR`},
		{"only a comma", ",", "", "", `spec.cidrBlock: "" is not a CIDR`},
		{"leading zeros", "10.66.00.0/24", "", "", `spec.cidrBlock: "10.66.00.0/24" is not a CIDR`},
		{"zone", "fe80::%eth0/64", "", "", `spec.cidrBlock: "fe80::%eth0/64" is not a CIDR`},
		{"IPv4 written as IPv6", "::ffff:10.66.0.0/120", "", "", `spec.cidrBlock: "::ffff:10.66.0.0/120" is not a CIDR`},
		{"semicolon", "10.66.0.0/24;fd00:66::/64", "", "", `spec.cidrBlock: "10.66.0.0/24;fd00:66::/64" is not a CIDR`},
		{"twice", "10.66.0.0/24,10.66.0.0/24", "", "", "two IPv4 CIDRs: 10.66.0.0/24 and 10.66.0.0/24"},
		{"three", "10.66.0.0/24,fd00:66::/64,fd00:67::/64", "", "", "two IPv6 CIDRs: fd00:66::/64 and fd00:67::/64"},
		{"one address", "10.66.0.1/32", "", "", "CIDR 10.66.0.1/32 has a single address: no room for a gateway and a Pod"},
		{"one address of IPv6", "10.66.0.0/24,fd00:66::1/128", "", "", "CIDR fd00:66::1/128 has a single address: no room for a gateway and a Pod"},

		{"gateway of one family only", "10.66.0.0/24,fd00:66::/64", "fd00:66::9", "", `spec.gateway: "fd00:66::9" does not have one address for each CIDR of "10.66.0.0/24,fd00:66::/64"`},
		{"gateways of one family", "10.66.0.0/24,fd00:66::/64", "10.66.0.1,10.66.0.2", "", `spec.gateway: "10.66.0.1,10.66.0.2" does not have one address for each CIDR of "10.66.0.0/24,fd00:66::/64"`},
		{"a gateway too many", "10.66.0.0/24", "10.66.0.1,fd00:66::1", "", `spec.gateway: "10.66.0.1,fd00:66::1" does not have one address for each CIDR of "10.66.0.0/24"`},
		{"gateway of the other family", "10.66.0.0/24", "fd00:66::1", "", "gateway fd00:66::1: the subnet has no IPv6 CIDR"},
		{"gateway outside", "10.66.0.0/24", "10.66.1.1", "", "gateway 10.66.1.1 is outside of CIDR 10.66.0.0/24"},
		{"gateway is the network", "10.66.0.0/24", "10.66.0.0", "", "gateway 10.66.0.0 is the network address of CIDR 10.66.0.0/24"},
		{"gateway with a length", "10.66.0.0/24", "10.66.0.1/24", "", `spec.gateway: "10.66.0.1/24" is not an IP address`},
		{"gateway with a zone", "fd00:66::/64", "fd00:66::1%lo", "", `spec.gateway: "fd00:66::1%lo" is not an IP address`},
		{"gateway and a comma", "10.66.0.0/24", "10.66.0.1,", "", `spec.gateway: "" is not an IP address`},

		{"exclude reversed", "10.66.0.0/24", "", "10.66.0.9..10.66.0.1", `spec.excludeIps: range "10.66.0.9..10.66.0.1": ends before it begins`},
		{"exclude of two families", "10.66.0.0/24", "", "10.66.0.1..fd00::1", `spec.excludeIps: range "10.66.0.1..fd00::1": mixes IPv4 and IPv6`},
		{"exclude without an end", "10.66.0.0/24", "", "10.66.0.1..", `spec.excludeIps: range "10.66.0.1..": "" is not an IP address`},
		{"exclude with a dash", "10.66.0.0/24", "", "10.66.0.1-10.66.0.9", `spec.excludeIps: "10.66.0.1-10.66.0.9" is not an IP address; want an address, first..last or a CIDR`},
		{"exclude empty", "10.66.0.0/24", "", "|", `spec.excludeIps: "" is not an IP address; want an address, first..last or a CIDR`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			spec := v1.SubnetSpec{CIDRBlock: c.cidr, Gateway: c.gateway}
			if c.exclude != "" {
				spec.ExcludeIps = strings.Split(c.exclude, "|")
			}
			s := feed.Subnet(&v1.Subnet{Spec: spec}, "ovn-cluster")
			if got := addressText(s); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// addressText prints what is wrong, or each CIDR with its gateway.
func addressText(s *state.Subnet) string {
	if s.Invalid != "" {
		return s.Invalid
	}
	var parts []string
	for i, cidr := range s.CIDRs {
		parts = append(parts, cidr.String(), s.Gateways[i].String())
	}
	return strings.Join(parts, " ")
}

func TestSubnetFields(t *testing.T) {
	created := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	ready := func(status corev1.ConditionStatus) v1.SubnetStatus {
		return v1.SubnetStatus{Conditions: []v1.Condition{{Type: "Validated", Status: corev1.ConditionTrue}, {Type: v1.ConditionReady, Status: status}}}
	}
	cases := []struct {
		name string
		obj  v1.Subnet
		want state.Subnet
	}{
		{
			"defaults",
			v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: "a", CreationTimestamp: metav1.NewTime(created)}, Spec: v1.SubnetSpec{CIDRBlock: "x"}},
			state.Subnet{Name: "a", Vpc: "loom", Provider: "ovn", Created: created, Services: true},
		},
		{
			"given",
			v1.Subnet{Spec: v1.SubnetSpec{
				CIDRBlock: "x", Vpc: "red", Provider: "net1", GatewayType: "centralized", SubnetLinkSpec: v1.SubnetLinkSpec{EnableLb: ptr.To(false)},
			}, Status: ready(corev1.ConditionTrue)},
			state.Subnet{Vpc: "red", Provider: "net1", Accepted: true, Unsupported: []string{"provider", "gatewayType"}},
		},
		{"not in force", v1.Subnet{Spec: v1.SubnetSpec{CIDRBlock: "x"}, Status: ready(corev1.ConditionFalse)}, state.Subnet{Vpc: "loom", Provider: "ovn", Services: true}},
	}
	for _, c := range cases {
		c.want.Invalid = `spec.cidrBlock: "x" is not a CIDR`
		if got := feed.Subnet(&c.obj, "loom"); fmt.Sprintf("%+v", *got) != fmt.Sprintf("%+v", c.want) {
			t.Errorf("%s: got\n%+v\nwant\n%+v", c.name, *got, c.want)
		}
	}
}

// FuzzSubnet shows that no text makes the converter panic, and that what it calls valid holds together.
func FuzzSubnet(f *testing.F) {
	for _, seed := range [][3]string{
		{"10.66.0.0/24,fd00:66::/64", "fd00:66::9,10.66.0.9", "10.66.0.1..10.66.0.9"},
		{"10.66.0.0/31", "", "10.66.0.1"},
		{"::/0", "::ffff:1.2.3.4", "::..ffff::"},
		{"0.0.0.0/0,::/0", "", "fe80::%eth0"},
		{" 10.0.0.0/8 ", "10.0.0.0", "10.0.0.0/33"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, cidr, gateway, exclude string) {
		spec := v1.SubnetSpec{CIDRBlock: cidr, Gateway: gateway, ExcludeIps: []string{exclude}}
		s := feed.Subnet(&v1.Subnet{Spec: spec}, "ovn-cluster")
		if s.Invalid != "" {
			if len(s.CIDRs)+len(s.Gateways) > 0 {
				t.Errorf("an invalid Subnet has addresses: %+v", s)
			}
			return
		}
		if len(s.CIDRs) < 1 || len(s.CIDRs) > 2 || len(s.CIDRs) != len(s.Gateways) {
			t.Fatalf("%q, %q: %v and %v", cidr, gateway, s.CIDRs, s.Gateways)
		}
		if len(s.CIDRs) == 2 && (!s.CIDRs[0].Addr().Is4() || !s.CIDRs[1].Addr().Is6()) {
			t.Errorf("%q: not IPv4, then IPv6: %v", cidr, s.CIDRs)
		}
		for i, c := range s.CIDRs {
			if c != c.Masked() || c.IsSingleIP() || c.Addr().Is4In6() || !c.Contains(s.Gateways[i]) || s.Gateways[i].Zone() != "" {
				t.Errorf("%q, %q: %s with gateway %s", cidr, gateway, c, s.Gateways[i])
			}
		}
		if _, err := netip.ParsePrefix(netip.PrefixFrom(s.Gateways[0], s.CIDRs[0].Bits()).String()); err != nil {
			t.Errorf("the router port's network: %v", err)
		}
	})
}
