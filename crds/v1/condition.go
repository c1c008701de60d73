package v1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ConditionType says what a Condition is about.
type ConditionType string

// The condition types that Kube-OVN's tools know.
const (
	// ConditionReady is True when the object is in force as it is written.
	ConditionReady ConditionType = "Ready"
	// ConditionValidated is True when nothing in the spec contradicts another
	// object.
	ConditionValidated ConditionType = "Validated"
	// ConditionInit is True once the object was set up for the first time.
	ConditionInit ConditionType = "Init"
	// ConditionError is True while the last attempt to put the object in force
	// failed.
	ConditionError ConditionType = "Error"
)

// ConditionRemovalsHeld is True while a Subnet keeps the addresses of ports
// that stay in OVN although nothing accounts for them.
const ConditionRemovalsHeld ConditionType = "RemovalsHeld"

// Condition is one observation of the controller about an object. It has
// the fields of a metav1.Condition and Kube-OVN's lastUpdateTime.
type Condition struct {
	// type of the condition: Ready, Validated, Init or Error. At most one
	// entry of each type.
	Type ConditionType `json:"type"`
	// status of the condition: True, False or Unknown.
	Status corev1.ConditionStatus `json:"status"`
	// reason is one CamelCase word for programs, such as OverlappingCIDR.
	// +optional
	Reason string `json:"reason,omitempty"`
	// message is a sentence for people: what is wrong, with which value, and
	// what would repair it.
	// +optional
	Message string `json:"message,omitempty"`
	// lastUpdateTime is when any part of this condition last changed.
	// +optional
	LastUpdateTime metav1.Time `json:"lastUpdateTime,omitzero"`
	// lastTransitionTime is when status last changed from one value to
	// another.
	// +optional
	LastTransitionTime metav1.Time `json:"lastTransitionTime,omitzero"`
	// observedGeneration is the metadata.generation that this condition speaks
	// about. When it is lower than the object's, the controller has not seen
	// the newest spec yet.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
}
