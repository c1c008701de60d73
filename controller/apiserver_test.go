package controller_test

import (
	"encoding/json"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/heddle-net/heddle/crds/v1"
)

// BenchmarkAPIServer is what the API server and etcd take alone, without a controller: what BenchmarkPaced and
// BenchmarkBurst can reach on this machine at best.
func BenchmarkAPIServer(b *testing.B) {
	b.Run("posts", func(b *testing.B) { alone(b, func(l *load, n int) { l.createPods("default", 0, n, creators, 0) }) })
	b.Run("posts+writes", func(b *testing.B) {
		alone(b, func(l *load, n int) {
			l.each(n, creators, 0, func(i int) error { return l.serveByHand(i, func() {}) })
		})
	})
	b.Run("paced", func(b *testing.B) {
		for b.Loop() {
			l := newLoadAlone(b)
			l.look("default")
			n := scaled(b, 300)
			posted := make([]time.Time, n)
			l.each(n, 4, 100*time.Millisecond, func(i int) error {
				return l.serveByHand(i, func() { posted[i] = time.Now() })
			})
			at := l.waitServed(n)
			took := make([]time.Duration, n)
			for i := range took {
				took[i] = at[loadPod("default", i).Name].Sub(posted[i])
			}
			report(b, "ms-p50", ms(percentile(took, 0.5)))
			report(b, "ms-p99", ms(percentile(took, 0.99)))
		}
	})
}

// alone measures Pods per second.
func alone(b *testing.B, run func(l *load, n int)) {
	for b.Loop() {
		l, n := newLoadAlone(b), scaled(b, 1000)
		started := time.Now()
		run(l, n)
		report(b, "pods/s", float64(n)/time.Since(started).Seconds())
	}
}

// serveByHand posts a Pod and then makes the two writes that the controller makes for it, with the same objects.
func (l *load) serveByHand(i int, posted func()) error {
	obj := loadPod("default", i)
	made, err := l.pods("default").Create(l.Context(), obj, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	posted()
	const address, mac = "10.16.100.100", "0a:58:0a:10:64:64"
	ip := &v1.IP{
		ObjectMeta: metav1.ObjectMeta{
			Name: made.Name + ".default", Finalizers: []string{v1.Finalizer}, Annotations: map[string]string{"heddle.dev/holder": string(made.UID)},
			Labels: map[string]string{v1.LabelSubnet: "ovn-default", v1.LabelNodeName: nodeName(i), v1.LabelIPReserved: "false"},
		},
		Spec: v1.IPSpec{
			PodName: made.Name, Namespace: "default", Subnet: "ovn-default", NodeName: nodeName(i), MacAddress: mac,
			IPAddress: address, V4IPAddress: address, AttachIPs: []string{}, AttachMacs: []string{}, AttachSubnets: []string{},
		},
	}
	if err := l.client.Create(l.Context(), ip); err != nil {
		return err
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": string(made.UID), "annotations": map[string]string{
		v1.AnnotationAllocated: v1.AnnotationTrue, v1.AnnotationLogicalSwitch: "ovn-default", v1.AnnotationLogicalRouter: "ovn-cluster",
		v1.AnnotationIPAddress: address, v1.AnnotationMACAddress: mac, v1.AnnotationCIDR: "10.16.0.0/16",
		v1.AnnotationGateway: "10.16.0.1", v1.AnnotationRouted: v1.AnnotationTrue,
	}}})
	if err != nil {
		return err
	}
	return l.client.Patch(l.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: made.Name}}, client.RawPatch(types.MergePatchType, patch))
}
