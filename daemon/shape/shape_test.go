package shape

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"

	v1 "github.com/heddle-net/heddle/crds/v1"
)

func of(v float64) *float64 { return &v }

// TestOf has the numbers worked out by hand: 1 Mbit is 125,000 bytes, and tc counts a bucket in the time that it takes to fill.
func TestOf(t *testing.T) {
	ms := func(n float64) uint32 { return uint32(n * 1000 * netlink.TickInUsec()) }
	for name, c := range map[string]struct {
		asked     v1.QoS
		userspace bool
		want      Shape
	}{
		"nothing":                {},
		"no limit":               {asked: v1.QoS{IngressRate: of(0), EgressRate: of(0), Latency: of(0), Loss: of(0)}},
		"a burst without a rate": {asked: v1.QoS{IngressBurst: of(5)}},
		"a limit without a delay": {
			asked: v1.QoS{Limit: of(5)},
		},
		"to the Pod": {
			asked: v1.QoS{IngressRate: of(10)},
			want:  Shape{Ingress: Queue{Bucket: Bucket{Rate: 1_250_000, Burst: ms(100), Limit: 256 << 10}}},
		},
		"to the Pod in user space": {
			asked: v1.QoS{IngressRate: of(10)}, userspace: true,
			want: Shape{Ingress: Queue{Bucket: Bucket{Rate: 1_250_000, Burst: ms(100), Limit: 24 << 10}}},
		},
		"from the Pod in user space": {
			asked: v1.QoS{EgressRate: of(10)}, userspace: true,
			want: Shape{Egress: Queue{Bucket: Bucket{Rate: 1_250_000, Burst: ms(100), Limit: 256 << 10}}},
		},
		"burst": {
			asked: v1.QoS{EgressRate: of(10), EgressBurst: of(2), IngressBurst: of(3)},
			want:  Shape{Egress: Queue{Bucket: Bucket{Rate: 1_250_000, Burst: ms(200), Limit: 256 << 10}}},
		},
		"a bucket holds the largest packets": {
			asked: v1.QoS{EgressRate: of(0.5), EgressBurst: of(0.001)},
			want:  Shape{Egress: Queue{Bucket: Bucket{Rate: 62_500, Burst: ms(320), Limit: 256 << 10}}},
		},
		"beyond 32 bits": {
			asked: v1.QoS{EgressRate: of(100_000)},
			want:  Shape{Egress: Queue{Bucket: Bucket{Rate: 12_500_000_000, Burst: ms(100), Limit: 256 << 10}}},
		},
		"netem": {
			asked: v1.QoS{Latency: of(20), Jitter: of(2.5), Loss: of(50), Limit: of(300)},
			want:  Shape{Egress: Queue{Netem: Netem{Latency: ms(20), Jitter: ms(2.5), Loss: 1<<31 - 1, Limit: 300}}},
		},
		"all is lost": {
			asked: v1.QoS{Loss: of(100)},
			want:  Shape{Egress: Queue{Netem: Netem{Loss: 1<<32 - 1, Limit: 1000}}},
		},
		"both": {
			asked: v1.QoS{EgressRate: of(10), Latency: of(20)},
			want: Shape{Egress: Queue{
				Bucket: Bucket{Rate: 1_250_000, Burst: ms(100), Limit: 256 << 10}, Netem: Netem{Latency: ms(20), Limit: 1000},
			}},
		},
	} {
		if diff := cmp.Diff(c.want, Of(c.asked, c.userspace)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
