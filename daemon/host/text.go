package host

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// The text forms below are what operations, problems and golden files show.

func (b Bridge) String() string {
	s := fmt.Sprintf("%s datapath=%s fail-mode=%s", b.Name, b.Datapath, b.FailMode)
	if b.HWAddr != "" {
		s += " hwaddr=" + b.HWAddr
	}
	if b.Uplink != "" {
		s += " uplink=" + b.Uplink
	}
	return s + ids(b.ExternalIDs)
}

func (p Port) String() string {
	s := p.Name + " on " + p.Bridge
	if p.Type != "" {
		s += " type=" + p.Type
	}
	if p.MAC != "" {
		s += " mac=" + p.MAC
	}
	if p.MTU != 0 {
		s += fmt.Sprintf(" mtu=%d", p.MTU)
	}
	return s + ids(p.ExternalIDs)
}

func ids(m map[string]string) string {
	var s strings.Builder
	for _, k := range slices.Sorted(maps.Keys(m)) {
		fmt.Fprintf(&s, " %s=%s", k, m[k])
	}
	return s.String()
}

func (l Link) String() string {
	s := l.Name
	if l.MAC != "" {
		s += " mac=" + l.MAC
	}
	if l.MTU != 0 {
		s += fmt.Sprintf(" mtu=%d", l.MTU)
	}
	if l.TxCsum != "" {
		s += " tx-checksum=" + l.TxCsum
	}
	if l.GRO != "" {
		s += " gro=" + l.GRO
	}
	if l.Up {
		s += " up"
	}
	return s
}

func (a Addr) String() string { return a.Prefix.String() + " dev " + a.Link }

func (r Route) String() string {
	s := r.Dst.String()
	if r.Gateway.IsValid() {
		s += " via " + r.Gateway.String()
	}
	s += " dev " + r.Link
	if r.Src.IsValid() {
		s += " src " + r.Src.String()
	}
	if r.Metric != 0 {
		s += fmt.Sprintf(" metric %d", r.Metric)
	}
	s += fmt.Sprintf(" proto %d", r.Protocol)
	if r.OnLink {
		s += " onlink"
	}
	if r.MTU != 0 {
		s += fmt.Sprintf(" mtu %d", r.MTU)
	}
	return s
}

func (s Sysctl) String() string {
	if s.OnlyIf != "" {
		return fmt.Sprintf("%s=%s if it is %s and not yet %s", s.Key, s.Value, s.OnlyIf, s.Until)
	}
	return s.Key + "=" + s.Value
}

func (t Table) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "table %s %s\n", t.Family, TableName)
	for _, s := range t.Sets {
		fmt.Fprintf(&b, "  %s {%s}\n", s.frame(), strings.Join(s.Elements, ", "))
	}
	for _, c := range t.Chains {
		fmt.Fprintf(&b, "  %s\n", c.frame())
		for _, r := range c.Rules {
			fmt.Fprintf(&b, "    %s\n", r.Text)
		}
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func (s Set) frame() string {
	switch {
	case s.Dynamic:
		return "dynamic map " + s.Name + " " + s.Type + " : " + s.Data
	case s.Data != "":
		return "map " + s.Name + " " + s.Type + " : " + s.Data
	}
	return "set " + s.Name + " " + s.Type
}

func (c Chain) frame() string {
	switch {
	case c.Hook == "":
		return "chain " + c.Name
	case c.Device != "":
		return fmt.Sprintf("chain %s %s hook %s device %s priority %d", c.Name, c.Type, c.Hook, c.Device, c.Priority)
	}
	return fmt.Sprintf("chain %s %s hook %s priority %d", c.Name, c.Type, c.Hook, c.Priority)
}

// String is one line for each thing that a node should have.
func (d Desired) String() string {
	var b strings.Builder
	for _, s := range d.Segments {
		fmt.Fprintf(&b, "# %s\n", s.Name)
		lines(&b, "bridge ", s.Bridges)
		lines(&b, "port ", s.Ports)
		lines(&b, "sysctl ", s.Sysctls)
		lines(&b, "link ", s.Links)
		lines(&b, "address ", s.Addrs)
		lines(&b, "route ", s.Routes)
		lines(&b, "", s.Tables)
		lines(&b, "nothing left on ", nonEmpty(s.Bare))
		lines(&b, "no table ", s.NoTables)
		lines(&b, "no port ", s.NoPorts)
		lines(&b, "no bridge ", s.NoBridges)
	}
	lines(&b, "problem: ", d.Problems)
	lines(&b, "waiting: ", d.Waiting)
	return b.String()
}

func lines[T any](b *strings.Builder, prefix string, items []T) {
	for _, item := range items {
		fmt.Fprintf(b, "%s%v\n", prefix, item)
	}
}

func nonEmpty(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}
