package dns

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

const (
	tableName = "heddle-dns"
	answers   = "answers" // the chain that knows the servers
	family    = unix.NFPROTO_NETDEV

	ownedBySocket = 2 // NFT_TABLE_F_OWNER of linux/netfilter/nf_tables.h
	timeout       = 5 * time.Second
)

// table is ours in nftables, for as long as its socket is open. Its messages are made here: github.com/google/nftables has no flags of
// tables and no fwd.
type table struct{ conn *netlink.Conn }

// newTable makes a table that sends the servers' answers to the pair, and has no links yet.
func newTable(servers []netip.Addr, p *pair) (*table, error) {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return nil, fmt.Errorf("nftables: %w", err)
	}
	t := &table{conn}
	flags := binary.BigEndian.AppendUint32(nil, ownedBySocket)
	batch := []netlink.Message{
		request(unix.NFT_MSG_NEWTABLE, text(unix.NFTA_TABLE_NAME, tableName), netlink.Attribute{Type: unix.NFTA_TABLE_FLAGS, Data: flags}),
		request(unix.NFT_MSG_NEWCHAIN, text(unix.NFTA_CHAIN_TABLE, tableName), text(unix.NFTA_CHAIN_NAME, answers)),
		rule(answers, ours(p.mark)),
	}
	batch[0].Header.Flags |= netlink.Excl
	for _, s := range servers {
		for _, protocol := range []byte{unix.IPPROTO_UDP, unix.IPPROTO_TCP} {
			batch = append(batch, rule(answers, from(s), is(expr.MetaKeyL4PROTO, []byte{protocol}), redirect(p.to)))
		}
	}
	if err := t.commit(batch...); err != nil {
		return nil, errors.Join(fmt.Errorf("nftables table %s: %w", tableName, err), conn.Close())
	}
	return t, nil
}

func (t *table) close() error { return t.conn.Close() }

// add hooks a link. Of what goes to a Pod all but the answers meets one rule.
func (t *table) add(link string) error {
	hook := nested(unix.NFTA_CHAIN_HOOK,
		netlink.Attribute{Type: unix.NFTA_HOOK_HOOKNUM, Data: binary.BigEndian.AppendUint32(nil, unix.NF_NETDEV_EGRESS)},
		netlink.Attribute{Type: unix.NFTA_HOOK_PRIORITY, Data: make([]byte, 4)},
		text(unix.NFTA_HOOK_DEV, link))
	err := t.commit(
		request(unix.NFT_MSG_NEWCHAIN, text(unix.NFTA_CHAIN_TABLE, tableName), text(unix.NFTA_CHAIN_NAME, chain(link)), hook,
			text(unix.NFTA_CHAIN_TYPE, "filter")),
		rule(chain(link), sourcePort(), encode(&expr.Verdict{Kind: expr.VerdictJump, Chain: answers})))
	if err != nil {
		return fmt.Errorf("nftables: hook %s: %w", link, err)
	}
	return nil
}

func (t *table) remove(link string) error {
	if err := t.commit(request(unix.NFT_MSG_DELCHAIN, text(unix.NFTA_CHAIN_TABLE, tableName), text(unix.NFTA_CHAIN_NAME, chain(link)))); err != nil {
		return fmt.Errorf("nftables: unhook %s: %w", link, err)
	}
	return nil
}

func chain(link string) string { return "to-" + link }

// commit sends one transaction. The kernel answers each message.
func (t *table) commit(messages ...netlink.Message) error {
	batch := append([]netlink.Message{bound(unix.NFNL_MSG_BATCH_BEGIN)}, messages...)
	if err := t.conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	if _, err := t.conn.SendMessages(append(batch, bound(unix.NFNL_MSG_BATCH_END))); err != nil {
		return err
	}
	var errs error
	for range messages {
		if _, err := t.conn.Receive(); err != nil {
			errs = errors.Join(errs, err)
		}
		if errors.Is(errs, unix.EPERM) || errors.Is(errs, unix.ENOMEM) { // of the whole batch
			break
		}
	}
	return errs
}

func bound(kind netlink.HeaderType) netlink.Message {
	return netlink.Message{
		Header: netlink.Header{Type: kind, Flags: netlink.Request},
		Data:   []byte{0, unix.NFNETLINK_V0, 0, unix.NFNL_SUBSYS_NFTABLES},
	}
}

func request(kind netlink.HeaderType, attributes ...netlink.Attribute) netlink.Message {
	flags := netlink.Request | netlink.Acknowledge
	if kind != unix.NFT_MSG_DELCHAIN {
		flags |= netlink.Create
	}
	return netlink.Message{
		Header: netlink.Header{Type: unix.NFNL_SUBSYS_NFTABLES<<8 | kind, Flags: flags},
		Data:   append([]byte{family, unix.NFNETLINK_V0, 0, 0}, marshal(attributes)...),
	}
}

// rule is added to a chain, after those that it has.
func rule(chain string, parts ...[]netlink.Attribute) netlink.Message {
	var list []netlink.Attribute
	for _, p := range parts {
		list = append(list, p...)
	}
	m := request(unix.NFT_MSG_NEWRULE, text(unix.NFTA_RULE_TABLE, tableName), text(unix.NFTA_RULE_CHAIN, chain),
		nested(unix.NFTA_RULE_EXPRESSIONS, list...))
	m.Header.Flags |= netlink.Append
	return m
}

func text(kind uint16, s string) netlink.Attribute {
	return netlink.Attribute{Type: kind, Data: append([]byte(s), 0)}
}

func nested(kind uint16, attributes ...netlink.Attribute) netlink.Attribute {
	return netlink.Attribute{Type: kind | netlink.Nested, Data: marshal(attributes)}
}

func marshal(attributes []netlink.Attribute) []byte {
	b, err := netlink.MarshalAttributes(attributes)
	if err != nil {
		panic(err) // an attribute of more than 64 KiB: all of them are made here
	}
	return b
}
