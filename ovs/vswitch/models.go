package vswitch

import "github.com/ovn-kubernetes/libovsdb/model"

// Names and keys that others read too: ovn-controller(8), ovs-vswitchd.conf.db(5), and Kube-OVN's tools.
const (
	database = "Open_vSwitch"

	// KeyVendor marks each row that Heddle made, so that a fresh process knows it.
	KeyVendor = "vendor"
	// Vendor is the value of KeyVendor.
	Vendor = "heddle"
	// KeyIfaceID names the logical port that an interface is bound to.
	KeyIfaceID = "iface-id"
	// KeyIfaceIDVer must equal the logical port's options:iface-id-ver, where that is set, for ovn-controller to bind.
	KeyIfaceIDVer = "iface-id-ver"
	// KeyInstalled is set to "true" by ovn-controller once all flows of the port are in the switch.
	KeyInstalled = "ovn-installed"
	// keyNBCfg is set on its bridge by ovn-controller: the nb_cfg whose flows are all in the switch.
	keyNBCfg = "ovn-nb-cfg"
)

// root is the only row of the table Open_vSwitch.
type root struct {
	UUID        string            `ovsdb:"_uuid"`
	Bridges     []string          `ovsdb:"bridges"`
	ExternalIDs map[string]string `ovsdb:"external_ids"`
	NextCfg     int               `ovsdb:"next_cfg"`
	CurCfg      int               `ovsdb:"cur_cfg"`
}

// rootName stands for it where rows have names.
const rootName = "."

// Bridge is a row of the table Bridge. DatapathType is "system" (the kernel, also when empty) or "netdev" (user space); FailMode is
// "standalone" (the default) or "secure" (no flow until a controller comes).
type Bridge struct {
	UUID         string            `ovsdb:"_uuid"`
	Name         string            `ovsdb:"name"`
	Ports        []string          `ovsdb:"ports"`
	DatapathType string            `ovsdb:"datapath_type"`
	FailMode     *string           `ovsdb:"fail_mode"`
	OtherConfig  map[string]string `ovsdb:"other_config"`
	ExternalIDs  map[string]string `ovsdb:"external_ids"`
	Mirrors      []string          `ovsdb:"mirrors"` // written, never read
}

// portRow is a row of the table Port.
type portRow struct {
	UUID        string            `ovsdb:"_uuid"`
	Name        string            `ovsdb:"name"`
	Interfaces  []string          `ovsdb:"interfaces"`
	QoS         *string           `ovsdb:"qos"`
	ExternalIDs map[string]string `ovsdb:"external_ids"`
}

// Interface is a row of the table Interface. OFPort and Error are written by ovs-vswitchd once it has tried the
// device: OFPort is -1 and Error says why when it could not open it.
type Interface struct {
	UUID        string            `ovsdb:"_uuid"`
	Name        string            `ovsdb:"name"`
	Type        string            `ovsdb:"type"`
	MAC         *string           `ovsdb:"mac"`
	MTURequest  *int              `ovsdb:"mtu_request"`
	Options     map[string]string `ovsdb:"options"`
	ExternalIDs map[string]string `ovsdb:"external_ids"`
	OFPort      *int              `ovsdb:"ofport"`
	Error       *string           `ovsdb:"error"`
}

// Ours tells whether Heddle made the row.
func (i *Interface) Ours() bool { return i.ExternalIDs[KeyVendor] == Vendor }

// Installed tells whether ovn-controller has installed the flows of the port.
func (i *Interface) Installed() bool { return i.ExternalIDs[KeyInstalled] == "true" }

func databaseModel() (model.ClientDBModel, error) {
	return model.NewClientDBModel(database, map[string]model.Model{
		"Open_vSwitch": &root{},
		"Bridge":       &Bridge{},
		"Port":         &portRow{},
		"Interface":    &Interface{},
		"QoS":          &qosRow{},
		"Mirror":       &mirrorRow{},
	})
}
