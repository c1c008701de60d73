package feed

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/heddle-net/heddle/controller/state"
)

var operators = map[metav1.LabelSelectorOperator]state.Operator{
	metav1.LabelSelectorOpIn: state.In, metav1.LabelSelectorOpNotIn: state.NotIn,
	metav1.LabelSelectorOpExists: state.Exists, metav1.LabelSelectorOpDoesNotExist: state.DoesNotExist,
}

// Requirements converts a label selector: an empty one requires nothing. What a missing one means is the caller's to know.
// Beside an error it returns what could be read.
func Requirements(selector metav1.LabelSelector) (list []state.Requirement, err error) {
	for _, key := range slices.Sorted(maps.Keys(selector.MatchLabels)) {
		list = append(list, state.Requirement{Key: key, Values: []string{selector.MatchLabels[key]}})
	}
	for _, e := range selector.MatchExpressions {
		operator, ok := operators[e.Operator]
		lists := operator == state.In || operator == state.NotIn
		switch {
		case !ok:
			err = fmt.Errorf("unknown operator %q", e.Operator)
		case strings.Count(e.Key, "/") > 1:
			err = fmt.Errorf("%q is no label", e.Key)
		case lists != (len(e.Values) > 0):
			err = fmt.Errorf("operator %q of %q with %d values", e.Operator, e.Key, len(e.Values))
		default:
			list = append(list, state.Requirement{Key: e.Key, Operator: operator, Values: e.Values})
		}
	}
	return list, err
}
