package daemon

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/heddle-net/heddle/daemon/port"
	"github.com/heddle-net/heddle/ovs/vswitch"
)

// encapOverhead is the room that Geneve needs: outer Ethernet 14, IP 20 or 40, UDP 8, Geneve 8 and OVN's options 8 (RFC 8926), rounded up as
// Kube-OVN does, so that a cluster that is taken over keeps its MTU.
const encapOverhead = 100

// apiPatience is how long a start waits for the Node before it goes by what OVS remembers. With the user-space
// datapath a rebooted node may have no way to the API server until its uplink is in order, which needs the address.
const apiPatience = 5 * time.Second

// tunnelIP finds the node's tunnel address at start.
func tunnelIP(ctx context.Context, cfg Config, t *tables, ovs *vswitch.Client) (netip.Addr, error) {
	if cfg.EncapIP.IsValid() {
		return cfg.EncapIP, nil
	}
	hasIP := func(n nodeFacts) bool { return len(n.internalIPs) > 0 }
	patience, cancel := context.WithTimeout(ctx, apiPatience)
	defer cancel()
	node, _, err := t.nodes.Wait(patience, cfg.NodeName, hasIP)
	if err == nil {
		return encapIP(cfg, node)
	}
	if ids, err := ovs.ExternalIDs(ctx); err == nil {
		if ip, err := netip.ParseAddr(ids["ovn-encap-ip"]); err == nil {
			return ip, nil
		}
	}
	if node, _, err = t.nodes.Wait(ctx, cfg.NodeName, hasIP); err != nil {
		return netip.Addr{}, fmt.Errorf("wait for the InternalIP of Node %s: %w", cfg.NodeName, err)
	}
	return encapIP(cfg, node)
}

// podMTU is the MTU of Pods whose Subnet has none. It is read anew for each, so that a change of the uplink's counts.
func podMTU(flag int, tunnel *port.Table[netip.Addr]) func(context.Context) (int, error) {
	return func(ctx context.Context) (int, error) {
		if flag != 0 {
			return flag, nil
		}
		ip, _, err := tunnel.Wait(ctx, "", netip.Addr.IsValid)
		if err != nil {
			return 0, fmt.Errorf("the node's tunnel address is not known yet: %w", err)
		}
		mtu, err := uplinkMTU(ip)
		return mtu - encapOverhead, err
	}
}

// uplinkMTU is the MTU of the link that has the address.
func uplinkMTU(ip netip.Addr) (int, error) {
	addrs, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return 0, fmt.Errorf("find the uplink: %w", err)
	}
	for _, a := range addrs {
		if have, ok := netip.AddrFromSlice(a.IP); !ok || have.Unmap() != ip {
			continue
		}
		link, err := netlink.LinkByIndex(a.LinkIndex)
		if err != nil {
			return 0, fmt.Errorf("find the uplink: %w", err)
		}
		return link.Attrs().MTU, nil
	}
	return 0, fmt.Errorf("find the uplink: no link of this node has the tunnel address %s", ip)
}
