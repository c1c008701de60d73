package daemon

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	v1 "github.com/heddle-net/heddle/crds/v1"
	"github.com/heddle-net/heddle/daemon/port"
	"github.com/heddle-net/heddle/ovs/ovstest/node"
)

// annotated changes the annotations about traffic of a Pod, as its watch does.
func (s *sandbox) annotated(annotations ...string) {
	s.pod.QoS = qosOf(annotations...)
	s.rig.pods.Put(s.pod.Key(), s.pod)
}

// qosOf takes "ingress_rate=10".
func qosOf(annotations ...string) v1.QoS {
	m := map[string]string{}
	for _, a := range annotations {
		key, value, _ := strings.Cut(a, "=")
		m[v1.AnnotationPrefix+key] = value
	}
	q, _ := v1.ParseQoS(m)
	return q
}

var tcNoise = regexp.MustCompile(`qdisc |refcnt \d+ |\n| (1: |8\d+: |0: )`)

// tc is what tc says of the two ends, "to the Pod; from the Pod".
func (s *sandbox) tc() string {
	s.rig.tb.Helper()
	line := func(netns, dev string) string {
		said := s.rig.MustExec(netns, "tc", "qdisc", "show", "dev", dev)
		return strings.Join(strings.Fields(tcNoise.ReplaceAllLiteralString(said, " ")), " ")
	}
	return line("", port.HostName(s.id, "eth0")) + "; " + line(s.netns, "eth0")
}

func (s *sandbox) wantTC(when, want string) {
	s.rig.tb.Helper()
	if diff := cmp.Diff(want, s.tc()); diff != "" {
		s.rig.tb.Errorf("%s: %s", when, diff)
	}
}

func (r *rig) reshape(t *testing.T, m *port.Manager, want ...string) {
	t.Helper()
	if err := m.Reshape(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, r.shaped.take()); diff != "" {
		t.Errorf("looked at: %s", diff)
	}
}

const (
	unshaped = "noqueue root; noqueue root"
	out20    = "tbf root rate 20Mbit burst 250000b lat 4.86ms"
)

// in10 has a queue that is short in user space (shape.Of).
var in10 = "tbf root rate 10Mbit burst 125000b " + map[bool]string{true: "lat 110ms", false: "limit 24Kb"}[node.Kernel()]

// TestShape: what a Pod is to have is there when ADD returns, follows its annotations, its Namespace's and its Subnet's, costs nothing when
// these have not changed, and survives a daemon.
func TestShape(t *testing.T) {
	r := newRig(t)
	s, other := r.web(10), r.pod("other", "10.16.0.11", "10.16.0.0/16", "10.16.0.1", 11)
	s.annotated("ingress_rate=10")
	s.must("ADD")
	other.must("ADD")
	s.wantTC("after ADD", strings.Replace(unshaped, "noqueue root", in10, 1))
	other.wantTC("the other Pod", unshaped)
	r.reshape(t, r.manager)

	// ovs-vswitchd removes the qdiscs that it finds when it starts, unless it is told not to.
	r.Restart("ovs-vswitchd")
	r.VSCtl("set", "Open_vSwitch", ".", "external_ids:seen=yes") // waits for it to have all ports
	s.wantTC("after a restart of ovs-vswitchd", strings.Replace(unshaped, "noqueue root", in10, 1))

	s.annotated("egress_rate=20")
	r.reshape(t, r.manager, "web")
	s.wantTC("the other direction", "noqueue root; "+out20)
	r.reshape(t, r.manager)

	r.namespaces.Put("default", qosOf("ingress_rate=10", "egress_rate=1"))
	r.subnets.Put("sw", port.Subnet{Name: "sw", QoS: qosOf("egress_rate=20", "ingress_rate=1")})
	if err := r.manager.Reshape(t.Context()); err != nil {
		t.Fatal(err)
	}
	if looked := r.shaped.take(); !slices.Contains(looked, "web") || !slices.Contains(looked, "other") || len(looked) != 2 {
		t.Errorf("looked at %q", looked)
	}
	s.wantTC("the Namespace's where the Pod has none", in10+"; "+out20)
	r.namespaces.Delete("default")
	other.annotated("ingress_rate=0")
	if err := r.manager.Reshape(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.shaped.take()
	other.wantTC("a Pod that wants no limit, in a Subnet with one", "noqueue root; "+out20)

	// The next daemon looks once, and changes what was changed meanwhile.
	s.annotated("ingress_rate=10", "egress_rate=0")
	other.annotated("egress_rate=0", "ingress_rate=0")
	next := r.managerThat(nil)
	if err := next.Adopt(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := next.Reshape(t.Context()); err != nil {
		t.Fatal(err)
	}
	if looked := r.shaped.take(); len(looked) != 2 {
		t.Errorf("looked at %q", looked)
	}
	s.wantTC("after a restart", in10+"; noqueue root")
	other.wantTC("after a restart", unshaped)
	r.reshape(t, next)
}

// TestShapeFails: what the kernel cannot do is told once, keeps nothing else from being done, and is tried again.
func TestShapeFails(t *testing.T) {
	r := newRig(t)
	s, other := r.web(10), r.pod("other", "10.16.0.11", "10.16.0.0/16", "10.16.0.1", 11)
	s.must("ADD")
	other.must("ADD")
	r.MustExec(s.netns, "ip", "link", "set", "eth0", "down")
	r.MustExec(s.netns, "ip", "link", "set", "eth0", "name", "eth9")
	s.annotated("egress_rate=20")
	other.annotated("egress_rate=20")
	const want = "shape the traffic of Pod default/web: find eth0: Link not found"
	for round := range 2 {
		if err := r.manager.Reshape(t.Context()); err == nil || err.Error() != want {
			t.Fatalf("round %d: %v", round, err)
		}
	}
	told := r.shaped.take()
	slices.Sort(told)
	if diff := cmp.Diff([]string{"other", "web: find eth0: Link not found"}, told); diff != "" {
		t.Error(diff)
	}
	other.wantTC("the other Pod", "noqueue root; "+out20)
	r.MustExec(s.netns, "ip", "link", "set", "eth9", "name", "eth0")
	r.reshape(t, r.manager, "web")
	s.wantTC("in the end", "noqueue root; "+out20)
}

// TestShapeOfGone: a Pod that is gone is nobody's any more.
func TestShapeOfGone(t *testing.T) {
	r := newRig(t)
	s := r.web(10)
	s.annotated("ingress_rate=10", "egress_rate=20")
	s.must("ADD")
	s.must("DEL")
	s.annotated("ingress_rate=20")
	r.reshape(t, r.manager)
	if left := r.leftovers(); len(left) > 0 {
		t.Errorf("left over: %q", left)
	}
}
