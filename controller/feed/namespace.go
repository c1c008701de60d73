package feed

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/heddle-net/heddle/controller/state"
)

// Namespace converts a Namespace.
func Namespace(obj *corev1.Namespace) *state.Namespace {
	return &state.Namespace{Name: obj.Name, Labels: state.LabelsOf(obj.Labels)}
}
