package feed

import (
	"maps"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"github.com/heddle-net/heddle/controller/state"
)

// Pod converts a Pod; nil when it has no place in the overlay.
func Pod(obj *corev1.Pod) *state.Pod {
	if !NeedsNetwork(obj) {
		return nil
	}
	return &state.Pod{
		Namespace: obj.Namespace, Name: obj.Name, UID: string(obj.UID), Node: obj.Spec.NodeName, Labels: state.LabelsOf(withMirror(obj, withSecurityGroups(obj, withPorts(obj)))),
	}
}

// withPorts is the labels and the named ports of a Pod. Where containers give one name to several numbers the first one counts,
// and init containers that go on running come last, as for Services.
func withPorts(obj *corev1.Pod) map[string]string {
	containers := slices.Clone(obj.Spec.Containers)
	for _, c := range obj.Spec.InitContainers {
		if goesOn(&c) {
			containers = append(containers, c)
		}
	}
	labels := maps.Clone(obj.Labels)
	for _, c := range containers {
		for _, port := range c.Ports {
			protocol, ok := protocolOf(port.Protocol)
			if !ok || port.Name == "" {
				continue
			}
			if labels == nil {
				labels = make(map[string]string)
			}
			if label := state.PortLabel(protocol, port.Name); labels[label] == "" {
				labels[label] = strconv.Itoa(int(port.ContainerPort))
			}
		}
	}
	return labels
}

func goesOn(init *corev1.Container) bool {
	return init.RestartPolicy != nil && *init.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

// namedPorts are containers with nothing but their named ports, of those containers that have any.
func namedPorts(containers []corev1.Container) (named []corev1.Container) {
	for i := range containers {
		c := &containers[i]
		ports := slices.DeleteFunc(slices.Clone(c.Ports), func(p corev1.ContainerPort) bool { return p.Name == "" })
		if len(ports) > 0 {
			named = append(named, corev1.Container{Ports: ports, RestartPolicy: c.RestartPolicy})
		}
	}
	return named
}

// NeedsNetwork tells whether a Pod holds addresses: it is on a node, not in the host's network, and not finished.
func NeedsNetwork(obj *corev1.Pod) bool {
	finished := obj.Status.Phase == corev1.PodSucceeded || obj.Status.Phase == corev1.PodFailed
	return !obj.Spec.HostNetwork && obj.Spec.NodeName != "" && !finished
}
