package shape

import (
	"math"

	"github.com/vishvananda/netlink"

	v1 "github.com/heddle-net/heddle/crds/v1"
)

// Shape is what a Pod's traffic goes through. Its zero value is nothing.
type Shape struct {
	Ingress Queue // at the node's end, to the Pod
	Egress  Queue // at the Pod's end
}

// Queue is the qdiscs of one end, in the kernel's own numbers: two that are equal are the same to it.
type Queue struct {
	Bucket Bucket
	Netem  Netem
}

// Bucket is a token bucket (tc-tbf(8)); without a rate there is none.
type Bucket struct {
	Rate  uint64 // bytes a second
	Burst uint32 // ticks that the bucket holds
	Limit uint32 // bytes that wait
}

// Netem is tc-netem(8); without a limit there is none.
type Netem struct {
	Latency, Jitter uint32 // ticks
	Limit           uint32 // packets
	Loss            uint32 // of 2³²
}

// Where a queue has to be short, or may be long enough for the largest packets that the kernel makes of several (64 KiB).
const (
	shortQueue = 24 << 10
	longQueue  = 256 << 10
)

// A bucket holds 100 ms of its rate if nothing else is asked for: shorter ones lose rate where the kernel's clock or the machine is late.
const burstSeconds = 0.1

// leastBurst bytes let the largest packets of any link pass. tbf cuts those that the kernel has put together to size.
const leastBurst = 20_000

// defaultNetemLimit is netem's own.
const defaultNetemLimit = 1000

// Of is what a Pod is to have. The node's datapath matters: in user space ovs-vswitchd sends to all Pods by one socket, which holds no more than
// some 90 packets that wait, so that a long queue of one Pod would stop the others.
func Of(q v1.QoS, userspace bool) Shape {
	queue := uint32(longQueue)
	if userspace {
		queue = shortQueue
	}
	return Shape{
		Ingress: Queue{Bucket: bucket(q.IngressRate, q.IngressBurst, queue)},
		Egress:  Queue{Bucket: bucket(q.EgressRate, q.EgressBurst, longQueue), Netem: netem(q)},
	}
}

func bucket(rate, burst *float64, queue uint32) Bucket {
	bytes := value(rate) * 1e6 / 8
	if bytes == 0 {
		return Bucket{}
	}
	size := value(burst) * 1e6 / 8
	if size == 0 {
		size = bytes * burstSeconds
	}
	return Bucket{Rate: uint64(bytes), Burst: ticks(max(size, leastBurst) / bytes * 1e6), Limit: queue}
}

func netem(q v1.QoS) Netem {
	n := Netem{
		Latency: ticks(value(q.Latency) * 1e3), Jitter: ticks(value(q.Jitter) * 1e3),
		Loss: uint32(value(q.Loss) / 100 * math.MaxUint32),
	}
	if n == (Netem{}) {
		return n
	}
	n.Limit = uint32(value(q.Limit))
	if n.Limit == 0 {
		n.Limit = defaultNetemLimit
	}
	return n
}

func value(v *float64) float64 {
	if v == nil {
		return 0
	}
	return *v
}

// ticks are the kernel's unit for the time of qdiscs (psched).
func ticks(microseconds float64) uint32 {
	return uint32(min(microseconds*netlink.TickInUsec(), math.MaxUint32))
}
