package packets

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
)

// outer is an address behind the node, as of somebody outside.
const outer = "10.99.0.1"

// TestPrivateSubnetPackets shows what needs real packets: a Pod of a private Subnet begins a connection to somebody outside and is
// answered; nobody outside begins one to it, but the node does, and the Pod itself by its own Service.
func TestPrivateSubnetPackets(t *testing.T) { onEachOVN(t, testPrivateSubnetPackets) }

func testPrivateSubnetPackets(t *testing.T) {
	r := newRig(t)
	web, db := r.pod("web", 11), r.pod("db", 12)
	r.put(strings.ReplaceAll(services, "PROTOCOL", "TCP"))
	r.MustExec("", "ip", "addr", "add", outer+"/32", "dev", "lo")
	t.Cleanup(func() { r.MustExec("", "ip", "addr", "del", outer+"/32", "dev", "lo") })
	outside := netip.MustParseAddr(outer)
	r.listen("", outside)
	r.echo(db, db.addrs[0])
	r.apply()
	before := r.dialBy(outside, db.addrs[0], patience)
	r.expect(before, true, "somebody outside to db, before it is private")
	r.put("kind: Subnet\nmetadata: {name: blue}\nspec: {cidrBlock: \"10.66.0.0/24,fd00:10:66::/120\", private: true}\n")
	r.apply()
	r.expect(r.dial(db.netns, outside, 8080, patience), true, "db to somebody outside")
	r.expect(r.dial(web.netns, db.addrs[0], 8080, patience), true, "web to db")
	r.expect(r.dial("", db.addrs[0], 8080, patience), true, "the node to db")
	r.expect(r.dial(db.netns, netip.MustParseAddr("10.96.0.10"), 80, patience), true, "db to its own Service")
	if conn := r.dialBy(outside, db.addrs[0], certainty); conn != nil {
		t.Error("somebody outside reaches db, which is private")
	}
	r.expect(before, false, "the connection of somebody outside from before")
	before = r.dial(web.netns, db.addrs[0], 8080, patience)
	r.expect(before, true, "web to db, before an ACL")
	r.put("kind: Subnet\nmetadata: {name: blue}\nspec: {cidrBlock: \"10.66.0.0/24,fd00:10:66::/120\", " +
		"acls: [{direction: from-lport, priority: 1500, match: \"ip4.dst == 10.66.0.12\", action: drop}]}\n")
	r.apply()
	r.expect(before, false, "the connection of web from before the ACL")
}

// TestSecurityGroupPackets cuts an established connection by a change of a group, and lets it live again; the node is heard always.
func TestSecurityGroupPackets(t *testing.T) { onEachOVN(t, testSecurityGroupPackets) }

func testSecurityGroupPackets(t *testing.T) {
	r := newRig(t)
	web, db := r.pod("web", 11), r.pod("db", 12)
	r.put(strings.ReplaceAll(services, "PROTOCOL", "TCP"))
	r.apply()
	var lasting []net.Conn
	for i, addr := range db.addrs {
		r.echo(db, addr)
		lasting = append(lasting, r.dial(web.netns, addr, 8080, patience))
		r.expect(lasting[i], true, "web to db, without groups")
	}
	r.bind(db, "db")
	r.apply()
	for i, addr := range db.addrs {
		r.expect(lasting[i], false, "the connection from before, with a group that is not there")
		r.expect(r.dial("", addr, 8080, patience), true, "the node to db")
		if conn := r.dial(web.netns, addr, 8080, certainty); conn != nil {
			t.Errorf("web reaches %s", addr)
		}
		if conn := r.dial(db.netns, web.addrs[i], 9, certainty); conn != nil {
			t.Errorf("db reaches %s", web.addrs[i])
		}
	}
	const rules = "{priority: 1, ipVersion: ipv4, protocol: tcp, remoteType: address, remoteAddress: 10.66.0.11, portRangeMin: 8080, portRangeMax: 8080, policy: allow}, " +
		"{priority: 1, ipVersion: ipv6, protocol: tcp, remoteType: address, remoteAddress: \"fd00:10:66::b\", portRangeMin: 8080, portRangeMax: 8080, policy: allow}"
	r.put("kind: SecurityGroup\nmetadata: {name: db}\nspec: {ingressRules: [" + rules + "]}\n")
	r.apply()
	for i, addr := range db.addrs {
		r.expect(lasting[i], true, "the connection from before, with a rule for it")
		lasting[i] = r.dial(web.netns, addr, 8080, patience) // the other one has two answers to come
		r.expect(lasting[i], true, "web to db, with a rule for it")
	}
	r.put("kind: SecurityGroup\nmetadata: {name: db}\nspec: {}\n")
	r.apply()
	for i := range db.addrs {
		r.expect(lasting[i], false, "the connection of the rule, without it")
	}
}

// bind gives a Pod its security groups.
func (r *rig) bind(p *pod, groups string) {
	r.t.Helper()
	r.put(fmt.Sprintf("kind: Pod\nmetadata: {namespace: default, name: %s, uid: %[1]s, labels: {app: %[1]s}, annotations: {ovn.kubernetes.io/security_groups: %q}}\nspec: {nodeName: n1, containers: []}\n",
		p.name, groups))
}
