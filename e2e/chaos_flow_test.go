package e2e

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/containernetworking/plugins/pkg/ns"
	corev1 "k8s.io/api/core/v1"
)

// pulse is how often a flow sends.
const pulse = 100 * time.Millisecond

// flow is a TCP connection between two Pods that counts up, and measures how long nothing came.
type flow struct {
	name string

	mu       sync.Mutex
	changed  chan struct{}
	sent     uint64
	received uint64
	last     time.Time
	gap      time.Duration // longest since reset
	err      error         // the connection's end
}

// startFlow connects two Pods for the time of the test. The sockets are those of the Pods' own kernel: each is made in the
// Pod's network namespace and stays there.
func (o *observer) startFlow(t *testing.T, name string, from, to *corev1.Pod, address string) *flow {
	t.Helper()
	var listener net.Listener
	var client net.Conn
	must(t, o.inPod(to, func() (err error) {
		listener, err = net.Listen("tcp", net.JoinHostPort(address, "0"))
		return err
	}))
	defer listener.Close()
	must(t, o.inPod(from, func() (err error) {
		client, err = (&net.Dialer{Timeout: answerLimit}).Dial("tcp", listener.Addr().String())
		return err
	}))
	server, err := listener.Accept()
	must(t, err)
	f := &flow{name: name, changed: make(chan struct{}), last: time.Now()}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		_, _ = client.Close(), server.Close()
		running.Wait()
	})
	running.Go(func() { f.send(ctx, client) })
	running.Go(func() { f.receive(server) })
	return f
}

func (f *flow) send(ctx context.Context, conn net.Conn) {
	tick := time.NewTicker(pulse)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		f.mu.Lock()
		f.sent++
		message := binary.BigEndian.AppendUint64(nil, f.sent)
		f.mu.Unlock()
		if _, err := conn.Write(message); err != nil {
			f.end(err)
			return
		}
	}
}

func (f *flow) receive(conn net.Conn) {
	var message [8]byte
	for {
		if _, err := io.ReadFull(conn, message[:]); err != nil {
			f.end(err)
			return
		}
		f.note(binary.BigEndian.Uint64(message[:]))
	}
}

// note is told of each message.
func (f *flow) note(n uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n != f.received+1 {
		f.err = fmt.Errorf("message %d after %d", n, f.received)
	}
	now := time.Now()
	f.received, f.gap, f.last = n, max(f.gap, now.Sub(f.last)), now
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *flow) end(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = errors.Join(f.err, err)
	close(f.changed)
	f.changed = make(chan struct{})
}

// reset begins a new measurement.
func (f *flow) reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gap = 0
}

// arrive waits until something that is sent from now on has arrived, and returns the longest gap.
func (f *flow) arrive(ctx context.Context) (time.Duration, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for wanted := f.sent + 1; f.received < wanted; {
		if f.err != nil {
			return f.gap, fmt.Errorf("flow %s: %w", f.name, f.err)
		}
		changed := f.changed
		f.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
		}
		f.mu.Lock()
		if ctx.Err() != nil {
			return f.gap, fmt.Errorf("flow %s: nothing for %v: %w", f.name, time.Since(f.last).Round(pulse), context.Cause(ctx))
		}
	}
	return f.gap, nil
}

// inPod runs f in a Pod's network namespace, which it finds by the Pod's interface in OVS.
func (o *observer) inPod(pod *corev1.Pod, f func() error) error {
	path, err := o.netnsOf(pod)
	if err != nil {
		return err
	}
	return ns.WithNetNSPath(path, func(ns.NetNS) error { return f() })
}

func (o *observer) netnsOf(pod *corev1.Pod) (string, error) {
	m, err := o.sandbox.Machine(pod.Spec.NodeName)
	if err != nil {
		return "", err
	}
	var host hostState
	if err := host.readOVS(context.Background(), m); err != nil {
		return "", err
	}
	for _, i := range host.Interfaces {
		if i.IfaceIDVer == string(pod.UID) {
			return m.Path(netnsDir + "/" + i.NetNS), nil
		}
	}
	return "", fmt.Errorf("Pod %s has no interface on %s", podKey(pod), pod.Spec.NodeName)
}

// answerLimit is for a Pod to answer: Linux sends the first packet again after 1, 3, 7 and 15 s.
const answerLimit = 20 * time.Second

// answers asks all running Pods from a probe, all at once, and returns those that do not answer. A Pod without a listener
// answers by refusing the connection. IPv6 is asked within the probe's own Subnet: no router has it.
func (o *observer) answers(ctx context.Context, probe *corev1.Pod, pods []corev1.Pod) []string {
	path, err := o.netnsOf(probe)
	if err != nil {
		return []string{err.Error()}
	}
	var mu sync.Mutex
	var silent []string
	var asked sync.WaitGroup
	for i := range pods {
		if !runs(&pods[i]) {
			continue
		}
		for _, ip := range pods[i].Status.PodIPs {
			if netip.MustParseAddr(ip.IP).Is6() && pods[i].Namespace != probe.Namespace {
				continue
			}
			asked.Go(func() {
				if err := answer(ctx, path, ip.IP); err != nil {
					mu.Lock()
					defer mu.Unlock()
					silent = append(silent, fmt.Sprintf("Pod %s on %s does not answer %s: %v", podKey(&pods[i]), pods[i].Spec.NodeName, probe.Name, err))
				}
			})
		}
	}
	asked.Wait()
	return silent
}

func answer(ctx context.Context, netns, address string) error {
	return ns.WithNetNSPath(netns, func(ns.NetNS) error {
		const discard = "9"
		conn, err := (&net.Dialer{Timeout: answerLimit}).DialContext(ctx, "tcp", net.JoinHostPort(address, discard))
		if err == nil {
			return conn.Close()
		}
		if errors.Is(err, syscall.ECONNREFUSED) {
			return nil
		}
		return err
	})
}
