package host

import "slices"

// Mirror is a link on the node that copies of Pods' packets come to.
type Mirror struct {
	ID   string // by what OVN's mirror finds it
	Link string // its name
}

// mirrors are the links that copies of packets come to. Nobody has an address there, and nothing that is sent to one goes anywhere.
func (c *compiler) mirrors() {
	s := Segment{Name: "mirror", NoPorts: slices.Clone(c.in.NoMirrors)}
	for _, m := range c.in.Mirrors {
		s.Ports = append(s.Ports, Port{
			Bridge: BridgeInt, Name: m.Link, Type: "internal", MTU: c.mtu(), ExternalIDs: map[string]string{OwnerKey: OwnerHost, "mirror-id": m.ID},
		})
		s.Links = append(s.Links, Link{Name: m.Link, Up: true})
		s.Sysctls = append(s.Sysctls, Sysctl{Key: "net/ipv6/conf/" + m.Link + "/disable_ipv6", Value: "1", Link: m.Link})
	}
	if len(s.Ports)+len(s.NoPorts) > 0 {
		c.out.Segments = append(c.out.Segments, s)
	}
}
