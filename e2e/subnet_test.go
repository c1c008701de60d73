package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/heddle-net/heddle/crds/v1"
)

// TestExhaustedSubnet fills a Subnet of three addresses; the fourth Pod waits, says why, and starts when one is free.
func TestExhaustedSubnet(t *testing.T) {
	t.Parallel()
	e := use(t)
	ns := e.namespace(t, "exhausted", nil)
	subnet := e.subnet(t, "exhausted", "10.106.0.0/29", func(s *v1.SubnetSpec) {
		s.Namespaces, s.ExcludeIps = []string{ns}, []string{"10.106.0.5..10.106.0.6"}
	})
	awaitUse(t, e, subnet, "0 used , 3 free 10.106.0.2-10.106.0.4")
	a, b, c := pod(ns, "a", ""), pod(ns, "b", ""), pod(ns, "c", "")
	e.start(t, a, b, c)
	awaitUse(t, e, subnet, "3 used 10.106.0.2-10.106.0.4, 0 free ")
	late := pod(ns, "late", "")
	e.post(t, late)
	t.Log(e.awaitEvent(t, ns, "late", noAddress, "no free IPv4 address in 10.106.0.0/29"))
	wantWaiting(t, e, late)
	e.stop(t, b)
	t.Logf("Ready %v after an address was free", await(t, e, late, podReady))
	if late.Status.PodIP != b.Status.PodIP {
		t.Errorf("the late Pod has %s, want the only free one, %s", late.Status.PodIP, b.Status.PodIP)
	}
	wider := e.kubectl(t, "patch", "subnet", subnet.Name, "--type=merge", "-p", `{"spec":{"excludeIps":["10.106.0.1"]}}`)
	t.Log(strings.TrimSpace(wider))
	awaitUse(t, e, subnet, "3 used 10.106.0.2-10.106.0.4, 2 free 10.106.0.5-10.106.0.6")
}

func awaitUse(t *testing.T, e *env, subnet *v1.Subnet, want string) {
	t.Helper()
	await(t, e, subnet, func(s *v1.Subnet) string {
		u := s.Status
		if got := fmt.Sprintf("%v used %s, %v free %s", u.V4UsingIPs, u.V4UsingIPRange, u.V4AvailableIPs, u.V4AvailableIPRange); got != want {
			return fmt.Sprintf("status says %q, want %q", got, want)
		}
		return ""
	})
}

// TestSubnetInUse deletes a Subnet that a Pod is in: it stays, says who holds it, and goes with the Pod.
func TestSubnetInUse(t *testing.T) {
	t.Parallel()
	e := use(t)
	ns := e.namespace(t, "inuse", nil)
	subnet := e.subnet(t, "inuse", "10.107.0.0/24,fd00:10:107::/112", func(s *v1.SubnetSpec) { s.Namespaces = []string{ns} })
	holder, peer := pod(ns, "holder", e.Nodes()[0]), pod(ns, "peer", e.Nodes()[1])
	e.start(t, holder, peer)
	e.remove(t, subnet)
	await(t, e, subnet, func(s *v1.Subnet) string {
		said := subnetReady(s)
		for _, part := range []string{"InUse", "cannot be deleted", "holder.inuse", "peer.inuse"} {
			if !strings.Contains(said, part) {
				return fmt.Sprintf("says %q, want %q in it", said, part)
			}
		}
		return ""
	})
	e.awaitEvent(t, "", "inuse", "InUse", "holder.inuse")
	e.reach(t, []end{podEnd(holder), podEnd(peer)}, false) // it works as before
	e.stop(t, holder, peer)
	t.Logf("gone %v after its last Pod", e.awaitGone(t, subnet))
	if shown := e.nbctl(t, "show"); strings.Contains(shown, "inuse") {
		t.Errorf("its rows are still in NB:\n%s", shown)
	}
}

// TestShown is what people see in kubectl: columns, short names, documentation, and the reason why a Subnet is not served.
func TestShown(t *testing.T) {
	t.Parallel()
	e := use(t)
	ns := e.namespace(t, "shown", nil)
	e.subnet(t, "shown", "10.108.0.0/24", func(s *v1.SubnetSpec) { s.Namespaces, s.NatOutgoing = []string{ns}, true })
	p := pod(ns, "one", e.Nodes()[0])
	e.start(t, p)
	for _, c := range []struct {
		args  string
		parts []string
	}{
		{"get subnet shown", []string{
			"PROVIDER", "VPC", "PROTOCOL", "CIDR", "NAT", "GATEWAYTYPE", "V4USED", "V4AVAILABLE", "EXCLUDEIPS",
			"ovn", "ovn-cluster", "IPv4", "10.108.0.0/24", "true", "distributed", `["10.108.0.1"]`,
		}},
		{"get ip one.shown", []string{"V4IP", "MAC", "NODE", "SUBNET", p.Status.PodIP, "0a:58:0a:6c:00:02", e.Nodes()[0], "shown"}},
		{"get vpc ovn-cluster", []string{"STANDBY", "SUBNETS", "shown"}},
		{"explain subnet.spec.natOutgoing", []string{"<boolean>", "carry the node's address", "Default: false"}},
		{"explain subnet.spec.excludeIps", []string{"<[]string>"}},
	} {
		said := e.kubectl(t, strings.Fields(c.args)...)
		for _, part := range c.parts {
			if !strings.Contains(said, part) {
				t.Errorf("kubectl %s: want %q in\n%s", c.args, part, said)
			}
		}
	}
	for name, want := range map[string]struct {
		cidr, said string
		change     func(*v1.SubnetSpec)
	}{
		"shown-overlap": {"10.108.0.128/25", "overlaps 10.108.0.0/24 of Subnet shown", nil},
		"shown-later":   {"10.108.1.0/24", "spec.enableEcmp is not supported yet", func(s *v1.SubnetSpec) { s.EnableEcmp = true }},
		"shown-service": {"10.96.1.0/24", "overlaps the Service CIDR", nil},
	} {
		obj := &v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1.SubnetSpec{CIDRBlock: want.cidr}}
		if want.change != nil {
			want.change(&obj.Spec)
		}
		e.create(t, obj)
		await(t, e, obj, func(s *v1.Subnet) string {
			if said := subnetReady(s); !strings.Contains(said, want.said) {
				return fmt.Sprintf("says %q, want %q", said, want.said)
			}
			return ""
		})
	}
	said, err := e.Kubectl(context.WithoutCancel(t.Context()), "", "patch", "subnet", "shown", "--type=merge", "-p", `{"spec":{"cidrBlock":"10.108.9.0/24"}}`)
	if err == nil || !strings.Contains(said, "cidrBlock") {
		t.Errorf("the CIDR was changed: %s", said)
	}
	wantPhase(t, e, p, corev1.PodRunning)
}

func wantPhase(t *testing.T, e *env, p *corev1.Pod, phase corev1.PodPhase) {
	t.Helper()
	if await(t, e, p, func(*corev1.Pod) string { return "" }); p.Status.Phase != phase {
		t.Errorf("Pod %s is %s, want %s", p.Name, p.Status.Phase, phase)
	}
}
