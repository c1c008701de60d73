package compile

import (
	"github.com/heddle-net/heddle/controller/state"
	"github.com/heddle-net/heddle/ovs/nb"
	"github.com/heddle-net/heddle/ovs/nb/db"
)

// group wants the port group and the address sets of the Pods that a selector chooses, those that somebody asks for with
// View.Group. The selector is the owner's key, and so is in the rows for people to read.
func group(v *state.View, key string, out *Output) {
	for _, set := range v.Sets(key) {
		row := nb.Row{ID: set.Name, Model: &db.AddressSet{Name: set.Name}, Members: set.Members}
		if set.Kind == state.Ports {
			row.Model = &db.PortGroup{Name: set.Name}
		}
		out.Row(row)
	}
}
