package daemon

import (
	"context"
	"errors"

	"github.com/heddle-net/heddle/daemon/host"
	"github.com/heddle-net/heddle/ovs/vswitch"
)

// hostOVS shows the node's Open_vSwitch database to package host in the terms of that package.
type hostOVS struct {
	ovs     *vswitch.Client
	changed <-chan struct{}
}

var _ host.OVS = hostOVS{}

// Changed is host.OVS's: every bridge and port counts but those of Pods.
func (h hostOVS) Changed() <-chan struct{} { return h.changed }

// Bridge reads a bridge with its row's settings; nil when there is none.
func (h hostOVS) Bridge(ctx context.Context, name string) (*host.Bridge, error) {
	b, err := h.ovs.Bridge(ctx, name)
	if errors.Is(err, vswitch.ErrNoBridge) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	out := &host.Bridge{
		Name: b.Name, Datapath: host.Datapath(b.DatapathType), HWAddr: b.OtherConfig["hwaddr"], ExternalIDs: b.ExternalIDs,
	}
	if b.FailMode != nil {
		out.FailMode = *b.FailMode
	}
	return out, nil
}

// Port reads a port and the bridge that it is on; nil when there is none.
func (h hostOVS) Port(ctx context.Context, name string) (*host.Port, error) {
	rows, err := h.ovs.Interfaces(ctx, func(i *vswitch.Interface) bool { return i.Name == name })
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	bridge, err := h.ovs.BridgeOf(ctx, name)
	if err != nil {
		return nil, err
	}
	i := rows[0]
	return &host.Port{
		Bridge: bridge, Name: i.Name, Type: i.Type, ExternalIDs: i.ExternalIDs,
		MAC: value(i.MAC), MTU: value(i.MTURequest), OFPort: value(i.OFPort),
	}, nil
}

// value of an optional column.
func value[T any](p *T) T {
	if p == nil {
		var none T
		return none
	}
	return *p
}

// EnsureBridge makes the bridge as described, with its uplink when it is new.
func (h hostOVS) EnsureBridge(ctx context.Context, b host.Bridge) error {
	row := vswitch.Bridge{Name: b.Name, DatapathType: string(b.Datapath), ExternalIDs: b.ExternalIDs}
	if b.FailMode != "" {
		row.FailMode = &b.FailMode
	}
	if b.HWAddr != "" {
		row.OtherConfig = map[string]string{"hwaddr": b.HWAddr}
	}
	var ports []vswitch.Port
	if b.Uplink != "" {
		ports = append(ports, vswitch.Port{Name: b.Uplink})
	}
	return h.ovs.EnsureBridge(ctx, row, ports...)
}

// EnsurePort makes the port as described.
func (h hostOVS) EnsurePort(ctx context.Context, p host.Port) error {
	return h.ovs.EnsurePort(ctx, vswitch.Port{
		Bridge: p.Bridge, Name: p.Name, Type: p.Type, MAC: p.MAC, MTU: p.MTU, ExternalIDs: p.ExternalIDs,
	})
}

// DeleteBridge removes a bridge with its ports.
func (h hostOVS) DeleteBridge(ctx context.Context, name string) error {
	return h.ovs.DelBridge(ctx, name)
}

// DeletePort removes the port of one interface.
func (h hostOVS) DeletePort(ctx context.Context, name string) error {
	rows, err := h.ovs.Interfaces(ctx, func(i *vswitch.Interface) bool { return i.Name == name })
	if err != nil {
		return err
	}
	return h.ovs.DelPorts(ctx, rows)
}
