package host

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// watcher turns the kernel's multicast messages into one flag: look again. Messages are hints only, so one that is lost
// (ENOBUFS) counts as one that matters.
type watcher struct {
	dirty    chan struct{} // one value: something that we keep may have changed
	nft      atomic.Bool   // our tables may have changed
	relevant atomic.Pointer[relevance]
	failed   chan error

	sockets []*nl.NetlinkSocket
	readers sync.WaitGroup
}

// relevance is what the last pass was about. Pods come and go with links and addresses of their own, other daemons with
// their routes and tables: none of these is worth a look.
type relevance struct {
	names        map[string]bool
	indexes      map[int32]bool
	destinations map[netip.Prefix]bool
	tables       map[string]bool // ours, and those that bar what we forward
	anyAddress   bool            // the uplink is not known yet
}

// openWatcher subscribes; from here on no change is missed.
func openWatcher() (*watcher, error) {
	w := &watcher{dirty: make(chan struct{}, 1), failed: make(chan error, 2)}
	w.nft.Store(true)
	for protocol, groups := range map[int][]uint{
		unix.NETLINK_ROUTE: {
			unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV4_ROUTE,
			unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_IPV4_NETCONF, unix.RTNLGRP_IPV6_NETCONF,
		},
		unix.NETLINK_NETFILTER: {unix.NFNLGRP_NFTABLES},
	} {
		s, err := nl.Subscribe(protocol, groups...)
		if err != nil {
			w.close()
			return nil, fmt.Errorf("subscribe to netlink %d: %w", protocol, err)
		}
		w.sockets = append(w.sockets, s)
		w.readers.Go(func() { w.read(s, protocol) })
	}
	return w, nil
}

// close ends the readers.
func (w *watcher) close() {
	for _, s := range w.sockets {
		s.Close()
	}
	w.readers.Wait()
}

func (w *watcher) read(s *nl.NetlinkSocket, protocol int) {
	for {
		messages, _, err := s.Receive()
		switch {
		case errors.Is(err, os.ErrClosed):
			return
		case errors.Is(err, unix.ENOBUFS):
			w.nft.Store(true)
			w.mark()
			continue
		case err != nil:
			w.failed <- fmt.Errorf("receive netlink %d: %w", protocol, err)
			return
		}
		for _, m := range messages {
			w.see(protocol, m)
		}
	}
}

func (w *watcher) see(protocol int, m syscall.NetlinkMessage) {
	r := w.relevant.Load()
	switch {
	case protocol == unix.NETLINK_NETFILTER:
		if r == nil || r.table(m) {
			w.nft.Store(true)
			w.mark()
		}
	case r == nil || r.concerns(m):
		w.mark()
	}
}

func (w *watcher) mark() {
	select {
	case w.dirty <- struct{}{}:
	default:
	}
}

// table reports a change in one of our tables, or in the chains at hooks of any. In every nftables message about a table, and
// of what is in one, the attribute of number 1 is the table's name (linux/netfilter/nf_tables.h), after four octets of
// struct nfgenmsg.
func (r *relevance) table(m syscall.NetlinkMessage) bool {
	if m.Header.Type>>8 != unix.NFNL_SUBSYS_NFTABLES {
		return false
	}
	switch m.Header.Type & 0xff {
	case unix.NFT_MSG_NEWGEN:
		return false
	case unix.NFT_MSG_NEWCHAIN, unix.NFT_MSG_DELCHAIN:
		if attribute(m.Data, 4, unix.NFTA_CHAIN_HOOK) != "" {
			return true
		}
	}
	return r.tables[strings.TrimSuffix(attribute(m.Data, 4, unix.NFTA_TABLE_NAME), "\x00")]
}

// concerns reports whether a message of NETLINK_ROUTE is about what the last pass was about.
func (r *relevance) concerns(m syscall.NetlinkMessage) bool {
	switch m.Header.Type {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		name := strings.TrimSuffix(attribute(m.Data, unix.SizeofIfInfomsg, unix.IFLA_IFNAME), "\x00")
		return r.names[name] || r.indexes[word(m.Data, 4)]
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		return !announced(m.Data) && (r.anyAddress || r.indexes[word(m.Data, 4)])
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		return r.route(m.Data)
	case unix.RTM_NEWNETCONF, unix.RTM_DELNETCONF:
		index := attribute(m.Data, 4, netconfaIfindex)
		return index == "" || r.indexes[word([]byte(index), 0)]
	}
	return false
}

func (r *relevance) route(data []byte) bool {
	if len(data) < unix.SizeofRtMsg {
		return true
	}
	if data[5] == RouteProtocol || r.indexes[word([]byte(attribute(data, unix.SizeofRtMsg, unix.RTA_OIF)), 0)] {
		return true
	}
	dst, ok := netip.AddrFromSlice([]byte(attribute(data, unix.SizeofRtMsg, unix.RTA_DST)))
	return ok && r.destinations[netip.PrefixFrom(dst, int(data[1]))]
}

// attribute is the value of the first attribute of a kind after a header of the given size, empty when there is none.
func attribute(data []byte, header int, kind uint16) string {
	if len(data) < header {
		return ""
	}
	attrs, err := nl.ParseRouteAttr(data[header:])
	if err != nil {
		return ""
	}
	for _, a := range attrs {
		if a.Attr.Type == kind {
			return string(a.Value)
		}
	}
	return ""
}

// relevance says which messages matter after a pass.
func (k *kernel) relevance(want Desired, uplink *Uplink) *relevance {
	i := interestOf(want)
	r := &relevance{
		names: i.links, indexes: map[int32]bool{netconfAll: true}, destinations: i.destinations,
		tables: map[string]bool{TableName: true}, anyAddress: uplink == nil,
	}
	for _, b := range k.barring {
		r.tables[b.table] = true
	}
	if uplink != nil {
		r.names[uplink.NIC] = true
	}
	for name := range r.names {
		if l, err := k.nl.LinkByName(name); err == nil {
			r.indexes[int32(l.Attrs().Index)] = true
		}
	}
	return r
}

// Of linux/netconf.h: the attribute with the link's index, and the index that stands for conf/all.
const (
	netconfaIfindex = 1
	netconfAll      = -1
)

func word(b []byte, at int) int32 {
	if len(b) < at+4 {
		return 0
	}
	return int32(binary.NativeEndian.Uint32(b[at:]))
}
