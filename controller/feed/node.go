package feed

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/heddle-net/heddle/controller/state"
	v1 "github.com/heddle-net/heddle/crds/v1"
)

// Node converts a Node. Addresses that cannot be read, or that mean something on that node only (with a zone), are left out.
func Node(obj *corev1.Node) *state.Node {
	return &state.Node{
		Name: obj.Name, Labels: state.LabelsOf(obj.Labels),
		InternalIPs: nodeAddresses(obj, corev1.NodeInternalIP), ExternalIPs: nodeAddresses(obj, corev1.NodeExternalIP),
	}
}

func nodeAddresses(obj *corev1.Node, kind corev1.NodeAddressType) (list []netip.Addr) {
	for _, a := range obj.Status.Addresses {
		ip, err := netip.ParseAddr(a.Address)
		if a.Type == kind && err == nil && ip.Zone() == "" && !slices.Contains(list, ip.Unmap()) {
			list = append(list, ip.Unmap())
		}
	}
	return list
}

// Place converts what a Node says about where it is.
func Place(obj *corev1.Node) *state.Place {
	return &state.Place{Node: obj.Name, Zone: obj.Labels[corev1.LabelTopologyZone], Chassis: obj.Annotations[v1.AnnotationChassis]}
}
