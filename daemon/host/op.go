package host

import (
	"context"
	"fmt"
	"strings"
)

// Op is one operation of a plan. Its text is what Report and the tests show.
type Op interface {
	String() string
	apply(ctx context.Context, k *kernel) error
}

// The operations on OVS, links, addresses, routes and sysctls.
type (
	ensureBridge struct{ Bridge Bridge }
	ensurePort   struct{ Port Port }
	deleteBridge struct{ Name string }
	deletePort   struct{ Name string }
	setSysctl    struct{ Key, Value string }
	setMAC       struct{ Link, MAC string }
	setMTU       struct {
		Link string
		MTU  int
	}
	setOffload struct {
		Link    string
		Feature offload
		Value   string
	}
	setUp        struct{ Link string }
	addAddr      struct{ Addr Addr }
	delAddr      struct{ Addr Addr }
	addRoute     struct{ Route Route }
	replaceRoute struct{ Route Route }
	delRoute     struct{ Route Route }
)

func (o ensureBridge) String() string { return fmt.Sprintf("ovs bridge %s", o.Bridge) }
func (o ensurePort) String() string   { return fmt.Sprintf("ovs port %s", o.Port) }
func (o deleteBridge) String() string { return "ovs delete bridge " + o.Name }
func (o deletePort) String() string   { return "ovs delete port " + o.Name }
func (o setSysctl) String() string    { return fmt.Sprintf("sysctl %s=%s", o.Key, o.Value) }
func (o setMAC) String() string       { return fmt.Sprintf("link %s mac %s", o.Link, o.MAC) }
func (o setMTU) String() string       { return fmt.Sprintf("link %s mtu %d", o.Link, o.MTU) }
func (o setOffload) String() string   { return fmt.Sprintf("link %s %s %s", o.Link, o.Feature, o.Value) }
func (o setUp) String() string        { return "link " + o.Link + " up" }
func (o addAddr) String() string      { return "address add " + o.Addr.String() }
func (o delAddr) String() string      { return "address delete " + o.Addr.String() }
func (o addRoute) String() string     { return "route add " + o.Route.String() }
func (o replaceRoute) String() string { return "route replace " + o.Route.String() }
func (o delRoute) String() string     { return "route delete " + o.Route.String() }

// String names what changes, in the order in which it is done.
func (o editTable) String() string {
	var parts []string
	if o.Drop {
		parts = append(parts, "delete table")
	}
	if o.Create != nil {
		parts = append(parts, "create table")
	}
	for _, s := range o.NewSets {
		parts = append(parts, "new "+s.frame())
	}
	for _, c := range o.NewChains {
		parts = append(parts, "new "+c.frame())
	}
	for _, c := range o.Rules {
		parts = append(parts, "rules of "+c.Name)
	}
	for _, e := range o.Del {
		parts = append(parts, "delete "+e.Set+" "+e.Text)
	}
	for _, e := range o.Add {
		parts = append(parts, "add "+e.Set+" "+e.Text)
	}
	for _, name := range o.DelChains {
		parts = append(parts, "delete chain "+name)
	}
	for _, name := range o.DelSets {
		parts = append(parts, "delete set "+name)
	}
	return "nft " + o.Family + ": " + strings.Join(parts, ", ")
}
