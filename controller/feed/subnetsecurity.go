package feed

import (
	"fmt"
	"slices"
	"strings"

	v1 "github.com/heddle-net/heddle/crds/v1"

	"github.com/heddle-net/heddle/controller/state"
)

// subnetSecurity reads who may reach the Pods of a Subnet. An entry of allowSubnets that cannot be read lets nobody in.
func subnetSecurity(spec *v1.SubnetSecuritySpec) state.SubnetSecurity {
	s := state.SubnetSecurity{Private: spec.Private, EastWest: spec.AllowEWTraffic}
	for i, text := range spec.AllowSubnets {
		prefix, err := prefixOf(text)
		if err != nil {
			s.Invalid = append(s.Invalid, fmt.Sprintf("spec.allowSubnets[%d]: %v; it lets nobody in", i, err))
			continue
		}
		s.AllowFrom = append(s.AllowFrom, prefix)
	}
	for i := range spec.Acls {
		acl, err := subnetACL(&spec.Acls[i])
		if err != nil {
			s.Invalid = append(s.Invalid, fmt.Sprintf("spec.acls[%d]: %v", i, err))
		}
		if acl != nil {
			s.ACLs = append(s.ACLs, *acl)
		}
	}
	return s
}

// aclDirections and aclActions are OVN's words (ovn-nb(5), table ACL).
var (
	aclDirections = map[string]state.Direction{"to-lport": state.Ingress, "from-lport": state.Egress}
	aclActions    = []string{"allow", "allow-related", "allow-stateless", "drop", "reject", "pass"}
)

// subnetACL is nil when the row cannot be written at all: one that the database refuses would keep the whole Subnet out. An action
// that is not known drops.
func subnetACL(obj *v1.ACL) (*state.SubnetACL, error) {
	direction, known := aclDirections[obj.Direction]
	switch {
	case !known:
		return nil, fmt.Errorf("unknown direction %q; it is not in force", obj.Direction)
	case obj.Match == "" || strings.ContainsRune(obj.Match, 0):
		return nil, fmt.Errorf("%q is no match; it is not in force", obj.Match)
	case obj.Priority < 0 || obj.Priority > 32767:
		return nil, fmt.Errorf("priority %d is not from 0 to 32767; it is not in force", obj.Priority)
	}
	acl := &state.SubnetACL{Direction: direction, Priority: int(obj.Priority), Match: obj.Match, Action: obj.Action}
	if !slices.Contains(aclActions, obj.Action) {
		acl.Action = "drop"
		return acl, fmt.Errorf("unknown action %q; it drops", obj.Action)
	}
	return acl, nil
}
