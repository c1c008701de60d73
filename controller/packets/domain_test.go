package packets

import (
	"fmt"
	"testing"

	"github.com/heddle-net/heddle/controller/state"
	"github.com/heddle-net/heddle/ovs/ovstest/node"
)

const allowDomain = `
kind: ClusterNetworkPolicy
metadata: {name: domain}
spec:
  tier: Admin
  priority: 1
  subject: {pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: web}}}}
  egress:
  - {action: %s, to: [{domainNames: [db.example.com]}]}
  - {action: Deny, to: [{networks: ["10.0.0.0/8", "fd00::/8"]}]}
`

// TestDomainPackets: a name that a policy allows has no address before somebody was answered one, a connection outlives the time of its
// address, and does not outlive the policy.
func TestDomainPackets(t *testing.T) {
	node.UsePrograms(t, "../../dist/root")
	r := newRig(t)
	web, db := r.pod("web", 11), r.pod("db", 12)
	r.put(fmt.Sprintf(allowDomain, "Accept"))
	r.resolved()
	r.apply()
	for _, addr := range db.addrs {
		r.echo(db, addr)
		if conn := r.dial(web.netns, addr, 8080, certainty); conn != nil {
			t.Errorf("web reaches %s before any answer", addr)
		}
	}
	r.resolved(db.addrs[0].String(), db.addrs[1].String())
	r.apply()
	for _, addr := range db.addrs {
		lasting := r.dial(web.netns, addr, 8080, patience)
		r.expect(lasting, true, "web to db by its name")
		r.resolved()
		r.apply()
		r.expect(lasting, true, "the connection after the time of the address")
		if conn := r.dial(web.netns, addr, 8080, certainty); conn != nil {
			t.Errorf("web reaches %s after its time", addr)
		}
		r.resolved(db.addrs[0].String(), db.addrs[1].String())
		r.apply()
	}
	lasting := r.dial(web.netns, db.addrs[0], 8080, patience)
	r.expect(lasting, true, "web to db by its name, again")
	r.store.ClusterPolicies.Delete("domain")
	r.put("kind: ClusterNetworkPolicy\nmetadata: {name: other}\nspec: {tier: Admin, priority: 2, subject: {namespaces: {}}, egress: [{action: Deny, to: [{networks: [10.0.0.0/8]}]}]}\n")
	r.apply()
	r.expect(lasting, false, "the connection after the policy")
}

// resolved says what the name has been resolved to.
func (r *rig) resolved(addresses ...string) {
	r.t.Helper()
	status := ""
	for _, a := range addresses {
		status += fmt.Sprintf("{ip: %q, ttlSeconds: 30, lastLookupTime: null}, ", a)
	}
	r.put(fmt.Sprintf("kind: DNSNameResolver\nmetadata: {name: %s}\nspec: {name: db.example.com.}\nstatus: {resolvedNames: [{dnsName: db.example.com., resolvedAddresses: [%s]}]}\n",
		state.DomainKey("db.example.com."), status))
}
