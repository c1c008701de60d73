package compile_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// udpService is a Service with the port 53, which network.send uses, and these endpoints.
func udpService(t testing.TB, name string, vips []netip.Addr, endpoints ...netip.Addr) []object {
	t.Helper()
	return serviceOf(t, "UDP", name, vips, endpoints...)
}

func serviceOf(t testing.TB, protocol, name string, vips []netip.Addr, endpoints ...netip.Addr) []object {
	t.Helper()
	var text strings.Builder
	fmt.Fprintf(&text, "apiVersion: v1\nkind: Service\nmetadata: {namespace: default, name: %s}\nspec:\n  ports: [{name: dns, port: 53, protocol: %s}]\n  clusterIPs:\n", name, protocol)
	for _, vip := range vips {
		fmt.Fprintf(&text, "  - %q\n", vip)
	}
	for i, e := range endpoints {
		fmt.Fprintf(&text, "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  namespace: default\n  name: %s-%d\n  labels: {kubernetes.io/service-name: %[1]s}\n", name, i)
		fmt.Fprintf(&text, "ports: [{name: dns, port: 5353, protocol: %s}]\nendpoints: [{addresses: [%q]}]\n", protocol, e)
	}
	return parseObjects(t, text.String())
}

// TestServices shows where packets to a VIP go, from Pods and from nodes.
func TestServices(t *testing.T) {
	n := newNetwork(t)
	w := twoNodes("46")
	vips := []netip.Addr{netip.MustParseAddr("10.96.0.10"), netip.MustParseAddr("fd00:10:96::10")}
	apart := []netip.Addr{netip.MustParseAddr("10.96.0.11"), netip.MustParseAddr("fd00:10:96::11")}
	onNode := []netip.Addr{netip.MustParseAddr("10.96.0.12"), netip.MustParseAddr("fd00:10:96::12")}
	db := w.pods[1]
	w.more = slices.Concat(udpService(t, "db", vips, db.addrs...), udpService(t, "empty", apart), udpService(t, "host", onNode, w.nodes[1].internal...))
	n.become(w)
	web, far, n1 := hostOfPod(w, w.pods[0]), hostOfPod(w, w.pods[2]), hostOfNode(w, 0)
	for i := range vips {
		for what, from := range map[string]host{"a Pod of the same Subnet": web, "a Pod of another Subnet": far, "a node": n1, "the endpoint itself": hostOfPod(w, db)} {
			expectOut(t, what+" to the Service", n.send(from, vips[i], ""), []string{"db.default"})
			refused := n.send(from, apart[i], "")
			expectOut(t, what+" to a Service without endpoints", refused, nil)
			if refusal := map[bool]string{true: "icmp4", false: "icmp6"}[vips[i].Is4()]; !slices.Contains(refused.Asked, refusal) {
				t.Errorf("%s to a Service without endpoints is not refused: %s", what, refused.Text)
			}
		}
		expectOut(t, "a Pod to a Service on a node", n.send(web, onNode[i], ""), []string{"node-n2"})
	}
}

// TestServiceSCTP shows the same of SCTP, and that a Service of SCTP is none of UDP.
func TestServiceSCTP(t *testing.T) {
	n := newNetwork(t)
	w := twoNodes("46")
	vips := []netip.Addr{netip.MustParseAddr("10.96.0.10"), netip.MustParseAddr("fd00:10:96::10")}
	apart := []netip.Addr{netip.MustParseAddr("10.96.0.11"), netip.MustParseAddr("fd00:10:96::11")}
	db := w.pods[1]
	w.more = slices.Concat(serviceOf(t, "SCTP", "db", vips, db.addrs...), serviceOf(t, "SCTP", "empty", apart))
	n.become(w)
	for i := range vips {
		for what, from := range map[string]host{"a Pod of the same Subnet": hostOfPod(w, w.pods[0]), "a Pod of another Subnet": hostOfPod(w, w.pods[2]), "a node": hostOfNode(w, 0)} {
			translated := "ct_lb"
			expectOut(t, what+" to the Service by SCTP", n.sendBy("sctp", from, vips[i], ""), []string{"db.default"}, translated)
			expectOut(t, what+" to a Service without endpoints by SCTP", n.sendBy("sctp", from, apart[i], ""), nil)
			if udp := n.send(from, vips[i], ""); slices.Contains(udp.Out, "db.default") {
				t.Errorf("%s reaches the Service by UDP: %s", what, udp.Text)
			}
		}
	}
}

// TestSubnetWithoutServices shows that enableLb: false leaves a Subnet's Pods without Services: their packets leave the cluster.
func TestSubnetWithoutServices(t *testing.T) {
	n := newNetwork(t)
	w := twoNodes("4")
	vip := []netip.Addr{netip.MustParseAddr("10.96.0.10")}
	w.more = slices.Concat(udpService(t, "db", vip, w.pods[1].addrs...), parseObjects(t, "apiVersion: kubeovn.io/v1\nkind: Subnet\nmetadata: {name: green}\nspec: {cidrBlock: 10.67.0.0/24, enableLb: false}\n"))
	n.become(w)
	expectOut(t, "a Pod with Services", n.send(hostOfPod(w, w.pods[0]), vip[0], ""), []string{"db.default"})
	expectOut(t, "a Pod without Services", n.send(hostOfPod(w, w.pods[2]), vip[0], ""), []string{"node-n2"})
}

// TestNodeLocalDNS shows that packets to the address leave by the node of the Pod.
func TestNodeLocalDNS(t *testing.T) {
	n := newNetwork(t)
	w := twoNodes("46")
	n.become(w)
	for _, p := range w.pods {
		for _, to := range localDNS {
			expectOut(t, p.name+" to its DNS", n.send(hostOfPod(w, p), to, ""), []string{w.nodes[p.node].port()})
		}
	}
}
