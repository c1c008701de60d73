// Package mirrorname has the names of OVN's mirrors: the controller makes them, and the daemon finds them in its node's Open vSwitch.
package mirrorname

// Node is the mirror that Pods ask for by annotation: as the beginning of its names, and as the mirror-id of its link (ovn-controller(8),
// external_ids:mirror-id of an Interface).
const Node = "mirror0"

// Out is that for what Pods send, for a TrafficMirror, or, without a name, for Node. What goes to a Pod has others for Pods on other nodes,
// which are far.
func Out(trafficMirror string, far bool) string { return base(trafficMirror, far) + "/out" }

// In is that for what Pods are sent.
func In(trafficMirror string, far bool) string { return base(trafficMirror, far) + "/in" }

func base(trafficMirror string, far bool) string {
	name := Node
	if trafficMirror != "" {
		name = "tm-" + trafficMirror
	}
	if far {
		name += "/far"
	}
	return name
}
