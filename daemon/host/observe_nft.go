package host

import (
	"bytes"
	"fmt"
	"math/bits"
	"net/netip"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/userdata"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// The tables are read by netlink: knftables tells neither a chain's hook nor a set's type, and starts a process for each
// question.
var nftFamilies = map[string]nftables.TableFamily{"inet": nftables.TableFamilyINet, "netdev": nftables.TableFamilyNetdev}

// Families count their hooks each for itself.
var nftHooks = map[string]map[nftables.ChainHook]string{
	"inet": {
		*nftables.ChainHookPrerouting: "prerouting", *nftables.ChainHookInput: "input",
		*nftables.ChainHookOutput: "output", *nftables.ChainHookPostrouting: "postrouting",
	},
	"netdev": {*nftables.ChainHookIngress: "ingress"},
}

// readNFT reads what changes tell of: nothing, when there was none.
func (k *kernel) readNFT() error {
	if k.tables != nil {
		return nil
	}
	var err error
	if k.barring, err = readBarriers(); err != nil {
		return err
	}
	k.tables, err = readTables()
	return err
}

// readTables reads our tables by family. What is in them that we never write reads as something that differs.
func readTables() (map[string]Table, error) {
	conn, err := nftables.New()
	if err != nil {
		return nil, fmt.Errorf("nftables: %w", err)
	}
	out := map[string]Table{}
	for name, family := range nftFamilies {
		all, err := conn.ListTablesOfFamily(family)
		if err != nil {
			return nil, fmt.Errorf("nftables: list tables %s: %w", name, err)
		}
		i := slices.IndexFunc(all, func(t *nftables.Table) bool { return t.Name == TableName })
		if i < 0 {
			continue
		}
		r := tableReader{conn: conn, table: all[i], family: name}
		if out[name], err = r.read(); err != nil {
			return nil, fmt.Errorf("nftables: read table %s %s: %w", name, TableName, err)
		}
	}
	return out, nil
}

type tableReader struct {
	conn   *nftables.Conn
	table  *nftables.Table
	family string
}

func (r tableReader) read() (Table, error) {
	t := Table{Family: r.family}
	sets, err := r.conn.GetSets(r.table)
	if err != nil {
		return t, err
	}
	for _, s := range sets {
		if s.Anonymous { // of a rule
			continue
		}
		set, err := r.set(s)
		if err != nil {
			return t, err
		}
		t.Sets = append(t.Sets, set)
	}
	chains, err := r.conn.ListChainsOfTableFamily(nftFamilies[r.family])
	if err != nil {
		return t, err
	}
	rules, err := r.rules()
	if err != nil {
		return t, err
	}
	for _, c := range chains {
		if c.Table.Name != TableName {
			continue
		}
		t.Chains = append(t.Chains, r.chain(c, rules[c.Name]))
	}
	t.sort()
	return t, nil
}

func (t *Table) sort() {
	slices.SortFunc(t.Sets, func(a, b Set) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(t.Chains, func(a, b Chain) int { return strings.Compare(a.Name, b.Name) })
}

func (r tableReader) chain(c *nftables.Chain, rules []Rule) Chain {
	out := Chain{Name: c.Name, Type: string(c.Type), Device: c.Device, Rules: rules}
	if c.Hooknum != nil {
		out.Hook = nftHooks[r.family][*c.Hooknum]
	}
	if c.Priority != nil {
		out.Priority = int(*c.Priority)
	}
	return out
}

// rules are those of all chains in one dump. The library would read their expressions too, and fails on some of ours.
func (r tableReader) rules() (map[string][]Rule, error) {
	request := nl.NewNetlinkRequest(unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_GETRULE, unix.NLM_F_DUMP)
	request.AddData(&nl.Nfgenmsg{NfgenFamily: uint8(nftFamilies[r.family]), Version: unix.NFNETLINK_V0})
	request.AddData(nl.NewRtAttr(unix.NFTA_RULE_TABLE, nl.ZeroTerminated(TableName)))
	messages, err := request.Execute(unix.NETLINK_NETFILTER, unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_NEWRULE)
	if err != nil {
		return nil, err
	}
	out := map[string][]Rule{}
	for _, m := range messages {
		chain := strings.TrimSuffix(attribute(m, nl.SizeofNfgenmsg, unix.NFTA_RULE_CHAIN), "\x00")
		comment, _ := userdata.GetString([]byte(attribute(m, nl.SizeofNfgenmsg, unix.NFTA_RULE_USERDATA)), userdata.TypeComment)
		out[chain] = append(out[chain], Rule{Comment: comment})
	}
	return out, nil
}

func (r tableReader) set(s *nftables.Set) (Set, error) {
	out := Set{Name: s.Name, Type: s.KeyType.Name, Interval: s.Interval, Dynamic: s.Dynamic}
	switch {
	case s.IsMap && s.KeyType == nftables.TypeVerdict: // the library puts it in the place of the key's type
		out.Type, out.Data = "", dataVerdict
	case s.IsMap:
		out.Data = s.DataType.Name
	}
	elements, err := r.conn.GetSetElements(s)
	if err != nil {
		return out, err
	}
	if s.Interval && !strings.Contains(out.Type, fieldSeparator) {
		out.Elements = prefixes(elements)
	} else {
		for _, e := range elements {
			out.Elements = append(out.Elements, out.text(e))
		}
	}
	slices.Sort(out.Elements)
	return out, nil
}

func addrOf(key []byte) netip.Addr {
	a, _ := netip.AddrFromSlice(key)
	return a
}

// prefixes joins the interval ends that the kernel gives: each start is an element, each end (exclusive) another one, and
// an interval up to the last address has no end.
func prefixes(elements []nftables.SetElement) []string {
	slices.SortFunc(elements, func(a, b nftables.SetElement) int {
		if c := bytes.Compare(a.Key, b.Key); c != 0 {
			return c
		}
		if a.IntervalEnd == b.IntervalEnd {
			return 0
		}
		if a.IntervalEnd {
			return -1
		}
		return 1
	})
	var out []string
	for i, e := range elements {
		if e.IntervalEnd {
			continue
		}
		var end []byte
		if i+1 < len(elements) {
			end = elements[i+1].Key
		}
		out = append(out, interval(e.Key, end))
	}
	return out
}

// interval is the text of [start, end) that nft takes back: a CIDR where it is one.
func interval(start, end []byte) string {
	first := addrOf(start)
	size := sizeBits(start, end)
	if size >= 0 {
		if p := netip.PrefixFrom(first, first.BitLen()-size); p.Masked() == p {
			return p.String()
		}
	}
	if end == nil {
		return first.String() + "-" + lastAddr(first).String()
	}
	return first.String() + "-" + addrOf(end).Prev().String()
}

// sizeBits is log2(end - start), or -1 when that is no power of two. No end means all ones, and one more.
func sizeBits(start, end []byte) int {
	diff := make([]byte, len(start))
	borrow := 0
	for i := len(start) - 1; i >= 0; i-- {
		e := 0
		if end != nil {
			e = int(end[i])
		}
		d := e - int(start[i]) - borrow
		borrow = 0
		if d < 0 {
			d, borrow = d+256, 1
		}
		diff[i] = byte(d)
	}
	return onlyBit(diff)
}

func onlyBit(b []byte) int {
	at := -1
	for i, v := range b {
		if v == 0 {
			continue
		}
		if at >= 0 || bits.OnesCount8(v) != 1 {
			return -1
		}
		at = (len(b)-1-i)*8 + bits.TrailingZeros8(v)
	}
	return at
}

func lastAddr(a netip.Addr) netip.Addr {
	return addrOf(bytes.Repeat([]byte{0xff}, a.BitLen()/8))
}
