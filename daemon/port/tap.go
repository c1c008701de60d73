package port

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"

	"github.com/vishvananda/netlink"

	"github.com/heddle-net/heddle/cni/api"
	"github.com/heddle-net/heddle/ovs/vswitch"
)

// TapLink is the link of a Pod that copies of packets come to.
const TapLink = "mirror0"

// tapMTU is the largest that a link has: a copy is as large as its packet.
const tapMTU = 65535

// Keys of external_ids of the ports in this file.
const (
	keyTap    = "heddle-tap"    // container that it leads to
	keyTunnel = "heddle-tunnel" // for copies from other nodes
)

// Tap is a Pod that gets copies of packets.
type Tap struct {
	Pod     string   // key in the table of Pods
	Tunnels []Tunnel // that copies of other nodes' packets come by
}

// Tunnel is one for all other nodes.
type Tunnel struct {
	Name string // of its port
	Key  uint32 // of GRE
}

// Collector is a host elsewhere that gets copies of packets.
type Collector struct {
	MirrorID string // by what OVN's mirrors find its port
	Name     string // of its port
	Type     string // gre or erspan
	Address  string
	ID       int64 // key of GRE, session of ERSPAN
}

// tapOf selects the interface to the tap of a container.
func tapOf(container string) func(*vswitch.Interface) bool {
	return func(i *vswitch.Interface) bool { return i.Ours() && i.ExternalIDs[keyTap] == container }
}

// SetTaps gives those of these Pods that are attached their links and tunnels, and takes away all others. filters are for the mirrors that
// ovn-controller makes (vswitch.Client.SetMirrors).
func (m *Manager) SetTaps(ctx context.Context, taps []Tap, collectors []Collector, filters map[string]string) error {
	ifaces, err := m.ports(ctx, func(i *vswitch.Interface) bool { return i.Ours() })
	if err != nil {
		return err
	}
	var failed []error
	var mirrors []vswitch.Mirror
	wanted := map[string]bool{}
	for _, tap := range taps {
		ports, err := m.tap(ctx, tap, ifaces)
		if err != nil {
			failed = append(failed, fmt.Errorf("copies for Pod %s: %w", tap.Pod, err))
		}
		for n, name := range ports {
			wanted[name] = true
			if n > 0 {
				mirrors = append(mirrors, vswitch.Mirror{Name: name, From: name, To: ports[0]})
			}
		}
	}
	for _, c := range collectors {
		// In user space OVS has one port for all of IP protocol 47, and takes what comes by it for GRE or for ERSPAN, by which was first.
		if c.Type == "erspan" && m.cfg.SoftwareChecksums && len(mirrors) > 0 {
			failed = append(failed, fmt.Errorf("copies for %s: the user-space datapath has no ERSPAN where a Pod gets copies from other nodes", c.Address))
			continue
		}
		wanted[c.Name] = true
		if err := m.ensure(ctx, ifaces, c.port(m.cfg.Bridge)); err != nil {
			failed = append(failed, fmt.Errorf("copies for %s: %w", c.Address, err))
		}
	}
	if err := m.cfg.OVS.SetMirrors(ctx, m.cfg.Bridge, mirrors, filters); err != nil {
		failed = append(failed, err)
	}
	return errors.Join(append(failed, m.removeTaps(ctx, ifaces, wanted))...)
}

// removeTaps removes those that are not wanted.
func (m *Manager) removeTaps(ctx context.Context, ifaces []*vswitch.Interface, wanted map[string]bool) error {
	gone := slices.DeleteFunc(slices.Clone(ifaces), func(i *vswitch.Interface) bool {
		return wanted[i.Name] || i.ExternalIDs[keyTap] == "" && i.ExternalIDs[keyTunnel] == ""
	})
	if err := m.cfg.OVS.DelPorts(ctx, gone); err != nil {
		return again("%v", err)
	}
	var failed []error
	for _, i := range gone {
		if i.ExternalIDs[keyTap] != "" {
			failed = append(failed, deleteLink(i.Name))
		}
	}
	return errors.Join(failed...)
}

// tap makes what is missing, and returns the name of the port to the Pod and those of its tunnels; none when the Pod is not attached.
func (m *Manager) tap(ctx context.Context, tap Tap, ifaces []*vswitch.Interface) (ports []string, err error) {
	p, _ := m.cfg.Pods.Get(tap.Pod)
	i := slices.IndexFunc(ifaces, func(i *vswitch.Interface) bool {
		return ofContainers(i) && i.ExternalIDs[vswitch.KeyIfaceIDVer] == p.UID && i.ExternalIDs[keyPodNamespace]+"/"+i.ExternalIDs[keyPodName] == tap.Pod
	})
	if i < 0 {
		return nil, nil
	}
	ids := ifaces[i].ExternalIDs
	request := api.Request{ContainerID: ids[keyContainer], IfName: ids[keyIfName], NetNS: ids[keyPodNetNS]}
	unlock, err := m.lockContainer(ctx, &request)
	if err != nil {
		return nil, err
	}
	defer unlock()
	host := HostName(request.ContainerID, TapLink)
	if !there(ifaces, host) || !linkExists(host) {
		if err := m.makeTap(ctx, &request, host, tap.Pod); err != nil {
			return nil, err
		}
	}
	ports = []string{host}
	for _, tunnel := range tap.Tunnels {
		if err := m.ensure(ctx, ifaces, tunnel.port(m.cfg.Bridge)); err != nil {
			return ports, err
		}
		ports = append(ports, tunnel.Name)
	}
	return ports, nil
}

func there(ifaces []*vswitch.Interface, name string) bool {
	return slices.ContainsFunc(ifaces, func(i *vswitch.Interface) bool { return i.Name == name })
}

// ensure adds a port that is missing.
func (m *Manager) ensure(ctx context.Context, ifaces []*vswitch.Interface, port vswitch.Port) error {
	if there(ifaces, port.Name) {
		return nil
	}
	if err := m.cfg.OVS.AddPort(ctx, port); err != nil {
		return again("%v", err)
	}
	return nil
}

// port takes what comes from any node.
func (t Tunnel) port(bridge string) vswitch.Port {
	return vswitch.Port{
		Bridge: bridge, Name: t.Name, Type: "gre", Options: map[string]string{"remote_ip": "flow", "key": strconv.FormatUint(uint64(t.Key), 10)},
		ExternalIDs: map[string]string{keyTunnel: "true"},
	}
}

// port sends to the collector (ovs-vswitchd.conf.db(5), tunnel options).
func (c Collector) port(bridge string) vswitch.Port {
	options := map[string]string{"remote_ip": c.Address, "key": strconv.FormatInt(c.ID, 10)}
	if c.Type == "erspan" {
		options["erspan_ver"], options["erspan_idx"] = "1", options["key"]
	}
	return vswitch.Port{
		Bridge: bridge, Name: c.Name, Type: c.Type, Options: options, ExternalIDs: map[string]string{keyTunnel: "true", vswitch.KeyMirrorID: c.MirrorID},
	}
}

// makeTap makes the pair of links, and its port.
func (m *Manager) makeTap(ctx context.Context, r *api.Request, host, pod string) error {
	attached, err := m.ports(ctx, of(r.ContainerID, r.IfName))
	if err != nil || len(attached) == 0 {
		return err // its DEL has been faster
	}
	ns, err := m.openNetNS(r.NetNS)
	if err != nil {
		return err
	}
	defer ns.close()
	if err := deleteLink(host); err != nil { // without its port, or the Pod has moved
		return err
	}
	veth := netlink.NewVeth(netlink.LinkAttrs{Name: host, MTU: tapMTU, Flags: net.FlagUp, TxQLen: -1})
	veth.PeerName, veth.PeerNamespace = TapLink, netlink.NsFd(int(ns.file.Fd()))
	if err := netlink.LinkAdd(veth); err != nil {
		return fmt.Errorf("make the link %s: %w", TapLink, err)
	}
	if err := m.finishTap(ctx, ns, r.ContainerID, host, pod); err != nil {
		return errors.Join(err, deleteLink(host))
	}
	return nil
}

func (m *Manager) finishTap(ctx context.Context, ns *netNS, container, host, pod string) error {
	if err := m.prepareHostEnd(host); err != nil {
		return err
	}
	var inside *netlink.Handle
	err := ns.do(func() (err error) {
		if err := setSysctl("net/ipv6/conf/"+TapLink+"/disable_ipv6", "1"); err != nil {
			return err
		}
		inside, err = netlink.NewHandle()
		return err
	})
	if err != nil {
		return err
	}
	defer inside.Close()
	link, err := inside.LinkByName(TapLink)
	if err == nil {
		err = inside.LinkSetUp(link)
	}
	if err != nil {
		return fmt.Errorf("set up %s: %w", TapLink, err)
	}
	port := vswitch.Port{Bridge: m.cfg.Bridge, Name: host, ExternalIDs: map[string]string{keyTap: container, vswitch.KeyMirrorID: pod}}
	if err := m.cfg.OVS.AddPort(ctx, port); err != nil {
		return again("%v", err)
	}
	return nil
}
