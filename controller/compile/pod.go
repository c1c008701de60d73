package compile

import (
	"github.com/heddle-net/heddle/controller/state"
	"github.com/heddle-net/heddle/ovs/nb"
	"github.com/heddle-net/heddle/ovs/nb/db"
)

// pod wants one switch port for each NIC. iface-id-ver keeps a sandbox of an earlier Pod of the same name from binding
// the port (ovn-nb(5), Logical_Switch_Port options).
func pod(v *state.View, key string, out *Output) {
	obj := v.Pod(key)
	if obj == nil {
		return
	}
	for _, nic := range obj.Nics {
		port := PodPort(obj.Namespace, obj.Name)
		out.Row(nb.Row{
			ID: port,
			Model: &db.LogicalSwitchPort{
				Name: port, Addresses: []string{nic.Addresses()}, Options: map[string]string{"iface-id-ver": obj.UID},
			},
			In: []nb.Edge{inSwitch(nic.Subnet)},
		})
	}
}

// PodPort is the name of a Pod's port, of its IP object, and the iface-id of its interface.
func PodPort(namespace, name string) string { return name + "." + namespace }
