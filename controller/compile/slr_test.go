package compile_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// udpRule is a SwitchLBRule with the port 53, which network.send uses, that has its Service, these endpoints, and its addresses in
// a Subnet kept.
func udpRule(t testing.TB, vips []netip.Addr, subnet string, endpoints ...netip.Addr) []object {
	t.Helper()
	var list []string
	for _, vip := range vips {
		list = append(list, vip.String())
	}
	text := fmt.Sprintf("apiVersion: kubeovn.io/v1\nkind: SwitchLBRule\nmetadata: {name: dns, uid: \"1\"}\n"+
		"spec: {vip: %q, namespace: default, selector: [\"app:dns\"], ports: [{name: dns, port: 53, protocol: UDP}]}\n---\n", strings.Join(list, ",")) +
		"apiVersion: v1\nkind: Service\nmetadata:\n  namespace: default\n  name: slr-dns\n" +
		"  ownerReferences: [{apiVersion: kubeovn.io/v1, kind: SwitchLBRule, name: dns, uid: \"1\", controller: true}]\nspec: {clusterIP: None}\n"
	for i, e := range endpoints {
		text += fmt.Sprintf("---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {namespace: default, name: slr-dns-%d, labels: {kubernetes.io/service-name: slr-dns}}\n", i) +
			fmt.Sprintf("ports: [{name: dns, port: 5353, protocol: UDP}]\nendpoints: [{addresses: [%q]}]\n", e)
	}
	for _, vip := range vips {
		if subnet != "" {
			text += fmt.Sprintf("---\napiVersion: kubeovn.io/v1\nkind: IP\nmetadata: {name: vip-%s}\nspec: {subnet: %s, v4IpAddress: %s}\n", strings.ReplaceAll(vip.String(), ".", "-"), subnet, vip)
		}
	}
	return parseObjects(t, text)
}

// TestSwitchLBRules shows where packets to the address of a rule go: one in the asker's own Subnet, for which the router answers,
// and one outside of all. Without the rule the first one is nobody's.
func TestSwitchLBRules(t *testing.T) {
	n := newNetwork(t)
	for _, c := range []struct{ vip, subnet string }{{"10.66.0.99", "blue"}, {"203.0.113.9", ""}} {
		w := twoNodes("4")
		vip, db := netip.MustParseAddr(c.vip), w.pods[1]
		w.more = udpRule(t, []netip.Addr{vip}, c.subnet, db.addrs...)
		n.become(w)
		web := hostOfPod(w, w.pods[0])
		gateway := n.gatewayMAC(web, nth(w.subnets[0].cidrs, 1)[0])
		if c.subnet != "" {
			if mac := n.whoHas(web, vip); mac != gateway {
				t.Errorf("%q answers for %s, want the gateway, %s", mac, vip, gateway)
			}
		}
		askers := map[string]host{"a Pod of the Subnet": web, "a Pod of another one": hostOfPod(w, w.pods[2]), "the endpoint itself": hostOfPod(w, db)}
		if c.subnet != "" { // to others nodes have no route
			askers["a node"] = hostOfNode(w, 0)
		}
		for what, from := range askers {
			expectOut(t, what+" to "+c.vip, n.send(from, vip, gateway), []string{"db.default"})
		}
		w.more = nil
		n.become(w)
		if mac := n.whoHas(web, vip); c.subnet != "" && mac != "" {
			t.Errorf("%q answers for %s, which nobody has", mac, vip)
		}
	}
}

// TestSwitchLBRuleTaken shows that a rule takes nothing from the Pod that has its address.
func TestSwitchLBRuleTaken(t *testing.T) {
	n := newNetwork(t)
	w := twoNodes("4")
	web, db := hostOfPod(w, w.pods[0]), hostOfPod(w, w.pods[1])
	w.more = udpRule(t, w.pods[1].addrs, "blue", w.pods[2].addrs...)
	n.become(w)
	if mac := n.whoHas(web, db.addrs[0]); mac != db.mac {
		t.Errorf("%q answers for the Pod, which has %s", mac, db.mac)
	}
	expectOut(t, "to the Pod", n.send(web, db.addrs[0], db.mac), []string{"db.default"})
}
