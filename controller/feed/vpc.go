package feed

import (
	v1 "github.com/heddle-net/heddle/crds/v1"

	"github.com/heddle-net/heddle/controller/state"
)

// Vpc converts a Vpc.
func Vpc(obj *v1.Vpc) *state.Vpc {
	return &state.Vpc{Name: obj.Name, Unsupported: obj.Spec.Unsupported()}
}
