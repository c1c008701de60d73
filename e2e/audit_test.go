package e2e

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	v1 "github.com/heddle-net/heddle/crds/v1"
)

// world is what a cluster's parts believe at one moment. Everybody tells the same when nothing is under way.
type world struct {
	Pods []corev1.Pod
	IPs  []v1.IP
	// Subnets show in their status how many addresses are in use.
	Subnets []v1.Subnet
	Nodes   map[string]*hostState
	Ports   []switchPort // of the northbound database
	// Bindings are the southbound database's: port → chassis; Chassis are its chassis by name.
	Bindings map[string]string
	Chassis  []string
}

// switchPort is a row of Logical_Switch_Port.
type switchPort struct {
	Name, Type, Addresses, IfaceIDVer string
	Up                                bool
}

// hostState is what a node has.
type hostState struct {
	Chassis    string
	Interfaces []ovsInterface            // of containers
	Veths      []string                  // node's ends of Pods' links
	NetNS      map[string][]podInterface // interfaces but lo, by the name of the namespace
	Installed  map[string]bool           // interfaces with ovn-installed
	Errors     map[string]string         // interfaces that ovs-vswitchd cannot open
}

// ovsInterface is a row of Interface with external_ids:container_id.
type ovsInterface struct {
	Name, IfaceID, IfaceIDVer, NetNS string
}

// podInterface is an interface in a Pod's namespace, without its link-local address.
type podInterface struct {
	Name, MAC string
	Addresses []netip.Prefix
}

// auditor collects what does not agree.
type auditor struct {
	*world
	problems []string
}

func (a *auditor) fail(format string, args ...any) {
	a.problems = append(a.problems, fmt.Sprintf(format, args...))
}

// audit compares a cluster with itself and returns what does not agree. Pods that are on their way may have a part of
// what they get; Pods that run have all of it, and what has no Pod is left over.
func (w *world) audit() []string {
	a := &auditor{world: w}
	a.uniqueAddresses()
	for i := range w.Pods {
		if pod := &w.Pods[i]; runs(pod) {
			a.pod(pod)
		}
	}
	a.leftoverIPs()
	a.counts()
	a.leftoverPorts()
	for name, host := range w.Nodes {
		a.leftoversOn(name, host)
	}
	a.chassis()
	slices.Sort(a.problems)
	return a.problems
}

// networked is a Pod that has, or may get, a network of its own.
func networked(pod *corev1.Pod) bool {
	return !pod.Spec.HostNetwork && pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed
}

func runs(pod *corev1.Pod) bool {
	return networked(pod) && pod.Status.Phase == corev1.PodRunning && pod.DeletionTimestamp == nil
}

// portOf is the name of a Pod's port and of its IP object.
func portOf(pod *corev1.Pod) string { return pod.Name + "." + pod.Namespace }

func podKey(pod *corev1.Pod) string { return pod.Namespace + "/" + pod.Name }

func (a *auditor) uniqueAddresses() {
	holders := map[string]string{}
	claim := func(address, holder string) {
		if other, taken := holders[address]; taken && other != holder {
			a.fail("%s is the address of both %s and %s", address, other, holder)
		}
		holders[address] = holder
	}
	for i := range a.Pods {
		if pod := &a.Pods[i]; networked(pod) {
			for _, ip := range pod.Status.PodIPs {
				claim(ip.IP, portOf(pod))
			}
		}
	}
	for _, ip := range a.IPs {
		for address := range strings.SplitSeq(ip.Spec.IPAddress, ",") {
			claim(address, ip.Name)
		}
	}
}

// pod checks all that a Running Pod has.
func (a *auditor) pod(pod *corev1.Pod) {
	fail := func(format string, args ...any) { a.fail("Pod "+podKey(pod)+": "+format, args...) }
	var status []string
	for _, ip := range pod.Status.PodIPs {
		status = append(status, ip.IP)
	}
	addresses, mac := pod.Annotations[v1.AnnotationIPAddress], pod.Annotations[v1.AnnotationMACAddress]
	if got := strings.Join(status, ","); got != addresses {
		fail("status has %s, its annotation %s", got, addresses)
	}
	for _, key := range []string{v1.AnnotationAllocated, v1.AnnotationRouted} {
		if pod.Annotations[key] != v1.AnnotationTrue {
			fail("annotation %s is %q", key, pod.Annotations[key])
		}
	}
	i := slices.IndexFunc(a.IPs, func(ip v1.IP) bool { return ip.Name == portOf(pod) })
	switch {
	case i < 0:
		fail("no IP object")
	case a.IPs[i].Spec.IPAddress != addresses || a.IPs[i].Spec.MacAddress != mac || a.IPs[i].Spec.NodeName != pod.Spec.NodeName:
		fail("annotations say %s %s, the IP object %+v", addresses, mac, a.IPs[i].Spec)
	}
	a.podPort(pod, mac+" "+strings.ReplaceAll(addresses, ",", " "), fail)
	if host := a.Nodes[pod.Spec.NodeName]; host == nil {
		fail("runs on %s, which was not looked at", pod.Spec.NodeName)
	} else {
		a.podOnNode(pod, host, fail)
	}
}

func (a *auditor) podPort(pod *corev1.Pod, addresses string, fail func(string, ...any)) {
	i := slices.IndexFunc(a.Ports, func(p switchPort) bool { return p.Name == portOf(pod) })
	if i < 0 {
		fail("no port in NB")
		return
	}
	p := a.Ports[i]
	if p.Addresses != addresses || p.IfaceIDVer != string(pod.UID) || !p.Up {
		fail("the port in NB has %q, iface-id-ver %s, up %t; want %q, %s, true", p.Addresses, p.IfaceIDVer, p.Up, addresses, pod.UID)
	}
	host := a.Nodes[pod.Spec.NodeName]
	if host != nil && a.Bindings[p.Name] != host.Chassis {
		fail("SB binds its port to chassis %q, its node is %q", a.Bindings[p.Name], host.Chassis)
	}
}

// podOnNode checks the interface in OVS and the one in the namespace.
func (a *auditor) podOnNode(pod *corev1.Pod, host *hostState, fail func(string, ...any)) {
	var mine []ovsInterface
	for _, i := range host.Interfaces {
		if i.IfaceID == portOf(pod) {
			mine = append(mine, i)
		}
	}
	if len(mine) != 1 {
		fail("%d interfaces in OVS on its node: %+v", len(mine), mine)
		return
	}
	i := mine[0]
	if i.IfaceIDVer != string(pod.UID) || !host.Installed[i.Name] || host.Errors[i.Name] != "" {
		fail("interface %+v in OVS: installed %t, error %q; want iface-id-ver %s", i, host.Installed[i.Name], host.Errors[i.Name], pod.UID)
	}
	if !slices.Contains(host.Veths, i.Name) {
		fail("no link %s on its node", i.Name)
	}
	want := fmt.Sprint([]podInterface{{Name: "eth0", MAC: pod.Annotations[v1.AnnotationMACAddress], Addresses: prefixesOf(pod)}})
	if got := fmt.Sprint(host.NetNS[i.NetNS]); got != want {
		fail("its namespace %s has %s, want %s", i.NetNS, got, want)
	}
}

// prefixesOf are the addresses of a Pod with the length of its Subnet's CIDR, sorted.
func prefixesOf(pod *corev1.Pod) []netip.Prefix {
	var list []netip.Prefix
	cidrs := strings.Split(pod.Annotations[v1.AnnotationCIDR], ",")
	for i, s := range strings.Split(pod.Annotations[v1.AnnotationIPAddress], ",") {
		address, err := netip.ParseAddr(s)
		if err != nil || i >= len(cidrs) {
			continue
		}
		if cidr, err := netip.ParsePrefix(cidrs[i]); err == nil {
			list = append(list, netip.PrefixFrom(address, cidr.Bits()))
		}
	}
	slices.SortFunc(list, netip.Prefix.Compare)
	return list
}

// holders are the ports that may be there: of Pods and of nodes.
func (a *auditor) holders() map[string]bool {
	known := map[string]bool{}
	for i := range a.Pods {
		if networked(&a.Pods[i]) {
			known[portOf(&a.Pods[i])] = true
		}
	}
	for name := range a.Nodes {
		known[v1.NodePortPrefix+name] = true
	}
	return known
}

// counts are written a second late: who takes the lead before finds something to write.
func (a *auditor) counts() {
	v4, v6 := make(map[string]int), make(map[string]int)
	for _, ip := range a.IPs {
		if ip.Spec.V4IPAddress != "" {
			v4[ip.Spec.Subnet]++
		}
		if ip.Spec.V6IPAddress != "" {
			v6[ip.Spec.Subnet]++
		}
	}
	for _, s := range a.Subnets {
		got := s.Status.V4UsingIPs.String() + " and " + s.Status.V6UsingIPs.String()
		if want := fmt.Sprintf("%d and %d", v4[s.Name], v6[s.Name]); got != want {
			a.fail("Subnet %s: status says that %s addresses are in use, there are %s", s.Name, got, want)
		}
	}
}

func (a *auditor) leftoverIPs() {
	known := a.holders()
	for _, ip := range a.IPs {
		reserved := ip.Spec.PodName == "" && ip.Spec.NodeName == ""
		if !known[ip.Name] && !reserved {
			a.fail("IP object %s (%s) is left over", ip.Name, ip.Spec.IPAddress)
		}
	}
	for name := range a.Nodes {
		if !slices.ContainsFunc(a.IPs, func(ip v1.IP) bool { return ip.Name == v1.NodePortPrefix+name }) {
			a.fail("node %s has no IP object", name)
		}
	}
}

func (a *auditor) leftoverPorts() {
	known := a.holders()
	bindings := map[string]bool{}
	for _, p := range a.Ports {
		bindings[p.Name] = true
		if p.Type == "" && !known[p.Name] {
			a.fail("port %s in NB is left over", p.Name)
		}
	}
	for name := range a.Bindings {
		if !bindings[name] {
			a.fail("Port_Binding %s in SB is left over", name)
		}
	}
}

// leftoversOn looks for parts that no Pod has: a Pod that is on its way may have them.
func (a *auditor) leftoversOn(node string, host *hostState) {
	ids := map[string]bool{}
	for i := range a.Pods {
		if pod := &a.Pods[i]; networked(pod) && pod.Spec.NodeName == node {
			ids[portOf(pod)+" "+string(pod.UID)] = true
		}
	}
	links, namespaces := map[string]bool{}, map[string]bool{}
	for _, i := range host.Interfaces {
		links[i.Name], namespaces[i.NetNS] = true, true
		if !ids[i.IfaceID+" "+i.IfaceIDVer] {
			a.fail("%s: interface %v in OVS is left over", node, i)
		}
	}
	for _, name := range host.Veths {
		if !links[name] {
			a.fail("%s: link %s is left over", node, name)
		}
	}
	for name := range host.NetNS {
		if !namespaces[name] {
			a.fail("%s: network namespace %s is left over", node, name)
		}
	}
}

func (a *auditor) chassis() {
	want := []string{}
	for _, host := range a.Nodes {
		want = append(want, host.Chassis)
	}
	slices.Sort(want)
	if have := slices.Sorted(slices.Values(a.Chassis)); !slices.Equal(have, want) {
		a.fail("SB has the chassis %v, the nodes are %v", have, want)
	}
}
