package port

import (
	"context"
	"net"
	"net/netip"
	"strings"

	"github.com/heddle-net/heddle/cni/api"
	v1 "github.com/heddle-net/heddle/crds/v1"
)

// Pod is what ADD needs of a Kubernetes Pod: all of it comes from the annotations that the controller writes with one patch.
type Pod struct {
	Namespace, Name, UID string
	// StaticUID is by what the kubelet, and so the runtime, calls a static Pod. The API server knows its mirror, which has
	// a UID of its own.
	StaticUID string

	Allocated bool
	IP        string // "v4", "v6" or "v4,v6"
	MAC       string
	CIDR      string
	Gateway   string
	Subnet    string
	QoS       v1.QoS // what its own annotations ask for
	Mirror    bool   // its packets are copied to the node's mirror
}

// AnnotationMirror is where the kubelet puts the UID of a static Pod on its mirror (ConfigMirrorAnnotationKey of the kubelet).
const AnnotationMirror = "kubernetes.io/config.mirror"

// is tells whether the runtime's UID means this Pod.
func (p Pod) is(uid string) bool { return p.UID == uid || p.StaticUID != "" && p.StaticUID == uid }

// Key is the Pod's key in the table.
func (p Pod) Key() string { return p.Namespace + "/" + p.Name }

// PodFrom takes the facts from a Pod's metadata.
func PodFrom(namespace, name, uid string, annotations map[string]string) Pod {
	qos, _ := v1.ParseQoS(annotations) // the controller tells what is wrong
	return Pod{
		Namespace: namespace, Name: name, UID: uid, StaticUID: annotations[AnnotationMirror],
		Allocated: annotations[v1.AnnotationAllocated] == "true",
		IP:        annotations[v1.AnnotationIPAddress],
		MAC:       annotations[v1.AnnotationMACAddress],
		CIDR:      annotations[v1.AnnotationCIDR],
		Gateway:   annotations[v1.AnnotationGateway],
		Subnet:    annotations[v1.AnnotationLogicalSwitch],
		QoS:       qos,
		Mirror:    annotations[v1.AnnotationMirror] == v1.AnnotationTrue,
	}
}

// Subnet is what ADD needs of a Subnet.
type Subnet struct {
	Name string
	MTU  int // 0 = the node's default
	QoS  v1.QoS
}

// network is what the annotations say, checked.
type network struct {
	mac    net.HardwareAddr
	ips    []api.IP
	subnet string
}

// waitPod waits until the Pod of the request has its address. The UID keeps a late request for a Pod that was replaced from
// taking the port of its successor.
func (m *Manager) waitPod(ctx context.Context, r *api.Request) (Pod, error) {
	key := r.PodNamespace + "/" + r.PodName
	p, found, gone, err := m.cfg.Pods.await(ctx, key, r.PodUID)
	switch {
	case gone:
		return p, api.Errorf(api.CodePodGone, "Pod %s of UID %s is gone", key, r.PodUID)
	case err == nil:
		return p, nil
	case !found:
		return p, again("Pod %s is not known on this node: %v", key, err)
	case !p.is(r.PodUID):
		return p, again("Pod %s has UID %s now, the request is for UID %s: %v", key, p.UID, r.PodUID, err)
	default:
		return p, again("Pod %s has no address yet (see its Events): %v", key, err)
	}
}

// mtu of the Pod. The Pod may be known before its Subnet is, since they are two watches.
func (m *Manager) mtu(ctx context.Context, p Pod, subnet string) (int, error) {
	s, _, err := m.cfg.Subnets.Wait(ctx, subnet, func(Subnet) bool { return true })
	if err != nil {
		return 0, again("Pod %s: Subnet %q is not known on this node: %v", p.Key(), subnet, err)
	}
	if s.MTU != 0 {
		return s.MTU, nil
	}
	mtu, err := m.cfg.MTU(ctx)
	if err != nil {
		return 0, again("Pod %s: %v", p.Key(), err)
	}
	return mtu, nil
}

// bad is an error in the Pod's annotations.
func (p Pod) bad(key, format string, args ...any) error {
	return api.Errorf(api.CodeAnnotation, "Pod "+p.Key()+": annotation "+key+" "+format, args...)
}

// parse checks the annotations against each other. The lists of addresses, CIDRs and gateways are matched by family, not by
// place: a Pod may have one address in a dual-stack Subnet.
func (p Pod) parse() (network, error) {
	n := network{subnet: p.Subnet}
	if p.Subnet == "" {
		return n, p.bad(v1.AnnotationLogicalSwitch, "is missing")
	}
	mac, err := net.ParseMAC(p.MAC)
	if err != nil || len(mac) != 6 || mac[0]&1 != 0 {
		return n, p.bad(v1.AnnotationMACAddress, "%q is not a unicast MAC address", p.MAC)
	}
	n.mac = mac
	cidrs, err := parseList(p, v1.AnnotationCIDR, p.CIDR, "a CIDR", netip.ParsePrefix, netip.Prefix.Addr)
	if err != nil {
		return n, err
	}
	gateways, err := parseList(p, v1.AnnotationGateway, p.Gateway, "an IP address", netip.ParseAddr, self)
	if err != nil {
		return n, err
	}
	ips, err := parseList(p, v1.AnnotationIPAddress, p.IP, "an IP address", netip.ParseAddr, self)
	if err != nil {
		return n, err
	}
	for _, family := range []bool{true, false} {
		ip, ok := ips[family]
		if !ok {
			continue
		}
		a, err := p.address(ip, cidrs[family], gateways[family])
		if err != nil {
			return n, err
		}
		n.ips = append(n.ips, a)
	}
	return n, nil
}

// address joins one address with the CIDR and the gateway of its family; the zero value of these means that there is none.
func (p Pod) address(ip netip.Addr, cidr netip.Prefix, gateway netip.Addr) (api.IP, error) {
	switch {
	case !cidr.IsValid():
		return api.IP{}, p.bad(v1.AnnotationCIDR, "%q has no CIDR of the family of %s", p.CIDR, ip)
	case !cidr.Contains(ip):
		return api.IP{}, p.bad(v1.AnnotationIPAddress, "%s is not in %s", ip, cidr)
	case !gateway.IsValid():
		return api.IP{}, p.bad(v1.AnnotationGateway, "%q has no gateway of the family of %s", p.Gateway, ip)
	case !cidr.Contains(gateway):
		return api.IP{}, p.bad(v1.AnnotationGateway, "%s is not in %s", gateway, cidr)
	case gateway == ip:
		return api.IP{}, p.bad(v1.AnnotationIPAddress, "%s is the gateway", ip)
	}
	return api.IP{Address: netip.PrefixFrom(ip, cidr.Bits()), Gateway: gateway}, nil
}

func self(a netip.Addr) netip.Addr { return a }

// parseList reads "v4", "v6" or "v4,v6" into a map whose key tells whether it is IPv4.
func parseList[T any](p Pod, key, value, what string, parse func(string) (T, error), addr func(T) netip.Addr) (map[bool]T, error) {
	out := map[bool]T{}
	for s := range strings.SplitSeq(value, ",") {
		v, err := parse(strings.TrimSpace(s))
		if err != nil || addr(v).Zone() != "" || addr(v).Is4In6() {
			return nil, p.bad(key, "%q: %q is not %s", value, s, what)
		}
		if _, twice := out[addr(v).Is4()]; twice {
			return nil, p.bad(key, "%q has two of one address family", value)
		}
		out[addr(v).Is4()] = v
	}
	return out, nil
}
