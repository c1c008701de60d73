package daemon

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-logr/logr"

	"github.com/heddle-net/heddle/daemon/dns"
	"github.com/heddle-net/heddle/daemon/host"
	"github.com/heddle-net/heddle/ovs/vswitch"
)

// Teardown leaves a node as it was before Heddle, for an uninstall: the CNI configuration first, so that no Pod is added any more,
// then the node's own network, br-int with the ports of all Pods included. The daemon must not run. It may be repeated.
func Teardown(ctx context.Context, cfg Config, log logr.Logger) error {
	if err := uninstall(cfg); err != nil {
		return fmt.Errorf("remove the CNI configuration: %w", err)
	}
	ovs, err := vswitch.Connect(ctx, vswitch.Config{Endpoint: cfg.OVSSocket, Log: log})
	if err != nil {
		return err
	}
	defer ovs.Close()
	datapath, err := chooseDatapath(ctx, cfg.Datapath, ovs)
	if err != nil {
		return err
	}
	h := host.New(host.Config{
		NodeName: cfg.NodeName, Datapath: datapath, EncapIP: cfg.EncapIP, OVS: hostOVS{ovs: ovs}, Log: log,
	})
	have, err := ovs.ExternalIDs(ctx)
	if err != nil {
		return err
	}
	// ovn-controller makes br-int again as long as it runs; without these keys it does nothing else.
	return errors.Join(ovs.SetExternalIDs(ctx, forget(have)), h.Teardown(ctx), ovs.ForgetQdiscs(ctx), dns.Teardown())
}
