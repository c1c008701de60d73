package state

import (
	"maps"
	"net/netip"
	"slices"
	"sync"

	"github.com/heddle-net/heddle/ovs/nb"
)

// Owner kinds: who wants rows. Compilers are registered under these names.
const (
	KindVpc     = "vpc"
	KindSubnet  = "subnet"
	KindNode    = "node"
	KindPlace   = "place"
	KindService = "service"
	KindPolicy  = "networkpolicy"
	// Those of the cluster's administrator are one Table each, of one type.
	KindAdminPolicy    = "adminnetworkpolicy"
	KindBaselinePolicy = "baselineadminnetworkpolicy"
	KindClusterPolicy  = "clusternetworkpolicy"
	KindPod            = "pod"
	KindGroup          = "group"

	KindServiceCIDR = "servicecidr"
	// KindSwitchLBRule is short: kubectl's users write slr, too.
	KindSwitchLBRule = "slr"
	// KindSecurityGroup is short for the same reason.
	KindSecurityGroup = "sg"
	KindDomain        = "domain"
	KindMirror        = "mirror"
)

type tableID uint8

const (
	vpcs tableID = iota
	subnets
	nodes
	places
	pods
	namespaces
	ips
	services
	endpointSlices
	serviceCIDRs
	groupSets
	switchLBRules
	ruleServices
	policies
	adminPolicies
	baselinePolicies
	clusterPolicies
	namedPorts
	securityGroups
	securityTiers
	domains
	mirrors
)

// Config is what does not change while the controller runs.
type Config struct {
	DefaultVpc    string
	DefaultSubnet string
	JoinSubnet    string
	// ServiceCIDRs are those of a cluster whose API server tells none.
	ServiceCIDRs []netip.Prefix
	// NodeLocalDNS are addresses that each node has for itself.
	NodeLocalDNS []netip.Addr
	// MirrorAll copies the packets of all Pods to the mirror of their node.
	MirrorAll bool
}

// Store holds all tables. It is safe for concurrent use.
type Store struct {
	Vpcs    *Table[Vpc]
	Subnets *Table[Subnet]
	Nodes   *Table[Node]
	Places  *Table[Place]
	Pods    *Table[Pod]
	// Namespaces and IPs want no rows themselves.
	Namespaces *Table[Namespace]
	IPs        *Table[IP]

	Services       *Table[Service]
	EndpointSlices *Table[EndpointSlice]
	ServiceCIDRs   *Table[ServiceCIDR]

	SwitchLBRules *Table[SwitchLBRule]
	RuleServices  *Table[RuleService]

	SecurityGroups *Table[SecurityGroup]

	Policies *Table[NetworkPolicy]
	// AdminPolicies, BaselinePolicies and ClusterPolicies have what the three kinds of policy.networking.k8s.io say.
	AdminPolicies, BaselinePolicies, ClusterPolicies *Table[ClusterPolicy]
	Domains                                          *Table[Domain]
	Mirrors                                          *Table[Mirror]

	config  Config
	server  Server // see SetServer
	mu      sync.Mutex
	readers map[read]*readers
	reads   map[nb.Owner][]read
	queue   *queue
	groups  *groups
	numbers portNumbers
}

// read is one thing that a compiler looked at: a key (index 0), or a value in an index.
type read struct {
	table tableID
	index uint8
	value string
}

// New returns an empty store.
func New(config Config) *Store {
	s := &Store{config: config, server: Server{Templates: true, Tiers: true, Mirrors: true}, readers: make(map[read]*readers), reads: make(map[nb.Owner][]read), queue: newQueue(), groups: newGroups(), numbers: make(portNumbers)}
	s.Vpcs = newTable(s, vpcs, KindVpc, (*Vpc).equal)
	s.Subnets = newTable(s, subnets, KindSubnet, (*Subnet).equal, func(s *Subnet) string { return s.Vpc })
	s.Nodes = newTable(s, nodes, KindNode, (*Node).equal, func(*Node) string { return "" })
	s.Places = newTable(s, places, KindPlace, (*Place).equal, func(*Place) string { return "" })
	s.Pods = newTable(s, pods, KindPod, (*Pod).equal, func(p *Pod) string { return p.Namespace }, mirroredIndex)
	s.Namespaces = newTable(s, namespaces, "", (*Namespace).equal)
	s.IPs = newTable(s, ips, "", (*IP).equal)
	s.Services = newTable(s, services, KindService, (*Service).equal, func(s *Service) string { return nearIndex(s.Near()) })
	s.EndpointSlices = newTable(s, endpointSlices, "", (*EndpointSlice).equal, func(e *EndpointSlice) string { return e.Service })
	s.ServiceCIDRs = newTable(s, serviceCIDRs, KindServiceCIDR, (*ServiceCIDR).equal, func(*ServiceCIDR) string { return "" })
	s.Services.indexByAll(func(s *Service) []string { return texts(s.VIPs) })
	s.addSwitchLBRules()
	s.Policies = newTable(s, policies, KindPolicy, (*NetworkPolicy).equal)
	s.AdminPolicies = newTable(s, adminPolicies, KindAdminPolicy, (*ClusterPolicy).equal)
	s.BaselinePolicies = newTable(s, baselinePolicies, KindBaselinePolicy, (*ClusterPolicy).equal)
	s.ClusterPolicies = newTable(s, clusterPolicies, KindClusterPolicy, (*ClusterPolicy).equal)
	s.SecurityGroups = newTable(s, securityGroups, KindSecurityGroup, (*SecurityGroup).equal)
	s.SecurityGroups.moved = s.securityGroupMoved
	s.Domains = newTable(s, domains, KindDomain, (*Domain).equal)
	s.Mirrors = newTable(s, mirrors, KindMirror, (*Mirror).equal, func(*Mirror) string { return "" })
	s.Mirrors.Put(NodeMirrorKey, nodeMirror(config.MirrorAll))
	s.Pods.moved, s.Namespaces.moved, s.IPs.moved = s.podMoved, s.namespaceMoved, s.ipMoved
	return s
}

// Config returns what New was given.
func (s *Store) Config() Config { return s.config }

// Server is what the database that is written to can hold.
type Server struct {
	Templates bool // Chassis_Template_Var (OVN 22.12): what differs from node to node
	Tiers     bool // ACL.tier (OVN 23.06)
	Mirrors   bool // Mirror with type local and both directions at once (OVN 23.06)
}

// SetServer says what the database that is written to can hold; it is taken for one that can hold everything before. Whoever calls it
// has everything compiled again.
func (s *Store) SetServer(server Server) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.server = server
}

// nearIndex is the value of a Service in its index.
func nearIndex(near bool) string {
	if near {
		return "near"
	}
	return ""
}

// Owners lists the owner of every object, and then the groups that are asked for.
func (s *Store) Owners() []nb.Owner {
	var owners []nb.Owner
	for _, key := range s.Vpcs.Keys() {
		owners = append(owners, nb.Owner{Kind: KindVpc, Key: key})
	}
	for _, key := range s.Subnets.Keys() {
		owners = append(owners, nb.Owner{Kind: KindSubnet, Key: key})
	}
	for _, key := range s.Nodes.Keys() {
		owners = append(owners, nb.Owner{Kind: KindNode, Key: key})
	}
	for _, key := range s.Places.Keys() {
		owners = append(owners, nb.Owner{Kind: KindPlace, Key: key})
	}
	for _, key := range s.Services.Keys() {
		owners = append(owners, nb.Owner{Kind: KindService, Key: key})
	}
	for _, key := range s.ServiceCIDRs.Keys() {
		owners = append(owners, nb.Owner{Kind: KindServiceCIDR, Key: key})
	}
	for _, key := range s.SwitchLBRules.Keys() {
		owners = append(owners, nb.Owner{Kind: KindSwitchLBRule, Key: key})
	}
	for _, key := range s.Policies.Keys() {
		owners = append(owners, nb.Owner{Kind: KindPolicy, Key: key})
	}
	for _, table := range s.clusterPolicyTables() {
		for _, key := range table.Keys() {
			owners = append(owners, nb.Owner{Kind: table.kind, Key: key})
		}
	}
	for _, key := range s.SecurityGroups.Keys() {
		owners = append(owners, nb.Owner{Kind: KindSecurityGroup, Key: key})
	}
	for _, key := range s.Domains.Keys() {
		owners = append(owners, nb.Owner{Kind: KindDomain, Key: key})
	}
	for _, key := range s.Mirrors.Keys() {
		owners = append(owners, nb.Owner{Kind: KindMirror, Key: key})
	}
	for _, key := range s.Pods.Keys() {
		owners = append(owners, nb.Owner{Kind: KindPod, Key: key})
	}
	return append(owners, s.Groups()...)
}

// Groups lists the groups that are asked for.
func (s *Store) Groups() []nb.Owner {
	s.mu.Lock()
	defer s.mu.Unlock()
	owners := make([]nb.Owner, 0, len(s.groups.byKey))
	for _, key := range slices.Sorted(maps.Keys(s.groups.byKey)) {
		owners = append(owners, nb.Owner{Kind: KindGroup, Key: key})
	}
	return owners
}

// View is how a compiler reads: everything that it asks for is recorded under its owner. It is valid inside Compile only.
type View struct {
	store *Store
	owner nb.Owner
	reads []read
	// selected are the selectors of the groups that were asked for.
	selected map[string]canonical
}

// Compile forgets what the owner has read before and runs f, during which nothing changes. It returns the groups that must
// commit together with the owner, and be compiled after it: those that it is the first to ask for, or the last to ask for no
// more, and, of a Pod, those that it joins or leaves.
func (s *Store) Compile(owner nb.Owner, f func(*View)) (groups []nb.Owner) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := &View{store: s, owner: owner}
	f(v)
	groups = append(s.setReads(v), s.groups.joining[owner]...)
	delete(s.groups.joining, owner)
	return groups
}

// Inspect runs f without recording anything: for reporters and deciders that need a consistent look at several objects.
func (s *Store) Inspect(f func(*View)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&View{store: s})
}

// setReads replaces what the owner has read, and returns the groups that come or go with it.
func (s *Store) setReads(v *View) (groups []nb.Owner) {
	old, now, owner := s.reads[v.owner], v.reads, v.owner
	if slices.Equal(old, now) {
		return nil
	}
	for _, r := range old {
		if !slices.Contains(now, r) && s.dropReader(r, owner) && r.table == groupSets {
			groups = append(groups, s.groups.release(r.value, SetKind(r.index)))
		}
	}
	for _, r := range now {
		if s.readers[r] == nil {
			s.readers[r] = &readers{}
			if r.table == groupSets {
				groups = append(groups, s.groups.ask(r.value, SetKind(r.index), v.selected[r.value]))
			}
		}
		s.readers[r].add(owner)
	}
	s.reads[owner] = now
	if len(now) == 0 {
		delete(s.reads, owner)
	}
	return groups
}

// dropReader reports whether nobody is left.
func (s *Store) dropReader(r read, owner nb.Owner) (last bool) {
	list := s.readers[r]
	if list == nil || !list.remove(owner) {
		return false
	}
	delete(s.readers, r)
	return true
}

func (s *Store) readersOf(r read, into map[nb.Owner]bool) {
	if list := s.readers[r]; list != nil {
		list.each(func(owner nb.Owner) { into[owner] = true })
	}
}

// readers is the set of owners that read one thing. Most things have one reader, some have 50,000.
type readers struct {
	one  nb.Owner
	more map[nb.Owner]bool
}

func (r *readers) add(owner nb.Owner) {
	switch {
	case r.one == owner:
	case r.one == nb.Owner{} && r.more == nil:
		r.one = owner
	default:
		if r.more == nil {
			r.more = make(map[nb.Owner]bool)
		}
		r.more[owner] = true
	}
}

// remove reports whether nobody is left.
func (r *readers) remove(owner nb.Owner) (empty bool) {
	delete(r.more, owner)
	if r.one == owner {
		r.one = nb.Owner{}
	}
	return r.one == nb.Owner{} && len(r.more) == 0
}

func (r *readers) each(f func(nb.Owner)) {
	if r.one != (nb.Owner{}) {
		f(r.one)
	}
	for owner := range r.more {
		f(owner)
	}
}

func (v *View) record(r read) {
	if !slices.Contains(v.reads, r) {
		v.reads = append(v.reads, r)
	}
}

// Config returns what does not change while the controller runs.
func (v *View) Config() Config { return v.store.config }

// Vpc returns the VPC of that name, nil when there is none.
func (v *View) Vpc(name string) *Vpc { return v.store.Vpcs.get(v, name) }

// Subnet returns the Subnet of that name, nil when there is none.
func (v *View) Subnet(name string) *Subnet { return v.store.Subnets.get(v, name) }

// SubnetsOf lists the Subnets of a VPC by name.
func (v *View) SubnetsOf(vpc string) []*Subnet { return v.store.Subnets.by(v, 0, vpc) }

// Node returns the Node of that name, nil when there is none.
func (v *View) Node(name string) *Node { return v.store.Nodes.get(v, name) }

// Nodes lists all Nodes by name.
func (v *View) Nodes() []*Node { return v.store.Nodes.by(v, 0, "") }

// Place returns where the Node of that name is, nil when there is none.
func (v *View) Place(node string) *Place { return v.store.Places.get(v, node) }

// Places lists where all Nodes are, by their names.
func (v *View) Places() []*Place { return v.store.Places.by(v, 0, "") }

// Pod returns the Pod with that namespace/name, nil when there is none.
func (v *View) Pod(key string) *Pod { return v.store.Pods.get(v, key) }

// IP returns the IP object of that name, nil when there is none.
func (v *View) IP(name string) *IP { return v.store.IPs.get(v, name) }

// Service returns the Service with that namespace/name, nil when there is none, or it has no address.
func (v *View) Service(key string) *Service { return v.store.Services.get(v, key) }

// ServicesNear lists the Services whose clients may reach different endpoints on different nodes.
func (v *View) ServicesNear() []*Service { return v.store.Services.by(v, 0, nearIndex(true)) }

// Server is what the database can hold.
func (v *View) Server() Server { return v.store.server }

// EndpointSlicesOf lists the EndpointSlices of a Service, namespace/name.
func (v *View) EndpointSlicesOf(service string) []*EndpointSlice {
	return v.store.EndpointSlices.by(v, 0, service)
}

// ServiceCIDR returns the ServiceCIDR of that name, nil when there is none.
func (v *View) ServiceCIDR(name string) *ServiceCIDR { return v.store.ServiceCIDRs.get(v, name) }

// ServiceCIDRs lists the ServiceCIDRs by name; one without a name stands for the flag of a cluster that tells none.
func (v *View) ServiceCIDRs() []*ServiceCIDR {
	if list := v.store.ServiceCIDRs.by(v, 0, ""); len(list) > 0 {
		return list
	}
	return []*ServiceCIDR{{CIDRs: v.store.config.ServiceCIDRs}}
}

// NetworkPolicy returns the NetworkPolicy with that namespace/name, nil when there is none.
func (v *View) NetworkPolicy(key string) *NetworkPolicy { return v.store.Policies.get(v, key) }

// ClusterPolicy returns the policy of a kind and name, nil when there is none.
func (v *View) ClusterPolicy(kind, name string) *ClusterPolicy {
	for _, table := range v.store.clusterPolicyTables() {
		if table.kind == kind {
			return table.get(v, name)
		}
	}
	return nil
}

func (s *Store) clusterPolicyTables() [3]*Table[ClusterPolicy] {
	return [...]*Table[ClusterPolicy]{s.AdminPolicies, s.BaselinePolicies, s.ClusterPolicies}
}
