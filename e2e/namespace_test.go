package e2e

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/heddle-net/heddle/crds/v1"
)

// TestSubnetPerNamespace gives Namespaces Subnets by name and by label, takes the label away, and lets a Pod choose for itself.
func TestSubnetPerNamespace(t *testing.T) {
	t.Parallel()
	e := use(t)
	named := e.namespace(t, "ns-named", nil)
	selected := e.namespace(t, "ns-selected", map[string]string{"e2e-team": "blue"})
	e.subnet(t, "ns-named", "10.102.0.0/24,fd00:10:102::/112", func(s *v1.SubnetSpec) {
		s.Namespaces = []string{named}
		s.ExcludeIps = []string{"10.102.0.2..10.102.0.9"}
	})
	e.subnet(t, "ns-selected", "10.102.1.0/24", func(s *v1.SubnetSpec) {
		s.NamespaceSelectors = []metav1.LabelSelector{{MatchLabels: map[string]string{"e2e-team": "blue"}}}
	})
	awaitShown(t, e, named, "ns-named", "10.102.0.0/24,fd00:10:102::/112")
	awaitShown(t, e, selected, "ns-selected", "10.102.1.0/24")

	first, second := pod(named, "first", ""), pod(selected, "second", "")
	chooser := inSubnet(pod(named, "chooser", ""), "ns-selected")
	e.start(t, first, second, chooser)
	wantFrom(t, first, "10.102.0.10/31", "fd00:10:102::/112") // the first address that is not excluded
	wantFrom(t, second, "10.102.1.0/24")
	wantFrom(t, chooser, "10.102.1.0/24")

	update(t, e, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: selected}}, func(n *corev1.Namespace) { delete(n.Labels, "e2e-team") })
	awaitShown(t, e, selected, "ovn-default", "")
	third := pod(selected, "third", "")
	e.start(t, third)
	wantFrom(t, third, "10.16.0.0/16", "fd00:10:16::/112")
	kept := second.Status.PodIP
	await(t, e, second, podReady)
	if second.Status.PodIP != kept {
		t.Errorf("a Pod that runs had %s and has %s, because a label of its Namespace was removed", kept, second.Status.PodIP)
	}
	e.reach(t, []end{podEnd(first), podEnd(second), podEnd(chooser), podEnd(third)}, false)
}

// awaitShown waits for a Namespace's annotations; an empty cidr is not compared.
func awaitShown(t *testing.T, e *env, namespace, subnet, cidr string) {
	t.Helper()
	await(t, e, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, func(n *corev1.Namespace) string {
		shown, range_ := n.Annotations[v1.AnnotationLogicalSwitch], n.Annotations[v1.AnnotationCIDR]
		if shown != subnet || cidr != "" && range_ != cidr {
			return fmt.Sprintf("shows Subnet %q, CIDR %q; want %q, %q", shown, range_, subnet, cidr)
		}
		return ""
	})
}

// wantFrom compares a Pod's addresses with ranges, one of each family.
func wantFrom(t *testing.T, p *corev1.Pod, ranges ...string) {
	t.Helper()
	list := addresses(p)
	ok := len(list) == len(ranges)
	for i := 0; ok && i < len(list); i++ {
		ok = netip.MustParsePrefix(ranges[i]).Contains(list[i])
	}
	if !ok {
		t.Errorf("Pod %s has %v, want of %v", p.Name, list, ranges)
	}
	if said := p.Annotations[v1.AnnotationIPAddress]; said != strings.Trim(strings.ReplaceAll(fmt.Sprint(list), " ", ","), "[]") {
		t.Errorf("Pod %s has %v, its annotation says %s", p.Name, list, said)
	}
}
