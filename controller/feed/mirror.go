package feed

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/heddle-net/heddle/controller/state"
	"github.com/heddle-net/heddle/crds/heddle"
	v1 "github.com/heddle-net/heddle/crds/v1"
)

// withMirror adds that a Pod asks for the mirror of its node.
func withMirror(obj *corev1.Pod, labels map[string]string) map[string]string {
	if obj.Annotations[v1.AnnotationMirror] != v1.AnnotationTrue {
		return labels
	}
	if labels == nil {
		labels = make(map[string]string)
	}
	labels[state.MirrorLabel] = ""
	return labels
}

// TrafficMirror converts a TrafficMirror. Its filter is for the nodes, which read it themselves.
func TrafficMirror(obj *heddle.TrafficMirror) *state.Mirror {
	m := &state.Mirror{
		Name: obj.Name, Sink: obj.Spec.To.MirrorID(),
		Egress: obj.Spec.Direction != heddle.Ingress, Ingress: obj.Spec.Direction != heddle.Egress,
	}
	if to := obj.Spec.To.Pod; to != nil {
		m.Pod = to.Key()
		m.EgressKey, m.IngressKey = obj.TunnelKeys()
	}
	var err error
	if m.Selector.Pods, err = Requirements(obj.Spec.PodSelector); err != nil {
		m.Invalid = fmt.Sprintf("spec.podSelector: %v", err)
	}
	if obj.Spec.NamespaceSelector != nil {
		if m.Selector.Namespaces, err = Requirements(*obj.Spec.NamespaceSelector); err != nil {
			m.Invalid = fmt.Sprintf("spec.namespaceSelector: %v", err)
		}
	}
	return m
}
