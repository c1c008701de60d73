package compile_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/heddle-net/heddle/ovs/ovstest"
)

// crossing are questions about db, on the second node and in the Subnet blue: who reaches it, and whom it reaches.
func (n *network) crossing(w world) map[string]func(i int) ovstest.Trace {
	web, db, far := hostOfPod(w, w.pods[0]), hostOfPod(w, w.pods[1]), hostOfPod(w, w.pods[2])
	outside := []netip.Addr{netip.MustParseAddr("198.51.100.9"), netip.MustParseAddr("2001:db8:ffff::9")}
	vips := []netip.Addr{netip.MustParseAddr("10.96.0.10"), netip.MustParseAddr("fd00:10:96::10")}
	return map[string]func(i int) ovstest.Trace{
		"web>db":     func(i int) ovstest.Trace { return n.sendTo(web, db.addrs[i], db.mac, "udp", 53) },
		"web>db:tcp": func(i int) ovstest.Trace { return n.sendTo(web, db.addrs[i], db.mac, "tcp", 80) },
		"far>db":     func(i int) ovstest.Trace { return n.sendTo(far, db.addrs[i], "", "udp", 53) },
		"far>vip":    func(i int) ovstest.Trace { return n.sendTo(far, vips[i], "", "udp", 53) },
		"n1>db":      func(i int) ovstest.Trace { return n.sendTo(hostOfNode(w, 0), db.addrs[i], "", "udp", 53) },
		"db>web":     func(i int) ovstest.Trace { return n.sendTo(db, web.addrs[i], web.mac, "udp", 53) },
		"db>far":     func(i int) ovstest.Trace { return n.sendTo(db, far.addrs[i], "", "udp", 53) },
		"db>outside": func(i int) ovstest.Trace { return n.sendTo(db, outside[i], "", "udp", 53) },
	}
}

// expectCrossing compares who gets through with a list, "4:" or "6:" before what is of one family.
func (n *network) expectCrossing(t *testing.T, name string, w world, list string) {
	t.Helper()
	pass := strings.Fields(list)
	for question, ask := range n.crossing(w) {
		for i, f := range []string{"4:", "6:"} {
			want := slices.Contains(pass, question) || slices.Contains(pass, f+question)
			if trace := ask(i); (len(trace.Out) > 0) != want {
				t.Errorf("%s: IPv%s%s passes: %t\n%s", name, f, question, !want, trace.Text)
			}
		}
	}
}

// TestSubnetSecurity asks OVN who reaches the Pods of a Subnet.
func TestSubnetSecurity(t *testing.T) {
	n := newNetwork(t)
	const out = " db>web db>far db>outside"
	const all = "web>db web>db:tcp far>db far>vip n1>db" + out
	const deny = "{podSelector: {matchLabels: {app: db}}}"
	for _, c := range []struct {
		name, spec, policy, pass string
	}{
		{"private", "private: true", "", "web>db web>db:tcp n1>db" + out},
		{"allowSubnets of one family, Services too", "private: true, allowSubnets: [10.67.0.0/24]", "", "web>db web>db:tcp n1>db 4:far>db 4:far>vip" + out},
		{"allowSubnets alone", "allowSubnets: [10.9.0.0/24]", "", all},
		{"a policy decides before", "private: true", deny, out},
		{"a policy lets in whom private does not", "private: true", "{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {matchLabels: {app: far}}}]}]}", "far>db far>vip" + out},
		{"an ACL to Pods", `acls: [{direction: to-lport, priority: 1, match: "udp && ip4", action: drop}]`, "", "web>db:tcp 6:web>db 6:far>db 6:far>vip 6:n1>db 6:db>web 6:db>far 6:db>outside"},
		{"an ACL from Pods, or from the router, and to their own again", `allowEWTraffic: true, acls: [{direction: from-lport, priority: 1000, match: "ip", action: drop}]`, "", "web>db web>db:tcp db>web"},
		{"a stronger one", `allowEWTraffic: true, acls: [{direction: to-lport, priority: 1901, match: "udp", action: drop}]`, "", "web>db:tcp"},
		{"one that lets into a private Subnet", `private: true, acls: [{direction: to-lport, priority: 1002, match: "udp", action: allow-related}]`, "", all},
		{"one that OVN cannot read", `private: true, acls: [{direction: to-lport, priority: 1002, match: "everything", action: allow}]`, "", "web>db web>db:tcp n1>db" + out},
	} {
		w := twoNodes("46")
		labelled(&w)
		w.more = append(w.more, udpService(t, "db", []netip.Addr{netip.MustParseAddr("10.96.0.10"), netip.MustParseAddr("fd00:10:96::10")}, w.pods[1].addrs...)...)
		w.more = append(w.more, parseObjects(t, fmt.Sprintf(
			"kind: Subnet\nmetadata: {name: blue}\nspec: {cidrBlock: \"10.66.0.0/24,fd00:10:66::/120\", %s}\n", c.spec))...)
		if c.policy != "" {
			w.more = append(w.more, policies(t, c.policy)...)
		}
		n.become(w)
		n.expectCrossing(t, c.name, w, c.pass)
	}
}

// expectBases wants what no group can deny to come to db, and to leave it.
func (n *network) expectBases(t *testing.T, w world) {
	t.Helper()
	web, db := hostOfPod(w, w.pods[0]), hostOfPod(w, w.pods[1])
	for _, c := range []struct {
		from, to host
		protocol string
	}{
		{web, db, "udp.src == 67 && udp.dst == 68"},
		{db, web, "udp.src == 68 && udp.dst == 67"},
		{web, db, "udp.src == 547 && udp.dst == 546"},
		{db, web, "udp.src == 546 && udp.dst == 547"},
		{web, db, "ip.proto == 112"},
		{db, web, "ip.proto == 112"},
	} {
		for i, f := range []string{"ip4", "ip6"} {
			trace := n.ask(c.from, fmt.Sprintf("eth.dst == %s && ip.ttl == 64 && %s.src == %s && %[2]s.dst == %[4]s && %s",
				c.to.mac, f, c.from.addrs[i], c.to.addrs[i], c.protocol))
			expectOut(t, f+" "+c.protocol, trace, []string{c.to.port})
		}
	}
}

// secured gives Pods of the Namespace default, on a node, their security groups.
func secured(t *testing.T, w world, groups map[string]string) (objects []object) {
	t.Helper()
	for _, p := range w.pods {
		if names, ok := groups[p.name]; ok {
			objects = append(objects, parseObjects(t, fmt.Sprintf(
				"kind: Pod\nmetadata: {namespace: default, name: %s, labels: {app: %[1]s}, annotations: {ovn.kubernetes.io/security_groups: %q}}\nspec: {nodeName: %s, containers: []}\n",
				p.name, names, w.nodes[p.node].name))...)
		}
	}
	return objects
}

// TestSecurityGroups asks OVN who reaches a Pod that has bound itself to security groups.
func TestSecurityGroups(t *testing.T) {
	n := newNetwork(t)
	const (
		free = " db>web db>far db>outside"
		all4 = "ipVersion: ipv4, protocol: all, remoteType: address, remoteAddress: 0.0.0.0/0, policy: "
		out  = "egressRules: [{priority: 1, " + all4 + "allow}, {priority: 1, ipVersion: ipv6, protocol: all, remoteType: address, remoteAddress: \"::/0\", policy: allow}]"
		udp  = "ipVersion: ipv4, protocol: udp, remoteType: address, remoteAddress: 10.67.0.0/24, "
	)
	for _, c := range []struct {
		name   string
		groups map[string]string
		specs  map[string]string
		policy string
		pass   string
	}{
		{"a group that is not there", map[string]string{"db": "nobody"}, nil, "", ""},
		{"a group without rules", map[string]string{"db": "db"}, map[string]string{"db": "{}"}, "", ""},
		{"egress", map[string]string{"db": "db"}, map[string]string{"db": "{" + out + "}"}, "", free},
		{"the same group", map[string]string{"db": "db", "web": "db"}, map[string]string{"db": "{allowSameGroupTraffic: true}"}, "", "web>db web>db:tcp db>web"},
		{"another group", map[string]string{"db": "db", "web": "web"}, map[string]string{
			"db":  "{ingressRules: [{priority: 1, ipVersion: ipv6, protocol: tcp, remoteType: securityGroup, remoteSecurityGroup: web, portRangeMin: 80, portRangeMax: 90, policy: allow}]}",
			"web": "{" + out + "}",
		}, "", "6:web>db:tcp"},
		{"a port that is not in the range", map[string]string{"db": "db"}, map[string]string{
			"db": "{ingressRules: [{priority: 1, " + udp + "portRangeMin: 54, portRangeMax: 90, policy: allow}], " + out + "}",
		}, "", free},
		{"addresses, and the Service's real client", map[string]string{"db": "db"}, map[string]string{
			"db": "{ingressRules: [{priority: 1, " + udp + "localAddress: 10.66.0.8, portRangeMin: 50, portRangeMax: 5353, policy: allow}], " + out + "}",
		}, "", "4:far>db 4:far>vip" + free},
		{"a rule that drops, and a weaker one", map[string]string{"db": "db, more"}, map[string]string{
			"db": "{ingressRules: [{priority: 7, " + all4 + "allow}]}", "more": "{ingressRules: [{priority: 6, " + udp + "policy: drop}], " + out + "}",
		}, "", "4:web>db 4:web>db:tcp 4:n1>db" + free},
		{"an existing one beside one that is not", map[string]string{"db": "db,nobody"}, map[string]string{"db": "{ingressRules: [{priority: 1, " + all4 + "allow}]}"}, "", "4:web>db 4:web>db:tcp 4:far>db 4:far>vip 4:n1>db"},
		{"a policy does not open what a group denies", map[string]string{"db": "db"}, map[string]string{"db": "{" + out + "}"}, "{podSelector: {}, ingress: [{}]}", free},
		{"a group lets in whom a policy does not", map[string]string{"db": "db"}, map[string]string{"db": "{ingressRules: [{priority: 1, " + udp + "policy: allow}], " + out + "}"}, "{podSelector: {matchLabels: {app: db}}}", "4:far>db 4:far>vip" + free},
	} {
		w := twoNodes("46")
		labelled(&w)
		w.more = append(w.more, udpService(t, "db", []netip.Addr{netip.MustParseAddr("10.96.0.10"), netip.MustParseAddr("fd00:10:96::10")}, w.pods[1].addrs...)...)
		w.more = append(w.more, secured(t, w, c.groups)...)
		for name, spec := range c.specs {
			w.more = append(w.more, parseObjects(t, fmt.Sprintf("kind: SecurityGroup\nmetadata: {name: %s}\nspec: %s\n", name, spec))...)
		}
		if c.policy != "" {
			w.more = append(w.more, policies(t, c.policy)...)
		}
		n.become(w)
		n.expectCrossing(t, c.name, w, c.pass)
		if c.groups["web"] == "" {
			n.expectBases(t, w)
		}
	}
}
