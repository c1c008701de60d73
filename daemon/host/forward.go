package host

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// barrier is a chain of somebody else that drops what it does not accept of the packets that the node forwards, as Docker
// and some firewalls set up. A verdict "accept" in a table of ours ends that table's chain only, so we cannot help: the
// chain itself must accept what comes from ovn0 and what goes there. We say so, and leave it to its owner.
type barrier struct{ family, table, chain string }

func (b barrier) String() string {
	return fmt.Sprintf("%s %s, chain %s", b.family, b.table, b.chain)
}

// advice is the problem that a barrier is, and what helps.
func (b barrier) advice() string {
	return fmt.Sprintf("table %s, drops what the node forwards, Pods' packets too: let it accept them, by "+
		"\"nft insert rule %s %s %s iifname ovn0 accept\" and the same with oifname", b, b.family, b.table, b.chain)
}

var forwardFamilies = map[string]nftables.TableFamily{
	"ip": nftables.TableFamilyIPv4, "ip6": nftables.TableFamilyIPv6, "inet": nftables.TableFamilyINet,
}

// readBarriers finds the chains at the forward hook whose policy is drop and that no rule of names ovn0. Chains of
// iptables-legacy are not in nftables, and are not seen.
func readBarriers() ([]barrier, error) {
	conn, err := nftables.New()
	if err != nil {
		return nil, fmt.Errorf("nftables: %w", err)
	}
	var out []barrier
	for name, family := range forwardFamilies {
		chains, err := conn.ListChainsOfTableFamily(family)
		if err != nil {
			return nil, fmt.Errorf("nftables: list chains %s: %w", name, err)
		}
		for _, c := range chains {
			if !dropsForwarded(c) {
				continue
			}
			// The library cannot read every rule that there is. One that it cannot must not stop us from looking after the node;
			// its chain is taken for one that does not know of us.
			rules, err := conn.GetRules(c.Table, c)
			if err != nil || !slices.ContainsFunc(rules, namesOverlay) {
				out = append(out, barrier{name, c.Table.Name, c.Name})
			}
		}
	}
	slices.SortFunc(out, func(a, b barrier) int { return strings.Compare(a.String(), b.String()) })
	return out, nil
}

func dropsForwarded(c *nftables.Chain) bool {
	return c.Hooknum != nil && *c.Hooknum == *nftables.ChainHookForward && c.Policy != nil && *c.Policy == nftables.ChainPolicyDrop
}

// namesOverlay reports that a rule compares an interface with ovn0: whoever wrote it knows of us.
func namesOverlay(r *nftables.Rule) bool {
	return slices.ContainsFunc(r.Exprs, func(e expr.Any) bool {
		c, ok := e.(*expr.Cmp)
		return ok && len(c.Data) > len(LinkOverlay) && string(c.Data[:len(LinkOverlay)+1]) == LinkOverlay+"\x00"
	})
}
