package dns

import (
	"errors"
	"fmt"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// watch is a Gate while there are Pods to look after. It belongs to the goroutine of Run, but for what holder does.
type watch struct {
	table  *table
	holder *holder

	wanted []string       // links
	hooked map[string]int // those that the table has a chain for, and their indexes

	updates chan netlink.LinkUpdate
	stop    chan struct{} // closed to end updates
}

// open starts with no link. What a process that was killed left is replaced.
func open(cfg Config) (*watch, error) {
	p, err := newPair()
	if err != nil {
		return nil, err
	}
	t, err := newTable(cfg.Servers, p)
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	w := &watch{table: t, holder: hold(cfg, p), hooked: map[string]int{}}
	if err := w.subscribe(); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

// close takes the table away first: from then on no answer comes to us, and those that did go on.
func (w *watch) close() error {
	if w == nil {
		return nil
	}
	w.unsubscribe()
	err := w.table.close()
	return errors.Join(err, w.holder.close())
}

func (w *watch) events() <-chan netlink.LinkUpdate {
	if w == nil {
		return nil
	}
	return w.updates
}

func (w *watch) failures() <-chan error {
	if w == nil {
		return nil
	}
	return w.holder.failed
}

func (w *watch) subscribe() error {
	w.updates, w.stop = make(chan netlink.LinkUpdate, 64), make(chan struct{})
	if err := netlink.LinkSubscribe(w.updates, w.stop); err != nil {
		w.updates = nil
		return fmt.Errorf("subscribe to links: %w", err)
	}
	return nil
}

func (w *watch) unsubscribe() {
	if w.updates == nil {
		return
	}
	close(w.stop)
	for range w.updates { // until its reader has ended
	}
	w.updates = nil
}

// see takes a change of a link. When messages were lost the subscription has ended, and all links are looked at.
func (w *watch) see(u netlink.LinkUpdate, ok bool) error {
	if !ok {
		w.unsubscribe()
		if err := w.subscribe(); err != nil {
			return err
		}
		return w.hook()
	}
	name, index := u.Attrs().Name, u.Attrs().Index
	if !slices.Contains(w.wanted, name) {
		return nil
	}
	if known := w.hooked[name]; (known == index) == (u.Header.Type == unix.RTM_NEWLINK) {
		return nil
	}
	return w.hook()
}

// hook makes the table have a chain for each of the links that is there, and no other.
func (w *watch) hook() error {
	for name := range w.hooked {
		if !slices.Contains(w.wanted, name) {
			if err := w.unhook(name); err != nil {
				return err
			}
		}
	}
	for _, name := range w.wanted {
		if err := w.look(name); err != nil {
			return err
		}
	}
	return nil
}

// look makes the table have a chain for a link if it is there. One that came back by the same name has lost its chain, or not: kernels
// differ.
func (w *watch) look(name string) error {
	index, err := indexOf(name)
	known, hooked := w.hooked[name]
	if err != nil || hooked && known == index {
		return err
	}
	if hooked {
		if err := w.unhook(name); err != nil {
			return err
		}
	}
	if index == 0 {
		return nil
	}
	if err := w.table.add(name); gone(err) {
		return nil
	} else if err != nil {
		return err
	}
	w.hooked[name] = index
	return nil
}

func (w *watch) unhook(name string) error {
	delete(w.hooked, name)
	if err := w.table.remove(name); !gone(err) {
		return err
	}
	return nil
}

// indexOf is zero for a link that is not there.
func indexOf(name string) (int, error) {
	link, err := netlink.LinkByName(name)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("link %s: %w", name, err)
	}
	return link.Attrs().Index, nil
}

func gone(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV)
}
