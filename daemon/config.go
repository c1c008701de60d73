package daemon

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"k8s.io/client-go/rest"

	"github.com/heddle-net/heddle/daemon/host"
)

// Config is what the command line says.
type Config struct {
	Kube     *rest.Config
	NodeName string
	// Namespace is where the daemon writes Leases: its own.
	Namespace string

	// Socket is where the CNI plugin finds the daemon.
	Socket string
	// OVSSocket is the endpoint of the node's own Open_vSwitch database.
	OVSSocket string

	// SouthboundAddr is the southbound database for ovn-controller; when empty, the endpoints of SouthboundService are.
	SouthboundAddr string
	// SouthboundService is "namespace/name".
	SouthboundService string

	EncapType string
	// EncapIP is the tunnel address; invalid = the Node's InternalIP.
	EncapIP netip.Addr
	// MTU of Pods and ovn0; 0 = the uplink's less 100.
	MTU int
	// Datapath is "system", "netdev" or DatapathAuto.
	Datapath     string
	ServiceCIDRs []netip.Prefix
	JoinSubnet   string

	// DNSService is "namespace/name" of the cluster's DNS, NodeLocalDNS the addresses of the node's own: what these answer Pods says what
	// the domainNames of policies mean.
	DNSService   string
	NodeLocalDNS []netip.Addr

	// MirrorLink is the name of the link on the node that copies of Pods' packets come to; MirrorAll copies those of all Pods.
	MirrorLink string
	MirrorAll  bool

	CNIConfDir, CNIBinDir string
	// CNIBinary is the plugin that is installed.
	CNIBinary string
	// CNIVersion of the configuration that is written.
	CNIVersion string

	MetricsAddr, HealthAddr string
}

// linkName is what the kernel and OVS take both.
var linkName = regexp.MustCompile(`^[a-zA-Z][-_.a-zA-Z0-9]{0,14}$`)

// Validate says what is wrong with the command line.
func (c *Config) Validate() error {
	switch {
	case c.NodeName == "":
		return fmt.Errorf("--node-name is missing (in a Pod: env NODE_NAME from spec.nodeName)")
	case !filepath.IsAbs(c.Socket):
		return fmt.Errorf("--socket %q is not an absolute path", c.Socket)
	case c.SouthboundAddr == "" && strings.Count(c.SouthboundService, "/") != 1:
		return fmt.Errorf("--ovn-sb-service %q is not namespace/name, and there is no --ovn-sb-addr", c.SouthboundService)
	case strings.Count(c.DNSService, "/") != 1:
		return fmt.Errorf("--dns-service %q is not namespace/name", c.DNSService)
	case !slices.Contains([]string{DatapathAuto, string(host.DatapathKernel), string(host.DatapathNetdev)}, c.Datapath):
		return fmt.Errorf("--datapath %q is not auto, system or netdev", c.Datapath)
	case !slices.Contains([]string{"geneve", "vxlan", "stt"}, c.EncapType):
		return fmt.Errorf("--encap-type %q is not geneve, vxlan or stt", c.EncapType)
	case c.MTU != 0 && (c.MTU < 576 || c.MTU > 65535):
		return fmt.Errorf("--mtu %d is not 0 or between 576 and 65535", c.MTU)
	case !linkName.MatchString(c.MirrorLink) || slices.Contains([]string{host.LinkOverlay, host.LinkUplink, host.BridgeInt}, c.MirrorLink):
		return fmt.Errorf("--mirror-iface %q is no name for a link, or one that is taken", c.MirrorLink)
	case !slices.Contains([]string{"0.3.1", "0.4.0", "1.0.0", "1.1.0"}, c.CNIVersion):
		return fmt.Errorf("--cni-version %q is not 0.3.1, 0.4.0, 1.0.0 or 1.1.0", c.CNIVersion)
	}
	return nil
}
