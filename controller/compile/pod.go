package compile

import (
	"github.com/heddle-net/heddle/controller/state"
	"github.com/heddle-net/heddle/ovs/nb"
	"github.com/heddle-net/heddle/ovs/nb/db"
)

// pod wants a switch port with the addresses of the Pod's IP object. iface-id-ver keeps a sandbox of an earlier Pod of the
// same name from binding the port (ovn-nb(5), Logical_Switch_Port options).
func pod(v *state.View, key string, out *Output) {
	obj := v.Pod(key)
	if obj == nil {
		return
	}
	ip := v.IP(obj.Port())
	if ip == nil {
		return
	}
	bind(v, obj, out)
	out.Row(nb.Row{
		ID: obj.Port(),
		Model: &db.LogicalSwitchPort{
			Name: obj.Port(), Addresses: []string{ip.Addresses()}, Options: map[string]string{"iface-id-ver": obj.UID},
			MirrorRules: mirrors(v, obj),
		},
		In: []nb.Edge{inSwitch(ip.Subnet)},
	})
}
