package port

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/heddle-net/heddle/cni/api"
	"github.com/heddle-net/heddle/daemon/shape"
	"github.com/heddle-net/heddle/ovs/vswitch"
)

// Add connects the container and returns when its packets flow. When it fails it has taken back what it made.
func (m *Manager) Add(ctx context.Context, r *api.Request) (*api.Result, error) {
	unlock, err := m.lockContainer(ctx, r)
	if err != nil {
		return nil, err
	}
	defer unlock()
	a, err := m.prepare(ctx, r)
	if err != nil {
		return nil, err
	}
	unlockPod, err := m.pods.lock(ctx, a.pod.Key())
	if err != nil {
		return nil, again("another ADD of Pod %s goes on: %v", a.pod.Key(), err)
	}
	defer unlockPod()
	return m.attach(ctx, a)
}

// attachment is one ADD: everything that is known before anything is made.
type attachment struct {
	*api.Request
	network
	pod    Pod
	host   string
	mtu    int
	routes []api.Route
	shape  shape.Shape
}

func (m *Manager) prepare(ctx context.Context, r *api.Request) (*attachment, error) {
	defer m.observe(r.Command, PartWaitPod, time.Now())
	p, err := m.waitPod(ctx, r)
	if err != nil {
		return nil, err
	}
	n, err := p.parse()
	if err != nil {
		return nil, err
	}
	routes, err := routesOf(n.ips, r.Routes)
	if err != nil {
		return nil, err
	}
	mtu, err := m.mtu(ctx, p, n.subnet)
	if err != nil {
		return nil, err
	}
	return &attachment{Request: r, network: n, pod: p, host: HostName(r.ContainerID, r.IfName), mtu: mtu, routes: routes}, nil
}

// routesOf are the default routes and the extra ones of the network configuration.
func routesOf(ips []api.IP, extra []api.Route) ([]api.Route, error) {
	gateways, out := map[bool]netip.Addr{}, []api.Route{}
	for _, ip := range ips {
		family := ip.Address.Addr().Is4()
		gateways[family] = ip.Gateway
		any4or6 := netip.IPv4Unspecified()
		if !family {
			any4or6 = netip.IPv6Unspecified()
		}
		out = append(out, api.Route{Dst: netip.PrefixFrom(any4or6, 0), GW: ip.Gateway})
	}
	for _, r := range extra {
		gw, ok := gateways[r.Dst.Addr().Is4()]
		if !ok {
			return nil, api.Errorf(api.CodeConfig, "route %s: the Pod has no address of this family", r.Dst)
		}
		if !r.GW.IsValid() {
			r.GW = gw
		}
		if r.Dst.Bits() == 0 {
			return nil, api.Errorf(api.CodeConfig, "route %s: the default route goes through the Subnet's gateway %s", r.Dst, gw)
		}
		out = append(out, r)
	}
	return out, nil
}

// attach makes the veth and then works on its two ends at the same time.
func (m *Manager) attach(ctx context.Context, a *attachment) (result *api.Result, err error) {
	pod, err := m.openNetNS(a.NetNS)
	if err != nil {
		return nil, err
	}
	defer pod.close()
	start := time.Now()
	row := &shaped{request: *a.Request, pod: a.pod.Key()}
	m.shapes.put(a.host, row) // a change from here on waits for the end of this
	newest, _ := m.cfg.Pods.Get(row.pod)
	a.shape = m.shapeOf(newest)
	mac, err := m.createVeth(a, pod)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.undo(ctx, a))
		}
	}()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	inside := make(chan error, 1)
	go func() {
		err := m.configure(a, pod)
		m.observe(a.Command, PartNetNS, start)
		if err != nil {
			cancel() // nothing to wait for any more
		}
		inside <- err
	}()
	outside := m.connect(ctx, a)
	if err := <-inside; err != nil {
		return nil, err
	}
	if outside != nil {
		return nil, outside
	}
	row.have, row.known = a.shape, true
	return &api.Result{HostInterface: a.host, HostMAC: mac, MAC: a.mac.String(), MTU: a.mtu, IPs: a.ips, Routes: a.routes}, nil
}

// connect adds the port to OVS and waits for OVN.
func (m *Manager) connect(ctx context.Context, a *attachment) error {
	start := time.Now()
	err := m.cfg.OVS.AddPort(ctx, vswitch.Port{Bridge: m.cfg.Bridge, Name: a.host, ExternalIDs: a.externalIDs(), OwnQdiscs: true})
	m.observe(a.Command, PartOVSDB, start)
	if err != nil {
		return again("Pod %s: %v", a.pod.Key(), err)
	}
	defer m.observe(a.Command, PartInstalled, time.Now())
	if err := m.cfg.OVS.WaitInstalled(ctx, a.host); err != nil {
		return again("Pod %s: %v", a.pod.Key(), err)
	}
	return nil
}

func (a *attachment) externalIDs() map[string]string {
	addresses := make([]string, len(a.ips))
	for i, ip := range a.ips {
		addresses[i] = ip.Address.Addr().String()
	}
	return map[string]string{
		vswitch.KeyIfaceID:    a.pod.Name + "." + a.pod.Namespace,
		vswitch.KeyIfaceIDVer: a.pod.UID,
		keyPodName:            a.pod.Name,
		keyPodNamespace:       a.pod.Namespace,
		keyPodNetNS:           a.NetNS,
		keyIP:                 strings.Join(addresses, ","),
		keyContainer:          a.ContainerID,
		keyIfName:             a.IfName,
		keyNetwork:            a.Network,
	}
}

// undo removes what attach made. The request's own deadline may be what has failed, so it has one of its own.
func (m *Manager) undo(ctx context.Context, a *attachment) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTimeout)
	defer cancel()
	m.shapes.remove(a.host)
	err := errors.Join(m.removePorts(ctx, of(a.ContainerID, a.IfName)), deleteLink(a.host))
	if err != nil {
		return fmt.Errorf("clean up: %w", err)
	}
	return nil
}
