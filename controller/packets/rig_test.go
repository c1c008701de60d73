package packets

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"
	"sigs.k8s.io/yaml"

	"github.com/heddle-net/heddle/controller/compile"
	"github.com/heddle-net/heddle/controller/feed"
	"github.com/heddle-net/heddle/controller/state"
	v1 "github.com/heddle-net/heddle/crds/v1"
	"github.com/heddle-net/heddle/ovs/nb"
	"github.com/heddle-net/heddle/ovs/nb/db"
	"github.com/heddle-net/heddle/ovs/ovstest/node"
)

func TestMain(m *testing.M) { node.Main(m) }

// onEachOVN runs a test with this machine's OVN and with the image's: they differ in what becomes of connections that were there before.
func onEachOVN(t *testing.T, test func(t *testing.T)) {
	t.Run("machine", test)
	t.Run("image", func(t *testing.T) {
		node.UsePrograms(t, "../../dist/root")
		test(t)
	})
}

// rig is a cluster of one node, n1, with Pods in namespaces, and the node's own link ovn0.
type rig struct {
	*node.Node
	t     *testing.T
	store *state.Store
	conn  *nb.Conn
	pods  map[string]*pod
	nodes map[string]*node.Node
}

type pod struct {
	name, netns string
	addrs       []netip.Addr
}

const network = `
kind: Vpc
metadata: {name: ovn-cluster}
---
kind: Subnet
metadata: {name: join}
spec: {cidrBlock: "100.64.0.0/16,fd00:100:64::/112"}
---
kind: Subnet
metadata: {name: blue}
spec: {cidrBlock: "10.66.0.0/24,fd00:10:66::/120"}
---
kind: Node
metadata: {name: n1, annotations: {ovn.kubernetes.io/chassis: node-under-test}}
status: {addresses: [{type: InternalIP, address: 192.0.2.1}]}
---
kind: IP
metadata: {name: node-n1}
spec: {subnet: join, v4IpAddress: 100.64.0.2, v6IpAddress: "fd00:100:64::2", macAddress: "0a:58:64:40:00:02"}
`

func newRig(t *testing.T) *rig {
	t.Helper()
	return newRigOf(t, state.Config{DefaultVpc: "ovn-cluster", DefaultSubnet: "ovn-default", JoinSubnet: "join"})
}

func newRigOf(t *testing.T, config state.Config) *rig {
	t.Helper()
	r := &rig{Node: node.Start(t, node.Options{}), t: t, pods: make(map[string]*pod)}
	r.nodes = map[string]*node.Node{"n1": r.Node}
	r.store = state.New(config)
	var err error
	if r.conn, err = nb.Dial(t.Context(), nb.Config{Endpoints: []string{r.NB}, Log: logr.Discard()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.conn.Close)
	if err := r.conn.Acquire(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.store.SetServer(state.Server{Templates: true, Tiers: r.conn.Has(db.ACLTable, "tier"), Mirrors: r.conn.Has(db.ACLTable, "tier")})
	r.put(network)
	r.join()
	return r
}

// join is the node's own link, as the daemon makes it.
func (r *rig) join() {
	r.VSCtl("add-port", "br-int", "ovn0", "--", "set", "Interface", "ovn0", "type=internal", `mac="0a:58:64:40:00:02"`, "external_ids:iface-id=node-n1")
	r.t.Cleanup(func() { r.VSCtl("del-port", "br-int", "ovn0") }) // the next test in this namespace makes it again
	r.FinishChecksums("", "ovn0")
	r.MustExec("", "ip", "link", "set", "ovn0", "up")
	r.MustExec("", "ip", "addr", "add", "100.64.0.2/16", "dev", "ovn0")
	r.MustExec("", "ip", "addr", "add", "fd00:100:64::2/112", "dev", "ovn0", "nodad")
	r.MustExec("", "ip", "route", "add", "10.0.0.0/8", "via", "100.64.0.1")
	r.MustExec("", "ip", "route", "add", "fd00:10::/32", "via", "fd00:100:64::1")
}

// pod makes a Pod with a label app, by its name, and its link.
func (r *rig) pod(name string, host int) *pod {
	r.t.Helper()
	return r.podOn("n1", name, host)
}

func (r *rig) podOn(at, name string, host int) *pod {
	r.t.Helper()
	n := r.nodes[at]
	p := &pod{name: name, netns: n.NewNetNS(), addrs: []netip.Addr{
		netip.MustParseAddr(fmt.Sprintf("10.66.0.%d", host)), netip.MustParseAddr(fmt.Sprintf("fd00:10:66::%x", host)),
	}}
	r.pods[name] = p
	mac, link := fmt.Sprintf("0a:58:0a:42:00:%02x", host), "h-"+name
	n.MustExec("", "ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "address", mac, "netns", p.netns)
	r.t.Cleanup(func() { n.MustExec("", "ip", "link", "del", link) })
	n.FinishChecksums("", link)
	n.MustExec("", "ip", "link", "set", link, "mtu", "1400", "up")
	n.FinishChecksums(p.netns, "eth0")
	n.MustExec(p.netns, "ip", "link", "set", "lo", "up")
	n.MustExec(p.netns, "ip", "link", "set", "eth0", "mtu", "1400", "up")
	n.MustExec(p.netns, "ip", "addr", "add", p.addrs[0].String()+"/24", "dev", "eth0")
	n.MustExec(p.netns, "ip", "addr", "add", p.addrs[1].String()+"/120", "dev", "eth0", "nodad")
	n.MustExec(p.netns, "ip", "route", "add", "default", "via", "10.66.0.1")
	n.MustExec(p.netns, "ip", "-6", "route", "add", "default", "via", "fd00:10:66::1")
	n.VSCtl("add-port", "br-int", link, "--", "set", "Interface", link, "external_ids:iface-id="+name+".default", "external_ids:iface-id-ver="+name)
	r.put(fmt.Sprintf("kind: IP\nmetadata: {name: %s.default}\nspec: {subnet: blue, v4IpAddress: %s, v6IpAddress: %q, macAddress: %q}\n---\n"+
		"kind: Pod\nmetadata: {namespace: default, name: %[1]s, uid: %[1]s, labels: {app: %[1]s}}\nspec: {nodeName: %[5]s, containers: []}\n", name, p.addrs[0], p.addrs[1], mac, at))
	return p
}

var converters = map[string]func(*state.Store, []byte) error{
	"Vpc": convert(func(s *state.Store, o *v1.Vpc) { s.Vpcs.Put(o.Name, feed.Vpc(o)) }),
	"Subnet": convert(func(s *state.Store, o *v1.Subnet) {
		s.Subnets.Put(o.Name, feed.Subnet(o, s.Config().DefaultVpc))
	}),
	"Node": convert(func(s *state.Store, o *corev1.Node) {
		s.Nodes.Put(o.Name, feed.Node(o))
		s.Places.Put(o.Name, feed.Place(o))
	}),
	"IP":      convert(func(s *state.Store, o *v1.IP) { s.IPs.Put(o.Name, feed.IP(o)) }),
	"Pod":     convert(func(s *state.Store, o *corev1.Pod) { s.Pods.Put(o.Namespace+"/"+o.Name, feed.Pod(o)) }),
	"Service": convert(func(s *state.Store, o *corev1.Service) { s.Services.Put(o.Namespace+"/"+o.Name, feed.Service(o)) }),
	"EndpointSlice": convert(func(s *state.Store, o *discoveryv1.EndpointSlice) {
		s.EndpointSlices.Put(o.Namespace+"/"+o.Name, feed.EndpointSlice(o))
	}),
	"SecurityGroup": convert(func(s *state.Store, o *v1.SecurityGroup) { s.SecurityGroups.Put(o.Name, feed.SecurityGroup(o)) }),
	"AdminNetworkPolicy": convert(func(s *state.Store, o *v1alpha1.AdminNetworkPolicy) {
		s.AdminPolicies.Put(o.Name, feed.AdminNetworkPolicy(o))
	}),
	"BaselineAdminNetworkPolicy": convert(func(s *state.Store, o *v1alpha1.BaselineAdminNetworkPolicy) {
		s.BaselinePolicies.Put(o.Name, feed.BaselineAdminNetworkPolicy(o))
	}),
	"ClusterNetworkPolicy": convert(func(s *state.Store, o *v1alpha2.ClusterNetworkPolicy) {
		s.ClusterPolicies.Put(o.Name, feed.ClusterNetworkPolicy(o))
	}),
	"DNSNameResolver": convert(func(s *state.Store, o *v1.DNSNameResolver) { s.Domains.Put(o.Name, feed.Domain(o)) }),
	"NetworkPolicy": convert(func(s *state.Store, o *networkingv1.NetworkPolicy) {
		s.Policies.Put(o.Namespace+"/"+o.Name, feed.NetworkPolicy(o))
	}),
}

func convert[T any](put func(*state.Store, *T)) func(*state.Store, []byte) error {
	return func(s *state.Store, document []byte) error {
		o := new(T)
		if err := yaml.UnmarshalStrict(document, o); err != nil {
			return err
		}
		put(s, o)
		return nil
	}
}

// put takes objects as their authors write them; apply brings them into the network.
func (r *rig) put(text string) {
	r.t.Helper()
	for document := range strings.SplitSeq(text, "\n---\n") {
		var kind metav1.TypeMeta
		if err := yaml.Unmarshal([]byte(document), &kind); err != nil {
			r.t.Fatal(err)
		}
		if err := converters[kind.Kind](r.store, []byte(document)); err != nil {
			r.t.Fatalf("%v in\n%s", err, document)
		}
	}
}

// policy puts a NetworkPolicy of the Namespace default.
func (r *rig) policy(name, spec string) {
	r.t.Helper()
	r.put(fmt.Sprintf("kind: NetworkPolicy\nmetadata: {namespace: default, name: %s}\nspec: %s\n", name, spec))
}

// apply makes the network that of the objects and returns when every flow is there.
func (r *rig) apply() {
	r.t.Helper()
	want := make(map[nb.Owner][]nb.Row)
	one := func(o nb.Owner) { r.store.Compile(o, func(v *state.View) { want[o] = compile.Owner(v, o).Rows }) }
	for _, o := range append(r.store.Owners(), r.store.TakeAll()...) { // those that are gone, too
		if o.Kind != state.KindGroup {
			one(o)
		}
	}
	for _, o := range r.store.Groups() { // known when all who ask have been compiled
		one(o)
	}
	for _, o := range r.conn.Owners() {
		if _, ok := want[o]; !ok {
			want[o] = nil
		}
	}
	var wants []nb.Want
	for o, rows := range want {
		for _, row := range rows {
			if lb, ok := row.Model.(*db.LoadBalancer); ok {
				lb.SelectionFields = nil // OVN before 25.03 refuses the choice by IPv6 address
			}
		}
		wants = append(wants, nb.Want{Owner: o, Rows: rows})
	}
	r.conn.Sync()
	txn := nb.Plan(r.conn, wants)
	if len(txn.Blocked) > 0 {
		r.t.Fatalf("blocked: %+v", txn.Blocked)
	}
	if err := r.conn.Commit(r.t.Context(), txn); err != nil {
		r.t.Fatalf("%v\n%s", err, txn)
	}
	r.NBCtl("--wait=hv", "--timeout=120", "sync")
	for _, n := range r.nodes {
		// Packets pass by flows of the datapath that came of older OpenFlow flows until these have been looked through. One pass may be under way.
		n.AppCtl("revalidator/wait")
		n.AppCtl("revalidator/wait")
	}
}
