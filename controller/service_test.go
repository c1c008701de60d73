package controller_test

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// TestServiceLife follows a Service from its first endpoint to its end.
func TestServiceLife(t *testing.T) {
	r := newRig(t)
	r.start()
	r.readySubnet("ovn-default")
	web := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80, Protocol: corev1.ProtocolTCP}}},
	}
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "default", Name: "web-1", Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
		AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{{Name: ptr.To(""), Port: ptr.To[int32](8080), Protocol: ptr.To(corev1.ProtocolTCP)}},
		Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.16.0.77"}, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true)}}},
	}
	r.create(web, slice)
	vip := web.Spec.ClusterIP + ":80"
	r.untilVIP("default/web:tcp", vip, "10.16.0.77:8080")

	slice.Endpoints[0].Addresses[0] = "10.16.0.78"
	r.must(r.client.Update(t.Context(), slice))
	r.untilVIP("default/web:tcp", vip, "10.16.0.78:8080")
	r.must(r.client.Delete(t.Context(), slice))
	r.untilVIP("default/web:tcp", vip, "")
	r.must(r.client.Delete(t.Context(), web))
	r.kill()
	r.start() // what it does first is to compare everything
	r.create(pod("default", "a", "n1", nil))
	r.allocated("default", "a")
	if list := r.nb.Nbctl("lb-list"); strings.Contains(list, "web") {
		t.Errorf("after its end: %s", list)
	}
}

// untilVIP waits until a load balancer leads there.
func (r *rig) untilVIP(name, vip, to string) {
	r.Helper()
	r.nb.Nbctl("--timeout=30", "wait-until", "Load_Balancer", name, `vips:"`+vip+`"="`+to+`"`)
}

// TestServiceLatency: the time that a change of an endpoint takes is measured, once, from the moment that its slice tells.
func TestServiceLatency(t *testing.T) {
	l := newLoad(t)
	const count = "heddle_service_programming_seconds_count"
	before := l.mustOwn()[count]
	web := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}},
	}
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "default", Name: "web-1", Labels: map[string]string{discoveryv1.LabelServiceName: "web"},
			Annotations: map[string]string{corev1.EndpointsLastChangeTriggerTime: time.Now().Format(time.RFC3339Nano)},
		},
		AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{{Name: ptr.To(""), Port: ptr.To[int32](8080)}},
		Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.16.0.77"}}},
	}
	l.create(web, slice)
	l.untilVIP("default/web:tcp", web.Spec.ClusterIP+":80", "10.16.0.77:8080")
	web.Spec.SessionAffinity = corev1.ServiceAffinityClientIP // no change of an endpoint
	l.must(l.client.Update(t.Context(), web))
	l.nb.Nbctl("--timeout=30", "wait-until", "Load_Balancer", "default/web:tcp", "selection_fields=ip_src")
	if n := l.mustOwn()[count] - before; n != 1 {
		t.Errorf("%.0f changes are measured, want 1", n)
	}
}
