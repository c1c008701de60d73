// Package heddle is the typed API of what Kube-OVN has no kind for: the kinds of the group heddle.dev/v1alpha1.
//
// It keeps the rules of package v1 next to it: what a single object can get wrong is said by markers and CEL on the fields, what needs
// other objects ends in a Ready condition. It holds no state and does no I/O.
//
// +kubebuilder:object:generate=true
// +groupName=heddle.dev
// +versionName=v1alpha1
package heddle
