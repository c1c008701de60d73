package e2e

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	v1 "github.com/heddle-net/heddle/crds/v1"
)

// TestMTU: Pods have the uplink's MTU less the tunnel, or the Subnet's; packets of that size cross nodes, larger ones are refused
// by the sender itself, and a megabyte arrives whole.
func TestMTU(t *testing.T) {
	t.Parallel()
	e := use(t)
	ns := e.namespace(t, "mtu", nil)
	e.subnet(t, "mtu-auto", "10.110.0.0/24,fd00:10:110::/112", nil)
	e.subnet(t, "mtu-1300", "10.110.1.0/24", func(s *v1.SubnetSpec) { s.Mtu = 1300 })
	nodes := e.Nodes()
	from, to := inSubnet(pod(ns, "from", nodes[0]), "mtu-auto"), inSubnet(pod(ns, "to", nodes[1]), "mtu-auto")
	small := inSubnet(pod(ns, "small", nodes[0]), "mtu-1300")
	e.start(t, from, to, small)
	for p, want := range map[*corev1.Pod]int{from: 1400, to: 1400, small: 1300} {
		if link := e.exec(t, p, "ip", "link", "show", "dev", "eth0"); !strings.Contains(link, fmt.Sprintf(" mtu %d ", want)) {
			t.Errorf("Pod %s: want MTU %d in\n%s", p.Name, want, link)
		}
	}
	for _, c := range []struct {
		from   *corev1.Pod
		to     netip.Addr
		packet int
		passes bool
	}{
		{from, ofFamily(addresses(to), false), 1400, true},
		{from, ofFamily(addresses(to), false), 1401, false},
		{from, ofFamily(addresses(to), true), 1400, true},
		{from, ofFamily(addresses(to), true), 1401, false},
		{small, ofFamily(addresses(to), false), 1300, true},
		{small, ofFamily(addresses(to), false), 1301, false},
	} {
		headers := 20 + 8
		if c.to.Is6() {
			headers = 40 + 8
		}
		said, err := e.Kubectl(t.Context(), "", "-n", ns, "exec", c.from.Name, "--",
			"ping", "-n", "-c", "1", "-W", "5", "-M", "do", "-s", strconv.Itoa(c.packet-headers), c.to.String())
		if (err == nil) != c.passes {
			t.Errorf("a packet of %d bytes from %s to %s: %v %s", c.packet, c.from.Name, c.to, err, said)
		}
	}
	for _, address := range addresses(to) {
		url := "http://" + net.JoinHostPort(address.String(), strconv.Itoa(podPort)) + "/shell?cmd=seq+1+160000"
		if size := e.exec(t, from, "sh", "-c", "curl -g -s -S -m 30 '"+url+"' | wc -c"); len(strings.TrimSpace(size)) != 7 {
			t.Errorf("from %s came %s bytes, want more than a million", address, size)
		}
	}
}

// TestHostPort reaches a Pod by a port of its node, from outside and from another node, by TCP and UDP.
func TestHostPort(t *testing.T) {
	t.Parallel()
	e := use(t)
	ns := e.namespace(t, "hostport", nil)
	e.subnet(t, "hostport", "10.111.0.0/24,fd00:10:111::/112", func(s *v1.SubnetSpec) { s.Namespaces = []string{ns} })
	const port = 18090
	nodes := e.Nodes()
	p := pod(ns, "served", nodes[0])
	p.Spec.Containers[0].Ports = []corev1.ContainerPort{
		{ContainerPort: podPort, HostPort: port, Protocol: corev1.ProtocolTCP}, {ContainerPort: podPort, HostPort: port, Protocol: corev1.ProtocolUDP},
	}
	client := pod(ns, "client", nodes[1])
	e.start(t, p, client)
	for _, address := range e.addressesOf(t, nodes[0]) {
		target := net.JoinHostPort(address.String(), strconv.Itoa(port))
		for _, machine := range []string{"outside-1", nodes[1]} {
			if said := e.run(t, machine, "curl", "-g", "-s", "-S", "-m", "10", "http://"+target+"/hostname"); said != "served" {
				t.Errorf("%s asks %s and hears %q", machine, target, said)
			}
		}
		udp := fmt.Sprintf("http://127.0.0.1:%d/dial?protocol=udp&request=hostname&tries=1&host=%s&port=%d", podPort, address, port)
		if said := e.exec(t, client, "curl", "-g", "-s", "-S", "-m", "10", udp); !strings.Contains(said, `["served"]`) {
			t.Errorf("a Pod on the other node asks %s by UDP and hears %s", target, said)
		}
	}
	e.stop(t, p)
	first := e.addressesOf(t, nodes[0])[0]
	if said, err := e.Run(t.Context(), "outside-1", "curl", "-s", "-S", "-m", "2", fmt.Sprintf("http://%s:%d/hostname", first, port)); err == nil {
		t.Errorf("the port of the Pod that is gone answers %s", said)
	}
}

// TestManyPods starts 60 Pods at once: all run, no two share an address, each answers.
func TestManyPods(t *testing.T) {
	t.Parallel()
	e := use(t)
	ns := e.namespace(t, "many", nil)
	e.subnet(t, "many", "10.112.0.0/24,fd00:10:112::/112", func(s *v1.SubnetSpec) { s.Namespaces = []string{ns} })
	const count = 60
	pods := make([]*corev1.Pod, count)
	for i := range pods {
		pods[i] = pod(ns, fmt.Sprintf("pod-%02d", i), e.Nodes()[i%2])
	}
	t.Logf("%d Pods Ready after %v", count, e.start(t, pods...))
	holders := map[netip.Addr]string{}
	var script strings.Builder
	for _, p := range pods {
		if len(p.Status.PodIPs) != 2 {
			t.Errorf("Pod %s has %v, want two addresses", p.Name, p.Status.PodIPs)
		}
		for _, address := range addresses(p) {
			if other, taken := holders[address]; taken {
				t.Errorf("%s is the address of %s and %s", address, other, p.Name)
			}
			holders[address] = p.Name
			fmt.Fprintf(&script, "echo %s $(curl -g -s -S -m 10 http://%s/hostname 2>&1)\n", p.Name, net.JoinHostPort(address.String(), strconv.Itoa(podPort)))
		}
	}
	for line := range strings.Lines(e.exec(t, pods[0], "sh", "-c", script.String())) {
		if want, got, _ := strings.Cut(strings.TrimSpace(line), " "); got != want {
			t.Errorf("Pod %s answers %q", want, got)
		}
	}
	t.Logf("%d Pods gone after %v", count, e.stop(t, pods...))
}

// TestProbes lets the kubelets of both nodes ask Pods, by HTTP and TCP, in both families; what does not answer is not Ready.
func TestProbes(t *testing.T) {
	t.Parallel()
	e := use(t)
	ns := e.namespace(t, "probes", nil)
	e.subnet(t, "probes-v4", "10.113.0.0/24", nil)
	e.subnet(t, "probes-v6", "fd00:10:113::/112", nil)
	var good, bad []*corev1.Pod
	for _, subnet := range []string{"probes-v4", "probes-v6"} {
		for _, node := range e.Nodes()[:2] {
			answers := inSubnet(pod(ns, subnet+"-"+node, node), subnet)
			answers.Spec.Containers[0].ReadinessProbe = probe("/readyz", podPort)
			answers.Spec.Containers[0].LivenessProbe = probe("", podPort)
			answers.Spec.Containers[0].LivenessProbe.ProbeHandler = corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt(podPort)}}
			good = append(good, answers)
			silent := inSubnet(pod(ns, "silent-"+subnet+"-"+node, node), subnet)
			silent.Spec.Containers[0].StartupProbe = nil
			silent.Spec.Containers[0].ReadinessProbe = probe("/", podPort+1)
			bad = append(bad, silent)
		}
	}
	e.post(t, bad...)
	e.start(t, good...)
	for _, p := range bad {
		e.awaitEvent(t, ns, p.Name, "Unhealthy", "Readiness probe failed", "connection refused")
		if await(t, e, p, func(*corev1.Pod) string { return "" }); podReady(p) == "" {
			t.Errorf("Pod %s is Ready, and nobody listens", p.Name)
		}
	}
	for _, p := range good {
		if await(t, e, p, podReady); p.Status.ContainerStatuses[0].RestartCount > 0 {
			t.Errorf("Pod %s was restarted", p.Name)
		}
	}
}
