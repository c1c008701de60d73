package feed

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/heddle-net/heddle/controller/state"
)

// Pod converts a Pod; nil when it has no place in the overlay.
func Pod(obj *corev1.Pod) *state.Pod {
	if !NeedsNetwork(obj) {
		return nil
	}
	return &state.Pod{
		Namespace: obj.Namespace, Name: obj.Name, UID: string(obj.UID), Node: obj.Spec.NodeName, Labels: state.LabelsOf(obj.Labels),
	}
}

// NeedsNetwork tells whether a Pod holds addresses: it is on a node, not in the host's network, and not finished.
func NeedsNetwork(obj *corev1.Pod) bool {
	finished := obj.Status.Phase == corev1.PodSucceeded || obj.Status.Phase == corev1.PodFailed
	return !obj.Spec.HostNetwork && obj.Spec.NodeName != "" && !finished
}
