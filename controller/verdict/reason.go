package verdict

import (
	"cmp"
	"fmt"
)

// Reason says who decided about a packet: both ends' policies, or what the ends are to each other.
type Reason struct {
	Ends            string // set when no policy is asked
	Egress, Ingress Decision
}

func (r Reason) String() string {
	if r.Ends != "" {
		return r.Ends
	}
	return fmt.Sprintf("egress %s; ingress %s", r.Egress, r.Ingress)
}

// Decision is what one end's policies say.
type Decision struct {
	Allowed bool
	Policy  string // kind and name; "" when none decided
	Rule    string // which rule of it; "" when it was that no rule matches
}

func (d Decision) String() string {
	verdict := map[bool]string{true: "allowed", false: "denied"}[d.Allowed]
	if d.Policy == "" {
		return verdict + ", no policy decides"
	}
	return fmt.Sprintf("%s by %s, %s", verdict, d.Policy, cmp.Or(d.Rule, "no rule matches"))
}

// decide asks the tiers of the local end in their order; when none decides, all can communicate.
func (c *Cluster) decide(t *traffic) Decision {
	if t.local.pod == nil {
		return Decision{Allowed: true} // policies protect Pods, and those in the network only
	}
	if d, final := c.orderedTier(c.adminTier(t.direction), t); final {
		return d
	}
	d, final, passed := c.securityTier0(t)
	if final {
		return d
	}
	if !passed {
		if d, final := c.networkPolicyTier(t); final {
			return d
		}
		if d, final := c.privateSubnet(t); final {
			return d
		}
	}
	if d, final := c.securityTier1(t); final {
		return d
	}
	if d, final := c.orderedTier(c.baselineTier(t.direction), t); final {
		return d
	}
	return Decision{Allowed: true}
}
