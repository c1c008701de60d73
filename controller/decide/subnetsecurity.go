package decide

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/heddle-net/heddle/controller/compile"
	"github.com/heddle-net/heddle/controller/state"
	v1 "github.com/heddle-net/heddle/crds/v1"
	"github.com/heddle-net/heddle/ovs/nb"
)

// reasonValid is that of the condition Validated of a Subnet with which something has been wrong.
const reasonValid = "Valid"

// validated is the condition of a Subnet that is in force but for what is wrong with entries of allowSubnets and acls: it must not go
// out of service for these. ok is false when there is nothing to say.
func (r *Subnets) validated(obj *v1.Subnet, problems []compile.Problem) (c v1.Condition, ok bool) {
	c = v1.Condition{Type: v1.ConditionValidated, Status: corev1.ConditionTrue, Reason: reasonValid, ObservedGeneration: obj.Generation}
	outcome := r.board.Outcome(nb.Owner{Kind: state.KindSubnet, Key: obj.Name})
	switch {
	case len(problems) > 0 || outcome.Rows == 0: // Ready tells, or it is not known yet
		return c, false
	case len(outcome.Problems) == 0:
		return c, slices.ContainsFunc(obj.Status.Conditions, func(old v1.Condition) bool {
			return old.Type == c.Type && old.Status == corev1.ConditionFalse
		})
	}
	c.Status, c.Reason, c.Message = corev1.ConditionFalse, outcome.Problems[0].Reason, texts(outcome.Problems)
	return c, true
}
