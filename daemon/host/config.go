package host

import (
	"context"
	"net/netip"
	"reflect"
	"slices"

	"github.com/go-logr/logr"
)

// Datapath is OVS's datapath_type of the node's bridges.
type Datapath string

// The two datapaths of OVS: the kernel module, and user space where there is no module.
const (
	DatapathKernel Datapath = "system"
	DatapathNetdev Datapath = "netdev"
)

// Config is what does not change while the process lives.
type Config struct {
	NodeName string
	// ServiceCIDRs are those of a cluster that tells none.
	ServiceCIDRs []netip.Prefix
	Datapath     Datapath
	// EncapIP is the node's tunnel address. The link that carries it is the uplink: ovn0's MTU follows it, and with the
	// user-space datapath it moves into br-phy.
	EncapIP netip.Addr
	// MTU of ovn0; 0 = the uplink's less 100 (Geneve over IPv6 takes 70 octets, OVN's options the rest).
	MTU int
	OVS OVS
	Log logr.Logger
	// Report, when set, is called after each pass from Run's goroutine.
	Report func(Report)
}

// Report tells what one pass did.
type Report struct {
	Operations []string // as planned, in their order; empty = the node was as wanted
	Problems   []string // why something that is wanted cannot be, for a human
	Waiting    []string // what is not there yet; an event will tell
	Err        error    // an operation that failed; it is tried again
}

// Input is what Kubernetes says about this node. Annotations come as they are written ("v4,v6"): whether they make sense is
// Compile's question, so that a bad one becomes a problem and not an error of the caller.
type Input struct {
	IP      string // annotation ip_address of this Node
	MAC     string // annotation mac_address
	CIDR    string // annotation cidr: the join Subnet's
	Gateway string // annotation gateway: the router's addresses on the join switch

	Subnets []Subnet // the overlay Subnets of the default VPC, without the join Subnet
	NodeIPs []string // the InternalIPs of all nodes; this node's own may be among them

	ServiceCIDRs []netip.Prefix // where ClusterIPs come from; empty = Config has it

	OwnIPs   []string   // the InternalIPs of this node, at which it answers for NodePorts
	Services []*Service // those that the node has to do something for; never changed once they are here

	// Balancers are addresses that some node answers for in the name of a Service, and that are no address of the node itself.
	Balancers []netip.Addr

	Mirrors   []Mirror
	NoMirrors []string // links of those that are gone
}

// Subnet is one overlay Subnet of the default VPC.
type Subnet struct {
	Name        string
	CIDR        string // spec.cidrBlock, "v4,v6"
	NATOutgoing bool
}

// Equal reports whether both say the same; the order of lists matters.
func (in Input) Equal(o Input) bool {
	return in.IP == o.IP && in.MAC == o.MAC && in.CIDR == o.CIDR && in.Gateway == o.Gateway &&
		slices.Equal(in.Subnets, o.Subnets) && slices.Equal(in.NodeIPs, o.NodeIPs) && slices.Equal(in.OwnIPs, o.OwnIPs) &&
		slices.Equal(in.ServiceCIDRs, o.ServiceCIDRs) && slices.Equal(in.Balancers, o.Balancers) && slices.Equal(in.Mirrors, o.Mirrors) && slices.Equal(in.NoMirrors, o.NoMirrors) &&
		slices.EqualFunc(in.Services, o.Services, func(a, b *Service) bool { return a == b || reflect.DeepEqual(a, b) })
}

// OVS is what this package needs of the node's Open_vSwitch database. Every call is one transaction or one read, takes
// effect on the database only (it does not wait for ovs-vswitchd), and may be repeated. Calls come from one goroutine.
type OVS interface {
	// Bridge reads a bridge; nil when there is none.
	Bridge(ctx context.Context, name string) (*Bridge, error)
	// Port reads a port with one interface of the same name; nil when there is none.
	Port(ctx context.Context, name string) (*Port, error)
	// EnsureBridge creates the bridge, or makes the named columns and external_ids keys equal; other keys stay. Uplink,
	// when set, is added as a port of the bridge in the same transaction.
	EnsureBridge(ctx context.Context, b Bridge) error
	// EnsurePort creates the port, or makes the named columns and external_ids keys equal; other keys stay. A port of
	// that name on another bridge moves.
	EnsurePort(ctx context.Context, p Port) error
	// DeleteBridge removes the bridge with all its ports; DeletePort one port. Absent is not an error.
	DeleteBridge(ctx context.Context, name string) error
	DeletePort(ctx context.Context, name string) error
	// Changed yields a value some time after anything that Bridge or Port would tell has changed, after a reconnect too.
	// Many changes may be one value.
	Changed() <-chan struct{}
}

// Bridge is a row of OVS's table Bridge, and its local interface.
type Bridge struct {
	Name        string
	Datapath    Datapath          // column datapath_type
	FailMode    string            // column fail_mode
	HWAddr      string            // other_config:hwaddr; empty = not managed
	Uplink      string            // a system port that is created together with the bridge
	ExternalIDs map[string]string // of the Bridge row
}

// Port is a row of OVS's table Port with its Interface.
type Port struct {
	Bridge      string
	Name        string
	Type        string            // Interface.type: "internal", or "" for a link of the system
	MAC         string            // Interface.mac; empty = not managed
	MTU         int               // Interface.mtu_request; 0 = not managed
	ExternalIDs map[string]string // of the Interface row
	// OFPort is Interface.ofport: read only, positive once ovs-vswitchd has the interface, 0 when unset, -1 on failure.
	OFPort int
}
