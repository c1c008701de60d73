package e2e

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/heddle-net/heddle/crds/v1"
)

// rule makes a SwitchLBRule for TCP and UDP, from port 80 to the Pods' own, and waits until it is Ready.
func (e *env) rule(t *testing.T, namespace, name, vip string, change func(*v1.SwitchLBRuleSpec)) *v1.SwitchLBRule {
	t.Helper()
	r := &v1.SwitchLBRule{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1.SwitchLBRuleSpec{
			VIP: vip, Namespace: namespace,
			Ports: []v1.SwitchLBRulePort{{Name: "http", Port: 80, TargetPort: podPort}, {Name: "udp", Port: 80, TargetPort: podPort, Protocol: "UDP"}},
		},
	}
	change(&r.Spec)
	e.create(t, r)
	await(t, e, r, func(r *v1.SwitchLBRule) string {
		for _, c := range r.Status.Conditions {
			if c.Type == v1.ConditionReady && c.Status == corev1.ConditionTrue {
				return ""
			}
		}
		return fmt.Sprintf("conditions %+v", r.Status.Conditions)
	})
	return r
}

func ruleVIPs(r *v1.SwitchLBRule) []netip.Addr {
	var list []netip.Addr
	for text := range strings.SplitSeq(r.Spec.VIP, ",") {
		list = append(list, netip.MustParseAddr(text))
	}
	return list
}

// ruleBalanced waits until every node sends what is for the rule to these endpoints, as balanced does for a Service.
func (e *env) ruleBalanced(t *testing.T, r *v1.SwitchLBRule, endpoints ...netip.AddrPort) {
	t.Helper()
	for _, protocol := range []string{"tcp", "udp"} {
		args := []string{"--timeout=90", "wait-until", "Load_Balancer", "slr-" + r.Name + ":" + protocol}
		for _, vip := range ruleVIPs(r) {
			var list []string
			for _, endpoint := range endpoints {
				if endpoint.Addr().Is4() == vip.Is4() {
					list = append(list, endpoint.String())
				}
			}
			slices.Sort(list)
			args = append(args, fmt.Sprintf(`vips:"%s"="%s"`, netip.AddrPortFrom(vip, 80), strings.Join(list, ",")))
		}
		e.nbctl(t, args...)
	}
	e.inForce(t)
}

// ruleAnswers lets all ask the rule by each address and protocol, and wants the answers of these.
func (e *env) ruleAnswers(t *testing.T, askers []asker, r *v1.SwitchLBRule, want ...string) {
	t.Helper()
	cases := 0
	for _, a := range askers {
		for _, vip := range ruleVIPs(r) {
			for _, protocol := range []string{"tcp", "udp"} {
				cases++
				if wrong := a.askOften(t.Context(), protocol, target(vip, 80)).wrong(want...); wrong != "" {
					t.Errorf("%s: %s", protocol, wrong)
				}
			}
		}
	}
	t.Logf("%s: %d cases of %d connections", r.Name, cases, tries)
}

// settles asks until all of a case's connections are answered by these, and by nobody else.
func (a asker) settles(t *testing.T, protocol, target string, want ...string) time.Duration {
	t.Helper()
	for began := time.Now(); ; {
		wrong := a.askOften(t.Context(), protocol, target).wrong(want...)
		if took := time.Since(began); wrong == "" || took > timeLimit {
			if wrong != "" {
				t.Errorf("after %v, %s: %s", took, protocol, wrong)
			}
			return took
		}
	}
}

// server is a Pod whose server is started and stopped by hand: the Pod stays Ready without it.
type server struct {
	*corev1.Pod
	pid string
}

func (s *server) run(t *testing.T, e *env) {
	t.Helper()
	s.pid = strings.TrimSpace(e.exec(t, s.Pod, "sh", "-c",
		fmt.Sprintf("/agnhost netexec --http-port=%d --udp-port=%[1]d >/dev/null 2>&1 & echo $!", podPort)))
}

func (s *server) halt(t *testing.T, e *env) {
	t.Helper()
	e.exec(t, s.Pod, "kill", "-9", s.pid)
}

// TestSwitchLBRule has rules with a selector and with endpoints of their own, in a Subnet and outside of all, and an endpoint that
// stops serving and begins again.
func TestSwitchLBRule(t *testing.T) {
	t.Parallel()
	e := use(t)
	ns := e.namespace(t, "slr", nil)
	e.subnet(t, "slr", "10.141.0.0/24,fd00:10:141::/112", func(s *v1.SubnetSpec) { s.Namespaces = []string{ns} })
	e.subnet(t, "slr-far", "10.141.1.0/24,fd00:10:141:1::/112", nil)
	nodes := e.Nodes()[:2]
	idle := serving(pod(ns, "stops", nodes[1]), "web")
	idle.Spec.Containers[0].Args, idle.Spec.Containers[0].StartupProbe = []string{"pause"}, nil
	stops := &server{Pod: idle}
	pods := []*corev1.Pod{
		serving(pod(ns, "here", nodes[0]), "web"), serving(pod(ns, "there", nodes[1]), "web"), stops.Pod,
		pod(ns, "client-1", nodes[0]), pod(ns, "client-2", nodes[1]),
		inSubnet(pod(ns, "far-1", nodes[0]), "slr-far"), inSubnet(pod(ns, "far-2", nodes[1]), "slr-far"),
	}
	e.start(t, pods...)
	stops.run(t, e)
	var ofPods []asker
	for _, i := range []int{0, 3, 4, 5, 6} {
		ofPods = append(ofPods, e.podAsker(t, pods[i]))
	}
	all := append(slices.Clone(ofPods), e.nodeAsker(t, nodes[0]), e.nodeAsker(t, nodes[1]))

	t.Run("selector, address in the Subnet", func(t *testing.T) {
		r := e.rule(t, ns, "e2e-web", "10.141.0.99,fd00:10:141::99", func(s *v1.SwitchLBRuleSpec) { s.Selector = []string{label + ":web"} })
		e.ruleBalanced(t, r, endpointsOf(podPort, pods[:3]...)...)
		e.ruleAnswers(t, all, r, "here", "there", "stops")
		e.outAndBack(t, r, stops, []asker{ofPods[1], ofPods[2], all[5]})
	})
	t.Run("endpoints, address outside", func(t *testing.T) {
		r := e.rule(t, ns, "e2e-static", "203.0.113.77,2001:db8:113::77", func(s *v1.SwitchLBRuleSpec) {
			for _, p := range pods[:3] {
				for _, address := range addresses(p) {
					s.Endpoints = append(s.Endpoints, address.String())
				}
			}
		})
		e.ruleBalanced(t, r, endpointsOf(podPort, pods[:3]...)...)
		e.ruleAnswers(t, ofPods, r, "here", "there", "stops")
		e.outAndBack(t, r, stops, []asker{ofPods[1], ofPods[4]})
	})
	t.Run("affinity", func(t *testing.T) {
		r := e.rule(t, ns, "e2e-sticky", "10.141.0.98,fd00:10:141::98", func(s *v1.SwitchLBRuleSpec) {
			s.Selector, s.SessionAffinity = []string{label + ":web"}, "ClientIP"
		})
		e.ruleBalanced(t, r, endpointsOf(podPort, pods[:3]...)...)
		for _, a := range all {
			for _, vip := range ruleVIPs(r) {
				first, err := a.ask(t.Context(), "tcp", target(vip, 80))
				must(t, err)
				if wrong := a.askOften(t.Context(), "tcp", target(vip, 80)).wrong(first.who); wrong != "" {
					t.Errorf("%s\n%s", wrong, e.monitors(t))
				}
			}
		}
	})
}

// outAndBack stops the server of one of three endpoints, whose Pod stays Ready, and starts it again: new connections follow.
func (e *env) outAndBack(t *testing.T, r *v1.SwitchLBRule, stops *server, askers []asker) {
	t.Helper()
	each := func(want ...string) (longest time.Duration) {
		for _, a := range askers {
			for _, vip := range ruleVIPs(r) {
				for _, protocol := range []string{"tcp", "udp"} {
					longest = max(longest, a.settles(t, protocol, target(vip, 80), want...))
				}
			}
		}
		return longest
	}
	stops.halt(t, e)
	t.Logf("%s: out after %v", r.Name, each("here", "there"))
	if t.Failed() {
		t.Log(e.monitors(t))
	}
	stops.run(t, e)
	t.Logf("%s: back after %v", r.Name, each("here", "there", "stops"))
}

// monitors are the endpoints' health as OVN has it.
func (e *env) monitors(t *testing.T) string {
	t.Helper()
	return e.sbctl(t, "--columns=ip,port,protocol,logical_port,src_ip,status", "list", "Service_Monitor")
}

// TestSwitchLBRuleInTheWay: an address that a Pod has is refused, and reserved once the Pod is gone.
func TestSwitchLBRuleInTheWay(t *testing.T) {
	t.Parallel()
	e := use(t)
	ns := e.namespace(t, "slr-way", nil)
	e.subnet(t, "slr-way", "10.141.2.0/24", func(s *v1.SubnetSpec) { s.Namespaces = []string{ns} })
	has := withAddress(pod(ns, "has", ""), "10.141.2.50")
	web := serving(pod(ns, "web", ""), "web")
	e.start(t, has, web)
	r := &v1.SwitchLBRule{
		ObjectMeta: metav1.ObjectMeta{Name: "e2e-way"},
		Spec: v1.SwitchLBRuleSpec{
			VIP: "10.141.2.50", Namespace: ns, Selector: []string{label + ":web"}, Ports: []v1.SwitchLBRulePort{{Port: 80, TargetPort: podPort}},
		},
	}
	e.create(t, r)
	ready := func(want string) func(*v1.SwitchLBRule) string {
		return func(r *v1.SwitchLBRule) string {
			for _, c := range r.Status.Conditions {
				if c.Type == v1.ConditionReady && c.Reason == want {
					return ""
				}
			}
			return fmt.Sprintf("want reason %s, have %+v", want, r.Status.Conditions)
		}
	}
	await(t, e, r, ready("Conflict"))
	a := e.podAsker(t, web)
	if h, err := a.ask(t.Context(), "tcp", "10.141.2.50:8080"); err != nil || h.who != "has" {
		t.Errorf("the Pod with the address answers %v, %v", h, err)
	}
	e.stop(t, has)
	await(t, e, r, ready("Ready"))
	e.inForce(t)
	if h, err := a.ask(t.Context(), "tcp", "10.141.2.50:80"); err != nil || h.who != "web" {
		t.Errorf("the rule answers %v, %v", h, err)
	}
}
