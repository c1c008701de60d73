package report

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/heddle-net/heddle/crds/v1"
)

// SetCondition puts a condition into the list and reports whether its status, reason or message changed. Times are set
// only then, so that an object whose state did not change is not written.
func SetCondition(conditions *[]v1.Condition, c v1.Condition) (changed bool) {
	now := metav1.Now()
	for i := range *conditions {
		old := &(*conditions)[i]
		if old.Type != c.Type {
			continue
		}
		c.LastUpdateTime, c.LastTransitionTime = old.LastUpdateTime, old.LastTransitionTime
		if *old == c {
			return false
		}
		changed = old.Status != c.Status || old.Reason != c.Reason || old.Message != c.Message
		c.LastUpdateTime = now
		if old.Status != c.Status {
			c.LastTransitionTime = now
		}
		*old = c
		return changed
	}
	c.LastUpdateTime, c.LastTransitionTime = now, now
	*conditions = append(*conditions, c)
	return true
}
