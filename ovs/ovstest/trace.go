package ovstest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/heddle-net/heddle/ovs/unixctl"
)

// newFlows is how often a Tracer can take a packet for the first one of its flow, when it comes to connection tracking: up to
// four times a question. After that flows would be established, which Ask notices (used up is what ovn-trace says then). The
// control socket takes no --ct, so the answers are given when the process starts.
const (
	newFlows = 30000
	usedUp   = "default (use --ct to customize)"
)

// Tracer answers what becomes of a packet in the network that SB described when the Tracer was made. It is one ovn-trace
// process for all questions: it reads SB once, and a question through its control socket takes less than a millisecond
// instead of the 11 ms of a process for each.
type Tracer struct {
	tb  testing.TB
	ctl string
	pid int
	// marks are those of packets from each chassis.
	marks map[string]int
}

// Trace is the way of one packet.
type Trace struct {
	// Out lists the ports that the packet itself reached, in order of their names; none when it was dropped.
	Out []string
	// Asked lists what was sent instead of the packet or about it, as arp, nd_ns, icmp4: the packet waits or is dropped.
	Asked []string
	// Text is what ovn-trace says, for messages, and for the fields that were changed on the way (eth.dst = …).
	Text string
}

// Tracer starts an ovn-trace that knows where things are, which ovn-trace itself does not (local.go). Call Sync before.
func (n *Northd) Tracer() *Tracer {
	n.tb.Helper()
	n.traces++
	t := &Tracer{tb: n.tb, ctl: filepath.Join(n.dir, fmt.Sprintf("trace%d", n.traces))}
	var restore func()
	t.marks, restore = n.locate()
	t.start(n.SB.Endpoint)
	restore()
	return t
}

// start returns when the process has read SB. With --detach it is a grandchild that nobody waits for, unless we say that
// orphans are ours (prctl(2), PR_SET_CHILD_SUBREAPER). It ends with SB's server, since it does not connect again.
func (t *Tracer) start(sb string) {
	t.tb.Helper()
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.tb.Fatal(err)
	}
	pidfile := t.ctl + ".pid"
	args := []string{"--db=" + sb, "--no-leader-only", "--detach", "--no-chdir", "--unixctl=" + t.ctl, "--pidfile=" + pidfile, "-vconsole:off"}
	run(t.tb, "ovn-trace", append(args, slices.Repeat([]string{"--ct=new"}, newFlows)...)...)
	t.tb.Cleanup(t.Close)
	text, err := os.ReadFile(pidfile)
	if err != nil {
		t.tb.Fatal(err)
	}
	if t.pid, err = strconv.Atoi(strings.TrimSpace(string(text))); err != nil {
		t.tb.Fatal(err)
	}
}

// Close ends the process; the end of the test does so too.
func (t *Tracer) Close() {
	_, _ = control(t.ctl, "exit")
	_, _ = syscall.Wait4(t.pid, nil, 0, nil)
}

// Ask traces the first packet of a flow, given as ovn-trace(8) describes under MICROFLOW, as the ovn-controller on that chassis would
// have it, where is_chassis_resident is true of the ports that are bound there, and variables (Chassis_Template_Var in ovn-nb(5)) have
// its values. On chassis "" nothing is bound.
func (t *Tracer) Ask(chassis, microflow string) Trace {
	t.tb.Helper()
	microflow += fmt.Sprintf(" && pkt.mark == %d", t.marks[chassis])
	text, err := control(t.ctl, "trace", "--minimal", microflow)
	if err != nil {
		t.tb.Fatalf("ovn-trace %s: %v", microflow, err)
	}
	if strings.Contains(text, usedUp) {
		t.tb.Fatalf("ovn-trace %s: more than %d times through connection tracking; make another Tracer", microflow, newFlows)
	}
	return parseTrace(text)
}

var (
	outputLine = regexp.MustCompile(`^output\("(.*)"\);$`)
	// otherPacket is an action that makes a packet of its own (ovn-sb(5), Logical_Flow:actions); what is in its braces
	// happens to that one.
	otherPacket = regexp.MustCompile(`^(arp|nd_ns|nd_na|nd_na_router|icmp4|icmp4_error|icmp6|icmp6_error|tcp_reset|reject|sctp_abort)\b.*\{$`)
)

// parseTrace reads ovn-trace's minimal output.
func parseTrace(text string) Trace {
	trace := Trace{Text: text}
	depth, other := 0, 0 // braces, and the depth at which another packet began
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasSuffix(line, "{") {
			depth++
			if kind := otherPacket.FindStringSubmatch(line); kind != nil && other == 0 {
				other = depth
				trace.Asked = append(trace.Asked, kind[1])
			}
		}
		if out := outputLine.FindStringSubmatch(line); out != nil && other == 0 {
			trace.Out = append(trace.Out, out[1])
		}
		if strings.HasPrefix(line, "}") {
			if depth == other {
				other = 0
			}
			depth--
		}
	}
	slices.Sort(trace.Out)
	return trace
}

func (n *Northd) northd(command string) {
	n.tb.Helper()
	if _, err := control(n.ctl(), command); err != nil {
		n.tb.Fatalf("ovn-northd %s: %v", command, err)
	}
}

// controlTimeout bounds a question to a program of OVN.
const controlTimeout = 20 * time.Second

// control sends a command to a control socket.
func control(socket, command string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), controlTimeout)
	defer cancel()
	return unixctl.Call(ctx, socket, command, args...)
}
