package host

import (
	"encoding/json"
	"fmt"
	"net/netip"
)

// Uplink is the NIC that carries the tunnel address, as it was before br-phy took it over.
type Uplink struct {
	NIC      string         `json:"nic"`
	MAC      string         `json:"mac"`
	Addrs    []netip.Prefix `json:"addrs"`
	Routes   []Route        `json:"routes"`
	AcceptRA string         `json:"acceptRA,omitempty"` // whether it heeds router advertisements: "0", "2"; empty = no IPv6
	GRO      string         `json:"gro,omitempty"`
}

// uplink puts the NIC into br-phy with the user-space datapath, where OVS's tunnels need the tunnel address on a bridge of
// their own; with the kernel datapath it takes a NIC out again.
//
// The order is that of Segment: record and bridge in one transaction; wait until ovs-vswitchd has the NIC; addresses on
// br-phy beside those on the NIC; each route replaced in place; only then the NIC's addresses go, and last its packets are
// kept from the host's stack. Both links have one MAC address, so no neighbour notices. Every step compares first: a
// process killed between any two goes on where it was.
//
// While Open vSwitch is away for longer than a call takes to fail, the NIC gets back what is known of it, without the part that is OVS's.
func (c *compiler) uplink() {
	u := c.facts.Uplink
	switch {
	case c.cfg.Datapath != DatapathNetdev:
		c.giveBack()
	case c.facts.Away && u != nil:
		// The kubelet has to reach the API server, or it never learns of the Pod that brings Open vSwitch back.
		c.problem("Open vSwitch does not run: %s has the node's addresses until it does", u.NIC)
		c.giveBack()
	case c.facts.Broken != "":
		c.problem("the uplink is left where it is: %s", c.facts.Broken)
	case c.facts.Foreign:
		c.problem("the bridge %s is there and not ours: the uplink is left where it is", LinkUplink)
	case u == nil:
		c.problem("no link carries the tunnel address %s: it cannot move to %s", c.cfg.EncapIP, LinkUplink)
		c.wait("the uplink is unknown")
	default:
		c.out.Segments = append(c.out.Segments, takeOver(*u, c.facts.MTU))
		for _, r := range c.facts.Unmoved {
			c.problem("the route to %s stays on %s and will not work: move it to %s", r, u.NIC, LinkUplink)
		}
		if !contains(u.Addrs, c.cfg.EncapIP) {
			c.problem("%s was made for %v: the tunnel address %s is not among them", LinkUplink, u.Addrs, c.cfg.EncapIP)
		}
	}
}

func contains(prefixes []netip.Prefix, a netip.Addr) bool {
	for _, p := range prefixes {
		if p.Addr() == a {
			return true
		}
	}
	return false
}

func takeOver(u Uplink, mtu int) Segment {
	s := Segment{
		Name: "uplink",
		Bridges: []Bridge{{
			Name: LinkUplink, Datapath: DatapathNetdev, FailMode: "standalone", HWAddr: u.MAC, Uplink: u.NIC,
			ExternalIDs: map[string]string{OwnerKey: OwnerHost, UplinkKey: u.record()},
		}},
		Ports: []Port{{Bridge: LinkUplink, Name: u.NIC}},
		Links: []Link{
			// Frames that the NIC has merged are larger than OVS forwards.
			{Name: u.NIC, Up: true, GRO: "off"},
			{Name: LinkUplink, MAC: u.MAC, MTU: mtu, Up: true, TxCsum: "off"},
		},
		Bare: u.NIC, Attached: u.NIC,
		Tables: []Table{ingress(u.NIC)},
	}
	if u.AcceptRA != "" {
		s.Sysctls = []Sysctl{{Key: acceptRA(LinkUplink), Value: u.AcceptRA, Link: LinkUplink}}
	}
	for _, a := range u.Addrs {
		s.Addrs = append(s.Addrs, Addr{Link: LinkUplink, Prefix: a})
	}
	for _, r := range u.Routes {
		r.Link = LinkUplink
		s.Routes = append(s.Routes, r)
	}
	s.Routes = sorted(s.Routes, compareRoutes)
	return s
}

// giveBack is takeOver backwards: the stack hears the NIC again, the NIC gets addresses and routes, then the bridge goes,
// and the record with it.
func (c *compiler) giveBack() {
	s := Segment{Name: "uplink", NoTables: []string{"netdev"}}
	if !c.facts.Foreign && !c.facts.Away {
		s.NoBridges = []string{LinkUplink}
	}
	if u := c.facts.Uplink; u != nil && (c.facts.Moved || c.facts.Away) {
		s.Bare = LinkUplink
		s.Links = []Link{{Name: u.NIC, Up: true, GRO: u.GRO}}
		for _, a := range u.Addrs {
			s.Addrs = append(s.Addrs, Addr{Link: u.NIC, Prefix: a, PrefixRoute: true})
		}
		for _, r := range sorted(u.Routes, compareRoutes) {
			// Connected routes come with their addresses.
			if r.Gateway.IsValid() || r.Protocol != protocolKernel {
				s.Routes = append(s.Routes, r)
			}
		}
	}
	c.out.Segments = append(c.out.Segments, s)
}

// protocolKernel is RTPROT_KERNEL: routes that the kernel made for an address.
const protocolKernel = 2

func (u Uplink) record() string {
	b, err := json.Marshal(u)
	if err != nil {
		panic(err) // strings, numbers and addresses only
	}
	return string(b)
}

func parseRecord(s string) (*Uplink, error) {
	var u Uplink
	if err := json.Unmarshal([]byte(s), &u); err != nil {
		return nil, fmt.Errorf("external_ids:%s of %s: %w", UplinkKey, LinkUplink, err)
	}
	if u.NIC == "" || len(u.Addrs) == 0 {
		return nil, fmt.Errorf("external_ids:%s of %s: no NIC or no address", UplinkKey, LinkUplink)
	}
	return &u, nil
}
