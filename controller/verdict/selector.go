package verdict

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// selects follows "standard label selector semantics": an empty selector selects everything, a missing one nothing, and so
// does one that cannot be read; Check names that one.
func selects(selector *metav1.LabelSelector, set map[string]string) bool {
	s, err := metav1.LabelSelectorAsSelector(selector)
	return err == nil && s.Matches(labels.Set(set))
}

// selectsNamespace asks about the Namespace's object; one that does not exist is not selected.
func (c *Cluster) selectsNamespace(selector *metav1.LabelSelector, name string) bool {
	namespace := named(c.Namespaces, "", name)
	return namespace != nil && selects(selector, namespace.Labels)
}

// selectsPod asks about a Pod by its Namespace and its own labels. No selector selects what is no Pod in the network.
func (c *Cluster) selectsPod(namespaces, pods *metav1.LabelSelector, pod *corev1.Pod) bool {
	return pod != nil && c.selectsNamespace(namespaces, pod.Namespace) && selects(pods, pod.Labels)
}

// inCIDR tells whether the range has the address; one that cannot be read has none, and Check names it.
func inCIDR(cidr string, addr netip.Addr) bool {
	prefix, err := netip.ParsePrefix(cidr)
	return err == nil && prefix.Contains(addr)
}

// namedPort tells whether the destination is a Pod with a port of that name, and the packet goes to its number by its protocol.
func (t *traffic) namedPort(name string) bool {
	if t.destination.pod == nil {
		return false
	}
	for _, container := range containersOf(t.destination.pod) {
		for _, port := range container.Ports {
			if port.Name == name && orTCP(port.Protocol) == t.protocol {
				return port.ContainerPort == t.port // the first one counts
			}
		}
	}
	return false
}

// containersOf are those that run as long as the Pod does.
func containersOf(pod *corev1.Pod) []corev1.Container {
	list := append([]corev1.Container(nil), pod.Spec.Containers...)
	for _, c := range pod.Spec.InitContainers {
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			list = append(list, c)
		}
	}
	return list
}

// numbered tells whether the packet is of that protocol and its port in the range.
func (t *traffic) numbered(protocol corev1.Protocol, first, last int32) bool {
	return t.protocol == orTCP(protocol) && first <= t.port && t.port <= last
}

func orTCP(protocol corev1.Protocol) corev1.Protocol {
	if protocol == "" {
		return corev1.ProtocolTCP
	}
	return protocol
}
