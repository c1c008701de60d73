package shape

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	v1 "github.com/heddle-net/heddle/crds/v1"
)

// inside gives the test a network namespace with a veth in it.
func inside(t *testing.T) (*netlink.Handle, netlink.Link) {
	t.Helper()
	runtime.LockOSThread()
	home, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	own, err := netns.New()
	if err != nil {
		t.Skipf("no network namespace: %v", err)
	}
	t.Cleanup(func() {
		if err := errors.Join(netns.Set(home), own.Close(), home.Close()); err == nil {
			runtime.UnlockOSThread()
		}
	})
	h, err := netlink.NewHandle()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	veth := netlink.NewVeth(netlink.LinkAttrs{Name: "pod", TxQLen: -1})
	veth.PeerName = "node"
	if err := h.LinkAdd(veth); err != nil {
		t.Fatal(err)
	}
	link, err := h.LinkByName("pod")
	if err != nil {
		t.Fatal(err)
	}
	return h, link
}

// TestSet goes from every kind of queue to every other, and reads back what the kernel has.
func TestSet(t *testing.T) {
	h, link := inside(t)
	queues := []Queue{
		{},
		Of(v1.QoS{EgressRate: of(10)}, false).Egress,
		Of(v1.QoS{EgressRate: of(100_000), EgressBurst: of(20)}, false).Egress,
		Of(v1.QoS{Latency: of(20), Jitter: of(2), Loss: of(1), Limit: of(300)}, false).Egress,
		Of(v1.QoS{Loss: of(100)}, false).Egress,
		Of(v1.QoS{EgressRate: of(10), Latency: of(20)}, false).Egress,
		Of(v1.QoS{EgressRate: of(20), Jitter: of(20)}, false).Egress,
	}
	netem := true
	for i, from := range queues {
		for j, to := range queues {
			if !netem && (from.Netem != Netem{} || to.Netem != Netem{}) {
				continue
			}
			for _, want := range []Queue{from, to} {
				have, err := Read(h, link)
				if err == nil {
					err = Set(h, link, have, want)
				}
				if err != nil && strings.Contains(err.Error(), "sch_netem") {
					netem = false
					break
				}
				if err != nil {
					t.Fatalf("%d to %d: %v", i, j, err)
				}
				if got := read(t, h, link); got != want {
					t.Fatalf("%d to %d: the kernel has %+v, want %+v", i, j, got, want)
				}
			}
		}
	}
	if !netem {
		t.Log("this kernel has no netem: the kernel lane has")
	}
}

func read(t *testing.T, h *netlink.Handle, link netlink.Link) Queue {
	t.Helper()
	q, err := Read(h, link)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// TestNothingIsLeft: without a queue the link is as it was born.
func TestNothingIsLeft(t *testing.T) {
	h, link := inside(t)
	born := qdiscs(t, h, link)
	if err := Set(h, link, Queue{}, Of(v1.QoS{EgressRate: of(10)}, false).Egress); err != nil {
		t.Fatal(err)
	}
	if limited := qdiscs(t, h, link); limited == born {
		t.Fatalf("a limit changes nothing: %s", limited)
	}
	if err := Set(h, link, read(t, h, link), Queue{}); err != nil {
		t.Fatal(err)
	}
	if left := qdiscs(t, h, link); left != born {
		t.Errorf("was born with %s, has %s", born, left)
	}
}

func qdiscs(t *testing.T, h *netlink.Handle, link netlink.Link) string {
	t.Helper()
	list, err := h.QdiscList(link)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(list)
}
