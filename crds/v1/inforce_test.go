package v1

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestInForce(t *testing.T) {
	condition := func(status corev1.ConditionStatus) []Condition {
		return []Condition{{Type: ConditionError, Status: corev1.ConditionTrue}, {Type: ConditionReady, Status: status}}
	}
	for name, c := range map[string]struct {
		status SubnetStatus
		want   bool
	}{
		"new":                     {SubnetStatus{}, false},
		"ready":                   {SubnetStatus{Conditions: condition(corev1.ConditionTrue)}, true},
		"refused":                 {SubnetStatus{Conditions: condition(corev1.ConditionFalse)}, false},
		"deleted, with Pods":      {SubnetStatus{Conditions: condition(corev1.ConditionFalse), V4UsingIPs: NewBigInt(1)}, true},
		"deleted, with IPv6 Pods": {SubnetStatus{Conditions: condition(corev1.ConditionFalse), V6UsingIPs: NewBigInt(1)}, true},
	} {
		if got := (&Subnet{Status: c.status}).InForce(); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
