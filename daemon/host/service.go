package host

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Service is one Service as far as the node has to do something for it; a Service that only has a ClusterIP and Pods is
// OVN's alone.
type Service struct {
	Name         string // namespace/name, for problems
	ExternalIPs  []netip.Addr
	Ingress      []netip.Addr   // of its load balancer, those that packets arrive with
	SourceRanges []netip.Prefix // who may use Ingress; empty = everybody
	Local        bool           // external traffic goes to endpoints of this node only, with its source
	Affinity     int32          // seconds for which a client stays with its endpoint; 0 = none
	Ports        []ServicePort
}

// ServicePort is one port of a Service in one IP family.
type ServicePort struct {
	VIP      netip.AddrPort // the ClusterIP
	Protocol string         // "tcp", "udp", "sctp"
	NodePort uint16
	Live     bool // it has an endpoint somewhere
	// Own are the endpoints to which the node itself translates its own packets to the ClusterIP, because some of them are not of
	// the overlay; empty = OVN does.
	Own []netip.AddrPort
	// Pick are those for what arrives at NodePort and other addresses, when the node chooses among them; empty = OVN does,
	// behind the ClusterIP.
	Pick []netip.AddrPort
	// Here are the endpoints of this node, of a Service that is Local.
	Here []netip.AddrPort
}

// Types of keys and values. A frontend is an address, protocol and port at which the node answers for a Service.
const (
	typeFrontendV4 = "ipv4_addr . inet_proto . inet_service"
	typeFrontendV6 = "ipv6_addr . inet_proto . inet_service"
	typeSlotV4     = typeFrontendV4 + " . integer"
	typeSlotV6     = typeFrontendV6 + " . integer"
	typeTargetV4   = "ipv4_addr . inet_service"
	typeTargetV6   = "ipv6_addr . inet_service"
)

// Names of sets, before "-v4" or "-v6".
const (
	mapClusterIP   = "cluster-ip"      // frontend → ClusterIP and port, behind which OVN chooses
	mapPickAny     = "pick-any"        // frontend → the chain that chooses among all endpoints
	mapPickLocal   = "pick-local"      // the same among the endpoints of this node, for clients from outside
	mapAny         = "endpoints-any"   // frontend and slot → endpoint; "-tcp" and so on follows
	mapLocal       = "endpoints-local" // the same for mapPickLocal
	setMasquerade  = "masquerade"      // frontends whose clients' addresses are not kept
	setRefused     = "refused"         // frontends without an endpoint
	setRestricted  = "restricted"      // frontends that not everybody may use
	setSources     = "allowed-sources" // frontend and who may
	mapAffinity    = "affinity"        // client and frontend → endpoint, filled by packets
	mapAffinityFor = "affinity-for"    // frontend → the chain that remembers
)

const (
	longestAffinity = 86400   // seconds: what the API allows
	mostClients     = 1 << 18 // of Services with affinity; of more, the newest have none
	verdictDrop     = "drop"
)

// serviceTables gathers elements and chains of one IP family.
type serviceTables struct {
	c        *compiler
	family   int
	suffix   string
	elements map[string][]string
	chains   map[string]Chain
	owner    map[string]string // of frontends
}

// services are the sets, maps and chains of all Services in one IP family. The rules do not depend on how many there are: there
// is one chain for each number of endpoints, and one for each time of affinity, that some Service has.
//
// A packet from outside to a frontend is translated to the ClusterIP and masqueraded, so that OVN chooses the endpoint and
// brings the answer back here; a change of endpoints is none on the node. The node chooses itself where OVN cannot: for
// Local (the source is kept, and the answer of a Pod leaves OVN by its own node), for affinity (OVN would see one client,
// the node), for internalTrafficPolicy Local (behind the ClusterIP there are the node's own endpoints only), and for endpoints outside the overlay (the answer would arrive through ovn0 with an address of the node itself
// as its source, which Linux drops as martian).
func (c *compiler) services(f int) ([]Set, []Chain) {
	t := &serviceTables{c: c, family: f, suffix: fmt.Sprintf("-v%d", f), elements: map[string][]string{}, chains: map[string]Chain{}, owner: map[string]string{}}
	for _, s := range c.in.Services {
		for _, p := range s.Ports {
			if family(p.VIP.Addr()) == f {
				t.port(s, p)
			}
		}
	}
	chains := make([]Chain, 0, len(t.chains))
	for _, chain := range t.chains {
		chains = append(chains, chain)
	}
	return t.sets(), chains
}

func (t *serviceTables) port(s *Service, p ServicePort) {
	for _, a := range t.c.in.OwnIPs {
		if addr, f := parseAddr(a); f == t.family && p.NodePort != 0 {
			t.external(s, p, netip.AddrPortFrom(addr, p.NodePort), false)
		}
	}
	for _, addr := range s.ExternalIPs {
		t.external(s, p, netip.AddrPortFrom(addr, p.VIP.Port()), false)
	}
	for _, addr := range s.Ingress {
		t.external(s, p, netip.AddrPortFrom(addr, p.VIP.Port()), true)
	}
	if len(p.Own) == 0 {
		return
	}
	if key, ok := t.claim(s, p, p.VIP); ok {
		t.pick(mapPickAny, mapAny, key, p.Protocol, p.Own)
		t.add(setMasquerade, key)
		t.remember(s, key)
	}
}

// external is one frontend that others than the cluster know.
func (t *serviceTables) external(s *Service, p ServicePort, at netip.AddrPort, restricted bool) {
	if family(at.Addr()) != t.family {
		return
	}
	key, ok := t.claim(s, p, at)
	if !ok {
		return
	}
	if restricted && len(s.SourceRanges) > 0 {
		t.restrict(key, s.SourceRanges)
	}
	switch {
	case !p.Live:
		t.add(setRefused, key)
		return
	case len(p.Pick) > 0:
		t.pick(mapPickAny, mapAny, key, p.Protocol, p.Pick)
	default:
		t.add(mapClusterIP, key+" : "+target(p.VIP))
	}
	if s.Local {
		t.pick(mapPickLocal, mapLocal, key, p.Protocol, p.Here)
	} else {
		t.add(setMasquerade, key)
	}
	if len(p.Pick) > 0 || s.Local {
		t.remember(s, key)
	}
}

// claim gives a frontend to the first Service that has it.
func (t *serviceTables) claim(s *Service, p ServicePort, at netip.AddrPort) (string, bool) {
	key := at.Addr().String() + fieldSeparator + p.Protocol + fieldSeparator + strconv.Itoa(int(at.Port()))
	if other, taken := t.owner[key]; taken {
		t.c.problem("Service %s: %s %s is Service %s's already: it is not used", s.Name, p.Protocol, at, other)
		return "", false
	}
	t.owner[key] = s.Name
	return key, true
}

func (t *serviceTables) add(set, text string) { t.elements[set] = append(t.elements[set], text) }

func target(a netip.AddrPort) string {
	return a.Addr().String() + fieldSeparator + strconv.Itoa(int(a.Port()))
}

func (t *serviceTables) restrict(key string, ranges []netip.Prefix) {
	t.add(setRestricted, key)
	var own []netip.Prefix
	for _, r := range ranges {
		if family(r.Addr()) == t.family {
			own = append(own, r.Masked())
		}
	}
	for _, r := range disjoint(own) {
		t.add(setSources, key+fieldSeparator+r)
	}
}

// pick lets a frontend choose among endpoints with equal chances: the chain of their number draws a slot.
func (t *serviceTables) pick(frontends, slots, key, protocol string, endpoints []netip.AddrPort) {
	if len(endpoints) == 0 {
		t.add(frontends, key+" : "+verdictDrop)
		return
	}
	name := frontends + "-" + strconv.Itoa(len(endpoints)) + t.suffix
	t.add(frontends, key+" : goto "+name)
	for i, e := range endpoints {
		t.add(slots+"-"+protocol, key+fieldSeparator+strconv.Itoa(i)+" : "+target(e))
	}
	var draw []string
	for _, p := range slotProtocols {
		draw = append(draw, fmt.Sprintf("meta l4proto %[1]s dnat %[2]s to %[2]s daddr . meta l4proto . th dport . numgen random mod %[3]d map @%[4]s-%[1]s%[5]s",
			p, ipWord(t.family), len(endpoints), slots, t.suffix))
	}
	t.chains[name] = Chain{Name: name, Rules: rules(draw)}
}

var slotProtocols = []string{"tcp", "udp", "sctp"}

// remember notes where a client of a frontend went. The element says the time, so a new connection begins it anew.
func (t *serviceTables) remember(s *Service, key string) {
	if s.Affinity <= 0 {
		return
	}
	seconds := min(s.Affinity, longestAffinity)
	name := "affinity-" + strconv.Itoa(int(seconds)) + t.suffix
	t.add(mapAffinityFor, key+" : goto "+name)
	ip := ipWord(t.family)
	t.chains[name] = Chain{Name: name, Rules: []Rule{newRule(fmt.Sprintf(
		"%[1]s update @%[4]s%[3]s { ct original %[2]s saddr . %[5]s timeout %[6]ds : %[2]s daddr . th dport }",
		withPorts, ip, t.suffix, mapAffinity, originalFrontend(t.family), seconds))}}
}

// sets are there whether they have elements or not: rules name them.
func (t *serviceTables) sets() []Set {
	frontend, slot, to, addr := typeFrontendV4, typeSlotV4, typeTargetV4, "ipv4_addr"
	if t.family == 6 {
		frontend, slot, to, addr = typeFrontendV6, typeSlotV6, typeTargetV6, "ipv6_addr"
	}
	out := []Set{
		{Name: mapClusterIP, Type: frontend, Data: to},
		{Name: mapPickAny, Type: frontend, Data: dataVerdict},
		{Name: mapPickLocal, Type: frontend, Data: dataVerdict},
		{Name: setMasquerade, Type: frontend},
		{Name: setRefused, Type: frontend},
		{Name: setRestricted, Type: frontend},
		{Name: setSources, Type: frontend + fieldSeparator + addr, Interval: true},
		{Name: mapAffinityFor, Type: frontend, Data: dataVerdict},
		{Name: mapAffinity, Type: addr + fieldSeparator + frontend, Data: to, Dynamic: true},
	}
	for _, p := range slotProtocols {
		out = append(out, Set{Name: mapAny + "-" + p, Type: slot, Data: to, Ports: p}, Set{Name: mapLocal + "-" + p, Type: slot, Data: to, Ports: p})
	}
	for i := range out {
		out[i].Elements = t.elements[out[i].Name]
		slices.Sort(out[i].Elements)
		out[i].Name += t.suffix
	}
	return out
}

func ipWord(family int) string {
	if family == 6 {
		return "ip6"
	}
	return "ip"
}

// withPorts says what nft must know before it takes "ct original proto-dst" for a port.
const withPorts = "meta l4proto { tcp, udp, sctp }"

func originalFrontend(family int) string {
	return "ct original " + ipWord(family) + " daddr . meta l4proto . ct original proto-dst"
}

// serviceChains are the base chains for both families. Filters come before translation, where frontends are still to be
// seen; nat chains see the first packet of a connection only.
func serviceChains() []Chain {
	reject := []string{"meta l4proto tcp reject with tcp reset", "reject with icmpx port-unreachable"}
	filter := perFamily("FRONTEND @restricted-vN FRONTEND . IP saddr != @allowed-sources-vN drop", "FRONTEND @refused-vN goto refuse")
	remember := perFamily("ct state new ct status dnat " + withPorts + " ORIGINAL vmap @affinity-for-vN")
	fromHere := []string{
		"dnat IP to IP saddr . FRONTEND map @affinity-vN",
		"FRONTEND vmap @pick-any-vN",
		"dnat IP to FRONTEND map @cluster-ip-vN",
	}
	fromOutside := slices.Insert(slices.Clone(fromHere), 1, "IP saddr != @cluster-vN FRONTEND vmap @pick-local-vN")
	return []Chain{
		{Name: "refuse", Rules: rules(reject)},
		{Name: "filter-services", Rules: rules(filter)},
		{Name: "filter-prerouting", Type: "filter", Hook: "prerouting", Priority: priorityDNAT - 10, Rules: rules([]string{"ct state new goto filter-services"})},
		{Name: "filter-output", Type: "filter", Hook: "output", Priority: priorityDNAT - 10, Rules: rules([]string{"ct state new goto filter-services"})},
		{Name: "prerouting", Type: "nat", Hook: "prerouting", Priority: priorityDNAT, Rules: rules(perFamily(fromOutside...))},
		{Name: "output", Type: "nat", Hook: "output", Priority: priorityDNAT, Rules: rules(perFamily(fromHere...))},
		{Name: "affinity-input", Type: "filter", Hook: "input", Rules: rules(remember)},
		{Name: "affinity-postrouting", Type: "filter", Hook: "postrouting", Rules: rules(remember)},
	}
}

// perFamily writes each rule for IPv4 and for IPv6.
func perFamily(texts ...string) []string {
	var out []string
	for _, f := range []int{4, 6} {
		r := strings.NewReplacer(
			"FRONTEND", ipWord(f)+" daddr . meta l4proto . th dport", "ORIGINAL", originalFrontend(f), "IP", ipWord(f), "-vN", fmt.Sprintf("-v%d", f))
		for _, text := range texts {
			out = append(out, r.Replace(text))
		}
	}
	return out
}

func rules(texts []string) []Rule {
	out := make([]Rule, 0, len(texts))
	for _, text := range texts {
		out = append(out, newRule(text))
	}
	return out
}
