package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"github.com/containernetworking/plugins/pkg/ns"
)

// silence is how long a client waits for an answer that is not to come.
const silence = 2 * time.Second

// fewDatagrams is how many refusals of UDP are asked for: Linux sends six ICMP errors to one host at once, then one a second (icmp(7),
// icmp_ratelimit).
const fewDatagrams = 2

// without wants none of the tries to be answered: all refused, or all silent. They wait side by side.
func (a asker) without(ctx context.Context, f frontend, want string) string {
	times, limit := tries, silence
	if want == isRefused {
		limit = connectLimit
	}
	if want == isRefused && f.protocol == "udp" {
		times = fewDatagrams
	}
	answers := make(chan string)
	for range times {
		go func() { answers <- a.briefly(ctx, f, limit) }()
	}
	counts := map[string]int{}
	for range times {
		counts[<-answers]++
	}
	if counts[want] == times {
		return ""
	}
	return fmt.Sprintf("%s asks %s %d times and gets %v, want all %s", a.name, f.target, times, counts, want)
}

// briefly asks once, and tells who answers, or how nobody does.
func (a asker) briefly(ctx context.Context, f frontend, limit time.Duration) (answer string) {
	err := ns.WithNetNSPath(a.netns, func(ns.NetNS) error {
		conn, err := (&net.Dialer{Timeout: limit}).DialContext(ctx, f.protocol, f.target)
		if err != nil {
			return err
		}
		defer conn.Close()
		if f.protocol == "tcp" {
			answer = "a connection"
			return nil
		}
		if _, err := conn.Write([]byte("hostname")); err != nil {
			return err
		}
		if err := conn.SetReadDeadline(time.Now().Add(limit)); err != nil {
			return err
		}
		var buf [1500]byte
		n, err := conn.Read(buf[:])
		answer = string(buf[:n])
		return err
	})
	switch {
	case err == nil:
		return answer
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.EPERM): // what the node itself is told of UDP
		return isRefused
	case timedOut(err):
		return isSilent
	}
	return err.Error()
}
