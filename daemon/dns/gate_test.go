package dns

import (
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"
)

var compareAddrs = cmpopts.EquateComparable(netip.Addr{})

func TestAnAnswerIsHeldUntilItMayGoOn(t *testing.T) {
	r := newRig(t)
	r.set(r.gate(forever), "hd0")
	for _, name := range []string{"udp4", "udp6", "tcp4", "tcp6", "tcp4-big", "tcp6-big"} {
		t.Run(name, func(t *testing.T) {
			r := r.at(t)
			network, server := name[:3], map[byte]string{'4': "10.0.0.1:53", '6': "[fd00::1]:53"}[name[3]]
			held, free := r.dial(0, network, server), r.dial(0, network, server)
			query, txt := question(1, name+".example.", dnsmessage.TypeA), question(2, name+".example.", dnsmessage.TypeTXT)
			held.send(query)
			a := wait(t, r.asked)
			want, _ := Parse(answer(query))
			if diff := cmp.Diff(want, a.record, compareAddrs); diff != "" {
				t.Errorf("Hold was asked (-want +got):\n%s", diff)
			}
			free.send(txt) // passes the Gate after what it holds
			free.expect(txt)
			held.empty()
			a.release()
			held.expect(query)
		})
	}
}

func TestAHeldAnswerIsOvertakenOnOneSocket(t *testing.T) {
	r := newRig(t)
	r.set(r.gate(forever), "hd0")
	c := r.dial(0, "udp", "10.0.0.1:53")
	first, second := question(1, "a.example.", dnsmessage.TypeA), question(2, "a.example.", dnsmessage.TypeAAAA)
	c.send(first)
	a := wait(t, r.asked)
	c.send(second)
	wait(t, r.asked).release()
	c.expect(second)
	a.release()
	c.expect(first)
	r.unasked()
}

func TestOtherMessagesGoOn(t *testing.T) {
	r := newRig(t)
	r.set(r.gate(forever), "hd0")
	address := question(1, "a.example.", dnsmessage.TypeA)
	for what, c := range map[string]struct {
		server string
		query  []byte
	}{
		"of another server":            {"10.0.0.9:53", address},
		"from another port":            {"10.0.0.1:5353", address},
		"about a name that is not":     {"10.0.0.1:53", question(1, "none.example.", dnsmessage.TypeA)},
		"about something else":         {"[fd00::1]:53", question(1, "a.example.", dnsmessage.TypeTXT)},
		"that is no DNS":               {"10.0.0.1:53", []byte("hello")},
		"that is nothing":              {"10.0.0.1:53", nil},
		"in fragments":                 {"10.0.0.1:53", question(1, "-big.example.", dnsmessage.TypeA)},
		"in fragments of IPv6":         {"[fd00::1]:53", question(1, "-big.example.", dnsmessage.TypeA)},
		"that is a question in return": {"10.0.0.1:53", question(1, "echo.example.", dnsmessage.TypeA)},
	} {
		t.Run(what, func(t *testing.T) {
			r := r.at(t)
			client := r.dial(0, "udp", c.server)
			client.send(c.query)
			client.expect(c.query)
			r.unasked()
		})
	}
}

func TestASegmentOfTwoMessagesGoesOn(t *testing.T) {
	r := newRig(t)
	r.set(r.gate(forever), "hd0")
	c, query := r.dial(0, "tcp", "10.0.0.1:53"), question(1, "twice.example.", dnsmessage.TypeA)
	c.send(query)
	c.expect(query)
	c.expect(query)
	r.unasked()
}

func TestLimit(t *testing.T) {
	r := newRig(t)
	r.set(r.gate(time.Millisecond), "hd0")
	c, query := r.dial(0, "udp", "10.0.0.1:53"), question(1, "a.example.", dnsmessage.TypeA)
	c.send(query)
	c.expect(query)
	wait(t, r.asked)
}

func TestOneTooManyGoesOn(t *testing.T) {
	r := newRig(t)
	r.set(r.gate(forever), "hd0")
	c := r.dial(0, "udp", "10.0.0.1:53")
	var held []asked
	for id := range uint16(most + 1) {
		c.send(question(id, "a.example.", dnsmessage.TypeA))
		held = append(held, wait(t, r.asked))
	}
	c.expect(question(most, "a.example.", dnsmessage.TypeA))
	for id, a := range held[:most] {
		a.release()
		c.expect(question(uint16(id), "a.example.", dnsmessage.TypeA))
	}
}

func TestLinksComeAndGo(t *testing.T) {
	r := newRig(t)
	before := r.state()
	g := r.gate(forever)
	r.set(g)
	if diff := cmp.Diff(before, r.state()); diff != "" {
		t.Fatalf("without Pods the node changed (-before +now):\n%s", diff)
	}
	r.set(g, "hd0", "hd1") // hd1 is not there yet
	hooked := r.chains("to-hd1")
	r.addPod()
	wait(t, hooked)
	r.held(0)
	r.held(1)

	r.set(g, "hd1")
	r.free(0)
	r.held(1)

	hooked = r.chains("to-hd1")
	r.lines(r.node, "ip link del hd1")
	r.set(g, "hd0", "hd1")
	r.held(0)
	r.lines(r.node, "ip link add hd1 type veth peer name hx1") // another one by the same name
	wait(t, hooked)
	r.set(g, "hd0", "hd1")
	r.held(0)

	r.lines(r.node, "ip link del hd1")
	r.set(g)
	if diff := cmp.Diff(before, r.state()); diff != "" {
		t.Errorf("without Pods something is left (-before +now):\n%s", diff)
	}
	r.free(0)
	r.set(g, "hd0")
	r.held(0)
}

// held fails unless a Pod's answers are held, each once.
func (r *rig) held(pod int) {
	r.t.Helper()
	c, query := r.dial(pod, "udp", "10.0.0.1:53"), question(1, "a.example.", dnsmessage.TypeA)
	c.send(query)
	a := wait(r.t, r.asked)
	c.empty()
	a.release()
	c.expect(query)
	r.unasked()
}

// free fails if a Pod's answers are held.
func (r *rig) free(pod int) {
	r.t.Helper()
	c, query := r.dial(pod, "udp", "10.0.0.1:53"), question(1, "a.example.", dnsmessage.TypeA)
	c.send(query)
	c.expect(query)
	r.unasked()
}

// chains yields a value when a chain of the name has come after one that is there, if any, was looked at.
func (r *rig) chains(name string) <-chan struct{} {
	var s *nl.NetlinkSocket
	r.in(r.node, func() (err error) {
		s, err = nl.Subscribe(unix.NETLINK_NETFILTER, unix.NFNLGRP_NFTABLES)
		return err
	})
	r.t.Cleanup(s.Close)
	found := make(chan struct{})
	go func() {
		for {
			messages, _, err := s.Receive()
			if err != nil {
				return
			}
			for _, m := range messages {
				if m.Header.Type&0xff == unix.NFT_MSG_NEWRULE && strings.Contains(string(m.Data), name) {
					close(found)
					return
				}
			}
		}
	}()
	return found
}

func TestTheEndOfRunLetsAllGo(t *testing.T) {
	r := newRig(t)
	before := r.state()
	g := r.gate(forever)
	r.set(g, "hd0")
	c, query := r.dial(0, "udp", "10.0.0.1:53"), question(1, "a.example.", dnsmessage.TypeA)
	c.send(query)
	wait(t, r.asked)
	g.cancel()
	if err := wait(t, g.done); err != nil {
		t.Error(err)
	}
	c.expect(query)
	if diff := cmp.Diff(before, r.state()); diff != "" {
		t.Errorf("something is left (-before +now):\n%s", diff)
	}
}

func TestWithoutItsLinksRunFailsAndAnswersFlow(t *testing.T) {
	r := newRig(t)
	g := r.gate(forever)
	r.set(g, "hd0")
	r.lines(r.node, "ip link del "+pairTo)
	if err := wait(t, g.done); err == nil {
		t.Error("Run returned no error")
	}
	r.free(0)
}

// The table cannot be changed by another process than its owner.
func TestTheTableHasOneOwner(t *testing.T) {
	r := newRig(t)
	r.set(r.gate(forever), "hd0")
	r.run(r.node, "nft", "flush", "ruleset")
	r.held(0)
}

// A link may vanish between a look and the transaction.
func TestAVanishedLinkIsNoError(t *testing.T) {
	r := newRig(t)
	r.in(r.node, func() error {
		w, err := open(Config{Servers: trusted})
		if err != nil {
			return err
		}
		defer func() {
			if err := w.close(); err != nil {
				t.Error(err)
			}
		}()
		if err := w.table.add("hd7"); err != nil && !gone(err) {
			t.Error(err)
		}
		w.hooked["hd8"] = 8
		w.wanted = []string{"hd0"}
		return w.hook()
	})
}

// Only answers come to us, of what goes to a Pod.
func TestTheTable(t *testing.T) {
	r := newRig(t)
	r.set(r.gate(forever), "hd0")
	_, got, _ := strings.Cut(r.run(r.node, "nft", "list", "table", "netdev", tableName), "\n") // after the name of this process
	got = regexp.MustCompile(`mark 0x\w+`).ReplaceAllString(got, "mark OURS")
	want := `	flags owner

	chain answers {
		meta mark OURS return
		ip saddr 10.0.0.1 meta l4proto udp meta mark set oif fwd to "heddle-dns0"
		ip saddr 10.0.0.1 meta l4proto tcp meta mark set oif fwd to "heddle-dns0"
		ip6 saddr fd00::1 meta l4proto udp meta mark set oif fwd to "heddle-dns0"
		ip6 saddr fd00::1 meta l4proto tcp meta mark set oif fwd to "heddle-dns0"
	}

	chain to-hd0 {
		type filter hook egress device "hd0" priority filter; policy accept;
		th sport 53 jump answers
	}
}
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
