package daemon

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// TestNetem shows what becomes of packets that a Pod sends, IPv4 and IPv6: they are late, by more and less, lost, and lost where too many
// are late.
func TestNetem(t *testing.T) {
	r, a, b := measured(t)
	a.annotated("latency=50")
	a.must("ADD")
	b.must("ADD")
	for i, ip := range strings.Split(b.pod.IP, ",") {
		if i > 0 {
			a.reshaped(t, "latency=50")
		}
		late := r.roundTrips(t, a, b, ip)
		if least := late[0]; least < 50*time.Millisecond || least > 55*time.Millisecond {
			t.Errorf("with a latency of 50 ms a round trip to %s takes %s", ip, least)
		}
		a.reshaped(t, "latency=100", "jitter=50")
		late = r.roundTrips(t, a, b, ip)
		if late[0] < 50*time.Millisecond || late[len(late)-1]-late[0] < 20*time.Millisecond {
			t.Errorf("with a jitter of 50 ms round trips to %s take %s", ip, late)
		}
		a.reshaped(t, "latency=50", "egress_rate=10")
		if late = r.roundTrips(t, a, b, ip); late[0] < 50*time.Millisecond {
			t.Errorf("with a rate as well, a round trip to %s takes %s", ip, late[0])
		}
		a.reshaped(t, "loss=20")
		// 800 of 1,000 with a standard deviation of 13.
		if n := r.arrive(t, a, b, ip, 1000, "loss=0", "latency=1"); n < 730 || n > 870 {
			t.Errorf("with a loss of 20%% %d of 1,000 come to %s", n, ip)
		}
		a.reshaped(t, "loss=100")
		if n := r.arrive(t, a, b, ip, 100, "loss=0", "latency=1"); n != 0 {
			t.Errorf("with a loss of 100%% %d of 100 come to %s", n, ip)
		}
		a.reshaped(t, "latency=500", "limit=10")
		// What the kernel itself sends at times, such as a router solicitation, counts too.
		if n := r.arrive(t, a, b, ip, 100, "latency=500", "limit=1000"); n < 8 || n > 10 {
			t.Errorf("with a limit of 10 %d of 100 come to %s", n, ip)
		}
	}
}

// roundTrips are the times of some, the shortest first. The first one, which looks up neighbours, does not count.
func (r *rig) roundTrips(t *testing.T, from, to *sandbox, ip string) (times []time.Duration) {
	t.Helper()
	server := r.listenUDP(t, to, ip)
	go func() {
		buf := make([]byte, 16)
		for n, client, err := server.ReadFrom(buf); err == nil; n, client, err = server.ReadFrom(buf) {
			_, _ = server.WriteTo(buf[:n], client)
		}
	}()
	client := r.dial(t, "udp", from, server.LocalAddr().String())
	_ = client.SetDeadline(time.Now().Add(time.Minute))
	for range 21 {
		start := time.Now()
		if _, err := client.Write([]byte("?")); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Read(make([]byte, 16)); err != nil {
			t.Fatal(err)
		}
		times = append(times, time.Since(start))
	}
	times = times[1:]
	slices.Sort(times)
	t.Logf("round trips to %s: %s to %s", ip, times[0], times[len(times)-1])
	return times
}

// arrive counts which of so many datagrams come before one that is sent when the Pod has other annotations, which lose none and do not
// overtake.
func (r *rig) arrive(t *testing.T, from, to *sandbox, ip string, count int, after ...string) (came int) {
	t.Helper()
	server := r.listenUDP(t, to, ip)
	client := r.dial(t, "udp", from, server.LocalAddr().String())
	say := func(word string) {
		if _, err := client.Write([]byte(word)); err != nil {
			t.Fatal(err)
		}
	}
	for range count {
		say("one")
	}
	from.reshaped(t, after...)
	say("end")
	_ = server.SetDeadline(time.Now().Add(time.Minute))
	for buf := make([]byte, 16); ; came++ {
		n, err := server.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		if string(buf[:n]) == "end" {
			t.Logf("%d of %d came to %s", came, count, ip)
			return came
		}
	}
}
