// Command heddle-controller turns Kubernetes objects into the OVN northbound database.
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"go.uber.org/zap/zapcore"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/config"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"github.com/heddle-net/heddle/controller"
	v1 "github.com/heddle-net/heddle/crds/v1"
	"github.com/heddle-net/heddle/version"
)

func main() {
	if err := command().ExecuteContext(ctrl.SetupSignalHandler()); err != nil {
		fmt.Fprintln(os.Stderr, "heddle-controller:", err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	var cfg controller.Config
	var verbosity int
	var kubeconfig, caFile, certFile, keyFile string
	cmd := &cobra.Command{
		Use:           "heddle-controller",
		Short:         "Turn Kubernetes objects into the OVN northbound database",
		Version:       version.String(),
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg.Log = zap.New(zap.Level(zapcore.Level(-verbosity)), zap.StacktraceLevel(zapcore.DPanicLevel))
			ctrl.SetLogger(cfg.Log)
			if err := flag.Set("kubeconfig", kubeconfig); err != nil { // config.GetConfig reads this flag
				return err
			}
			rest, err := config.GetConfig()
			if err != nil {
				return fmt.Errorf("reach the API server: %w", err)
			}
			cfg.REST = rest
			for _, db := range []*controller.Database{&cfg.Northbound, &cfg.Southbound} {
				db.CAFile, db.CertFile, db.KeyFile = caFile, certFile, keyFile
			}
			return controller.Run(cmd.Context(), cfg)
		},
	}
	f := cmd.Flags()
	f.StringVar(&kubeconfig, "kubeconfig", "", "kubeconfig `file`; empty inside a cluster")
	f.IntVarP(&verbosity, "v", "v", 0, "log `level`: 0 says what changes, 1 how")
	f.StringVar(&cfg.Northbound.Addr, "ovn-nb-addr", "", "northbound database: `addresses` as unix:/path, tcp:host:port or ssl:host:port, separated by commas")
	f.StringVar(&cfg.Northbound.Service, "ovn-nb-service", "kube-system/heddle-ovn-nb", "`namespace/name` of the headless Service of the northbound database; used without --ovn-nb-addr")
	f.StringVar(&cfg.Southbound.Addr, "ovn-sb-addr", "", "southbound database, as --ovn-nb-addr")
	f.StringVar(&cfg.Southbound.Service, "ovn-sb-service", "kube-system/heddle-ovn-sb", "`namespace/name` of the headless Service of the southbound database; used without --ovn-sb-addr")
	f.StringVar(&caFile, "ovn-ca-file", "", "PEM `file` of the CA that signed the databases' certificates")
	f.StringVar(&certFile, "ovn-cert-file", "", "PEM `file` of our own certificate")
	f.StringVar(&keyFile, "ovn-key-file", "", "PEM `file` of our own key")
	f.BoolVar(&cfg.LeaderElect, "leader-elect", true, "work only while holding the lease; without it there must be one controller")
	f.StringVar(&cfg.LeaderElectionNamespace, "leader-election-namespace", "", "`namespace` of the lease; empty means our own")
	f.StringVar(&cfg.LeaderElectionIdentity, "leader-election-identity", "", "`name` on the lease, which needs --leader-election-namespace; who starts again under its name leads on at once. Empty means a new name for each process")
	f.StringVar(&cfg.MetricsAddr, "metrics-bind-address", ":10660", "`address` of /metrics; 0 switches it off")
	f.StringVar(&cfg.HealthAddr, "health-probe-bind-address", ":10661", "`address` of /healthz and /readyz; 0 switches it off")
	f.StringVar(&cfg.Defaults.Vpc, "default-vpc", v1.DefaultVpc, "`name` of the default Vpc")
	f.StringVar(&cfg.Defaults.Subnet, "default-subnet", v1.DefaultSubnet, "`name` of the Subnet that serves Namespaces without one of their own")
	f.StringVar(&cfg.Defaults.SubnetCIDR, "default-cidr", "10.16.0.0/16", "`CIDR` of the default Subnet when it is created: v4, v6 or v4,v6")
	f.StringVar(&cfg.Defaults.SubnetGateway, "default-gateway", "", "gateway `addresses` of the default Subnet when it is created; empty means the first usable ones")
	f.StringVar(&cfg.Defaults.JoinSubnet, "join-subnet", v1.JoinSubnet, "`name` of the Subnet that connects the nodes to the router")
	f.StringVar(&cfg.Defaults.JoinCIDR, "join-cidr", "100.64.0.0/16", "`CIDR` of the join Subnet when it is created: v4, v6 or v4,v6")
	f.StringVar(&cfg.ServiceCIDR, "service-cidr", "10.96.0.0/12", "`CIDR` of Services: v4, v6 or v4,v6")
	f.StringVar(&cfg.NodeLocalDNS, "node-local-dns-ip", "", "`addresses` of a DNS server that runs on each node for the Pods there, separated by commas")
	f.BoolVar(&cfg.MirrorAll, "mirror-all", false, "copy the packets of all Pods to the mirror of their node, not only of those that ask for it")
	f.BoolVar(&cfg.ReleaseHeldRemovals, "release-held-removals", false, "apply removals that the first pass holds back because they are too many to be believed")
	return cmd
}
