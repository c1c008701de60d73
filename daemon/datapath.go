package daemon

import (
	"context"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/heddle-net/heddle/daemon/host"
	"github.com/heddle-net/heddle/ovs/vswitch"
)

// DatapathAuto chooses the kernel's datapath where there is one.
const DatapathAuto = "auto"

// chooseDatapath answers --datapath. br-int keeps the type that a Heddle before us gave it: changing it under
// running Pods would cut all of them off.
func chooseDatapath(ctx context.Context, flag string, ovs *vswitch.Client) (host.Datapath, error) {
	if flag != DatapathAuto {
		return host.Datapath(flag), nil
	}
	b, err := ovs.Bridge(ctx, host.BridgeInt)
	if err != nil && !errors.Is(err, vswitch.ErrNoBridge) {
		return "", fmt.Errorf("choose the datapath: %w", err)
	}
	if err == nil && b.ExternalIDs[vswitch.KeyVendor] == vswitch.Vendor && b.DatapathType != "" {
		return host.Datapath(b.DatapathType), nil
	}
	return kernelDatapath()
}

// kernelDatapath asks for openvswitch.ko by its netlink family. Asking by name makes the kernel load the module where it
// can (ctrl_getfamily() requests net-pf-16-proto-16-family-ovs_datapath), and OVS itself asks in the same way.
func kernelDatapath() (host.Datapath, error) {
	_, err := netlink.GenlFamilyGet("ovs_datapath")
	switch {
	case err == nil:
		return host.DatapathKernel, nil
	case errors.Is(err, unix.ENOENT):
		return host.DatapathNetdev, nil
	default:
		return "", fmt.Errorf("ask the kernel for openvswitch: %w", err)
	}
}
