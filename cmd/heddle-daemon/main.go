// Command heddle-daemon runs on every node: it connects Pods when the CNI plugin asks, and keeps the node's own
// network. `heddle-daemon teardown` takes it off the node instead, for an uninstall.
package main

import (
	"context"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	v1 "github.com/heddle-net/heddle/crds/v1"
	"github.com/heddle-net/heddle/daemon"
	"github.com/heddle-net/heddle/version"
)

// teardownTimeout keeps an uninstall from hanging on a node without OVS.
const teardownTimeout = time.Minute

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "heddle-daemon:", err)
		os.Exit(1)
	}
}

// options are flags that are not in the Config as they are.
type options struct {
	kubeconfig, serviceCIDR, encapIP string
	version, teardown                bool
}

func run() error {
	cfg, opt, err := parse()
	if err != nil {
		return err
	}
	if opt.version {
		fmt.Println("heddle-daemon", version.String())
		return nil
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	log := klog.Background()
	if opt.teardown {
		ctx, cancel := context.WithTimeout(ctx, teardownTimeout)
		defer cancel()
		return daemon.Teardown(ctx, *cfg, log)
	}
	if cfg.Kube, err = clientcmd.BuildConfigFromFlags("", opt.kubeconfig); err != nil {
		return fmt.Errorf("connect to the API server: %w", err)
	}
	cfg.Kube.UserAgent = "heddle-daemon/" + version.Version
	return daemon.Run(ctx, *cfg, log)
}

func parse() (*daemon.Config, *options, error) {
	cfg, opt := &daemon.Config{}, &options{}
	flags := flag.NewFlagSet("heddle-daemon [teardown]", flag.ExitOnError)
	define(flags, cfg, opt)
	logs := flag.NewFlagSet("", flag.ContinueOnError)
	klog.InitFlags(logs)
	flags.Var(logs.Lookup("v").Value, "v", "log level: 0 = changes and problems, 4 = everything")
	args := os.Args[1:]
	if len(args) > 0 && args[0] == "teardown" {
		opt.teardown, args = true, args[1:]
	}
	if err := flags.Parse(args); err != nil {
		return nil, nil, err
	}
	if flags.NArg() > 0 {
		return nil, nil, fmt.Errorf("unknown argument %q", flags.Arg(0))
	}
	if opt.version || opt.teardown {
		return cfg, opt, nil
	}
	if opt.encapIP != "" {
		ip, err := netip.ParseAddr(opt.encapIP)
		if err != nil {
			return nil, nil, fmt.Errorf("--encap-ip: %w", err)
		}
		cfg.EncapIP = ip
	}
	for cidr := range strings.SplitSeq(opt.serviceCIDR, ",") {
		prefix, err := netip.ParsePrefix(cidr)
		if err != nil {
			return nil, nil, fmt.Errorf("--service-cidr: %w", err)
		}
		cfg.ServiceCIDRs = append(cfg.ServiceCIDRs, prefix)
	}
	return cfg, opt, cfg.Validate()
}

func define(f *flag.FlagSet, cfg *daemon.Config, opt *options) {
	beside := "heddle-cni"
	if self, err := os.Executable(); err == nil {
		beside = filepath.Join(filepath.Dir(self), "heddle-cni")
	}
	f.BoolVar(&opt.version, "version", false, "print the version and exit")
	f.StringVar(&opt.kubeconfig, "kubeconfig", "", "kubeconfig `file`; empty = in-cluster")
	f.StringVar(&cfg.NodeName, "node-name", os.Getenv("NODE_NAME"), "name of this Node (env NODE_NAME)")
	f.StringVar(&cfg.Namespace, "namespace", "kube-system", "Namespace of Heddle, for the Leases of nodes that answer for load balancers")
	f.StringVar(&cfg.Socket, "socket", "/run/heddle/daemon.sock", "unix socket for the CNI plugin")
	f.StringVar(&cfg.OVSSocket, "ovs-socket", "unix:/run/openvswitch/db.sock", "the node's Open_vSwitch database")
	f.StringVar(&cfg.SouthboundAddr, "ovn-sb-addr", "", "OVN southbound database for ovn-controller, such as ssl:192.0.2.1:6642; wins over --ovn-sb-service")
	f.StringVar(&cfg.SouthboundService, "ovn-sb-service", "kube-system/heddle-ovn-sb", "Service whose endpoints are the OVN southbound database")
	f.StringVar(&cfg.EncapType, "encap-type", "geneve", "tunnel protocol: geneve, vxlan or stt")
	f.StringVar(&opt.encapIP, "encap-ip", "", "tunnel address; empty = the Node's InternalIP")
	f.StringVar(&cfg.MirrorLink, "mirror-iface", "mirror0", "`name` of the link that copies of Pods' packets come to; it is there while a Pod asks for it")
	f.BoolVar(&cfg.MirrorAll, "mirror-all", false, "copy the packets of all Pods to it; --mirror-all of heddle-controller has to say the same")
	f.IntVar(&cfg.MTU, "mtu", 0, "MTU of Pods and ovn0; 0 = the uplink's less 100")
	f.StringVar(&cfg.Datapath, "datapath", daemon.DatapathAuto, "auto, system (kernel module) or netdev (user space)")
	f.StringVar(&opt.serviceCIDR, "service-cidr", "10.96.0.0/12", "Service CIDRs, separated by commas")
	f.StringVar(&cfg.JoinSubnet, "join-subnet", v1.JoinSubnet, "Subnet that connects the nodes")
	f.StringVar(&cfg.DNSService, "dns-service", "kube-system/kube-dns", "Service of the cluster's DNS: what it answers Pods is what domainNames of policies mean")
	f.Func("node-local-dns-ip", "`addresses` of the node's own DNS server, separated by commas, whose answers count, too", func(text string) error {
		for part := range strings.SplitSeq(text, ",") {
			ip, err := netip.ParseAddr(strings.TrimSpace(part))
			if err != nil {
				return err
			}
			cfg.NodeLocalDNS = append(cfg.NodeLocalDNS, ip)
		}
		return nil
	})
	f.StringVar(&cfg.CNIConfDir, "cni-conf-dir", "/etc/cni/net.d", "folder of the CNI configuration")
	f.StringVar(&cfg.CNIBinDir, "cni-bin-dir", "/opt/cni/bin", "folder of CNI plugins")
	f.StringVar(&cfg.CNIBinary, "cni-binary", beside, "the CNI plugin `file` to install")
	f.StringVar(&cfg.CNIVersion, "cni-version", "1.0.0", "version of the CNI configuration; STATUS and GC need 1.1.0, and a runtime and portmap that know it")
	f.StringVar(&cfg.MetricsAddr, "metrics-bind-address", ":10665", "address of /metrics; 0 = none")
	f.StringVar(&cfg.HealthAddr, "health-probe-bind-address", ":10666", "address of /healthz and /readyz; 0 = none")
}
