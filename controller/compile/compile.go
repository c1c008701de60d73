package compile

import (
	"fmt"

	"github.com/heddle-net/heddle/controller/state"
	"github.com/heddle-net/heddle/ovs/nb"
)

// kinds is the table of compilers. Adding a feature is a line here and a file.
var kinds = map[string]func(v *state.View, key string, out *Output){
	state.KindVpc:     vpc,
	state.KindSubnet:  subnet,
	state.KindNode:    node,
	state.KindPlace:   place,
	state.KindService: service,
	state.KindPolicy:  networkPolicy,
	state.KindPod:     pod,
	state.KindGroup:   group,

	state.KindAdminPolicy:    clusterPolicy(state.KindAdminPolicy),
	state.KindBaselinePolicy: clusterPolicy(state.KindBaselinePolicy),
	state.KindClusterPolicy:  clusterPolicy(state.KindClusterPolicy),

	state.KindServiceCIDR:  serviceCIDR,
	state.KindSwitchLBRule: slr,

	state.KindSecurityGroup: securityGroup,

	state.KindDomain: domain,
	state.KindMirror: mirror,
}

// Output is what one owner wants, and what is wrong with what it asks for.
type Output struct {
	Rows     []nb.Row
	Problems []Problem
}

// Problem is something that a user must mend. It becomes a condition and an Event on the owner's object.
type Problem struct {
	Reason string // one CamelCase word, stable
	Text   string // a sentence without the object's name
}

// Reasons of problems.
const (
	ReasonNotSupported = "NotSupported" // a field is set whose feature Heddle does not have yet
	ReasonInvalid      = "Invalid"      // a value cannot be read or contradicts another one of the object
	ReasonConflict     = "Conflict"     // an address range overlaps one that is in use
)

// Row adds a wanted row.
func (o *Output) Row(r nb.Row) { o.Rows = append(o.Rows, r) }

// Problem adds a problem.
func (o *Output) Problem(reason, format string, args ...any) {
	o.Problems = append(o.Problems, Problem{reason, fmt.Sprintf(format, args...)})
}

// Owner compiles one owner. An owner of an unknown kind, left in NB by another version of Heddle, wants nothing.
func Owner(v *state.View, owner nb.Owner) Output {
	var out Output
	if compile := kinds[owner.Kind]; compile != nil {
		compile(v, owner.Key, &out)
	}
	return out
}
