package cni

import (
	"net"
	"net/netip"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
	current "github.com/containernetworking/cni/pkg/types/100"

	"github.com/heddle-net/heddle/cni/api"
)

// cniResult is the daemon's result in CNI's newest form: the node's end of the veth, the Pod's end, and its addresses on the latter.
func cniResult(r *api.Result, args *skel.CmdArgs, dns types.DNS) *current.Result {
	out := &current.Result{
		CNIVersion: current.ImplementedSpecVersion,
		Interfaces: []*current.Interface{
			{Name: r.HostInterface, Mac: r.HostMAC, Mtu: r.MTU},
			{Name: args.IfName, Mac: r.MAC, Mtu: r.MTU, Sandbox: args.Netns},
		},
		DNS: dns,
	}
	for _, ip := range r.IPs {
		out.IPs = append(out.IPs, &current.IPConfig{
			Interface: current.Int(1), Address: ipNet(ip.Address), Gateway: net.IP(ip.Gateway.AsSlice()),
		})
	}
	for _, route := range r.Routes {
		out.Routes = append(out.Routes, &types.Route{Dst: ipNet(route.Dst), GW: net.IP(route.GW.AsSlice())})
	}
	return out
}

func ipNet(p netip.Prefix) net.IPNet {
	return net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// previous takes from prevResult what concerns this interface. Other plugins of the chain may have added more.
func previous(prev types.Result, args *skel.CmdArgs) (*api.Result, error) {
	if prev == nil {
		return nil, api.Errorf(api.CodeConfig, "CHECK without prevResult")
	}
	r, err := current.GetResult(prev)
	if err != nil {
		return nil, api.Errorf(api.CodeDecoding, "decode prevResult: %v", err)
	}
	out, index := &api.Result{}, -1
	for i, dev := range r.Interfaces {
		if dev.Name == args.IfName && dev.Sandbox != "" {
			index, out.MAC = i, dev.Mac
		}
	}
	for _, ip := range r.IPs {
		if ip.Interface == nil || *ip.Interface == index {
			out.IPs = append(out.IPs, api.IP{Address: prefix(ip.Address)})
		}
	}
	for _, route := range r.Routes {
		gw, _ := netip.AddrFromSlice(route.GW)
		out.Routes = append(out.Routes, api.Route{Dst: prefix(route.Dst), GW: gw.Unmap()})
	}
	return out, nil
}

func prefix(n net.IPNet) netip.Prefix {
	addr, _ := netip.AddrFromSlice(n.IP)
	ones, _ := n.Mask.Size()
	return netip.PrefixFrom(addr.Unmap(), ones)
}
