package feed

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/heddle-net/heddle/controller/state"
)

var operators = map[metav1.LabelSelectorOperator]state.Operator{
	metav1.LabelSelectorOpIn: state.In, metav1.LabelSelectorOpNotIn: state.NotIn,
	metav1.LabelSelectorOpExists: state.Exists, metav1.LabelSelectorOpDoesNotExist: state.DoesNotExist,
}

// Requirements converts a label selector: an empty one requires nothing. What a missing one means is the caller's to know.
func Requirements(selector metav1.LabelSelector) ([]state.Requirement, error) {
	var list []state.Requirement
	for key, value := range selector.MatchLabels {
		list = append(list, state.Requirement{Key: key, Values: []string{value}})
	}
	for _, e := range selector.MatchExpressions {
		operator, ok := operators[e.Operator]
		if !ok {
			return nil, fmt.Errorf("unknown operator %q", e.Operator)
		}
		list = append(list, state.Requirement{Key: e.Key, Operator: operator, Values: e.Values})
	}
	return list, nil
}
