package shape

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The handles of the two qdiscs; netem is the parent where there are both.
var (
	rootHandle  = netlink.MakeHandle(1, 0)
	childHandle = netlink.MakeHandle(2, 0)
	childPlace  = netlink.MakeHandle(1, 1)
)

// Read is the queue of a link. A qdisc of another kind is none: the kernel's default, or somebody else's, which Set replaces.
func Read(h *netlink.Handle, link netlink.Link) (q Queue, err error) {
	list, err := h.QdiscList(link)
	if err != nil {
		return q, fmt.Errorf("list the qdiscs of %s: %w", link.Attrs().Name, err)
	}
	for _, qdisc := range list {
		switch d := qdisc.(type) {
		case *netlink.Tbf:
			q.Bucket = Bucket{Rate: d.Rate, Burst: d.Buffer, Limit: d.Limit}
		case *netlink.Netem:
			q.Netem = Netem{Latency: d.Latency, Jitter: d.Jitter, Limit: d.Limit, Loss: d.Loss}
		}
	}
	return q, nil
}

// Set makes one queue out of another. Numbers change in place, so that no packet that waits is lost.
func Set(h *netlink.Handle, link netlink.Link, have, want Queue) error {
	if have == want {
		return nil
	}
	if have != (Queue{}) && have.form() != want.form() {
		if err := h.QdiscDel(&netlink.GenericQdisc{QdiscAttrs: root(link), QdiscType: have.kind()}); err != nil {
			return fmt.Errorf("remove the %s of %s: %w", have.kind(), link.Attrs().Name, err)
		}
	}
	for _, d := range want.qdiscs(link) {
		err := h.QdiscReplace(d)
		if errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("set the %s of %s: this node's kernel has none (module sch_%[1]s)", d.Type(), link.Attrs().Name)
		}
		if err != nil {
			return fmt.Errorf("set the %s of %s: %w", d.Type(), link.Attrs().Name, err)
		}
	}
	return nil
}

func (q Queue) qdiscs(link netlink.Link) (list []netlink.Qdisc) {
	place := root(link)
	if q.Netem != (Netem{}) {
		list = append(list, &netlink.Netem{
			QdiscAttrs: place, Latency: q.Netem.Latency, Jitter: q.Netem.Jitter, Limit: q.Netem.Limit, Loss: q.Netem.Loss,
		})
		place.Handle, place.Parent = childHandle, childPlace
	}
	if q.Bucket != (Bucket{}) {
		list = append(list, &netlink.Tbf{QdiscAttrs: place, Rate: q.Bucket.Rate, Buffer: q.Bucket.Burst, Limit: q.Bucket.Limit})
	}
	return list
}

func root(link netlink.Link) netlink.QdiscAttrs {
	return netlink.QdiscAttrs{LinkIndex: link.Attrs().Index, Handle: rootHandle, Parent: netlink.HANDLE_ROOT}
}

// form is which qdiscs there are.
func (q Queue) form() [2]bool { return [2]bool{q.Netem != (Netem{}), q.Bucket != (Bucket{})} }

// kind is the type of the root.
func (q Queue) kind() string {
	if q.Netem != (Netem{}) {
		return "netem"
	}
	return "tbf"
}
