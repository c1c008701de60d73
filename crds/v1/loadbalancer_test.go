package v1

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestBalancerIP: each Service has a name of its own, which leads back to it; no other name does.
func TestBalancerIP(t *testing.T) {
	seen := map[string]string{}
	for _, s := range [][2]string{{"default", "web"}, {"a", "b-c"}, {"a-b", "c"}, {"a", "1-b-c"}, {"kube-system", "7-x"}} {
		ip := BalancerIP(s[0], s[1])
		if other, twice := seen[ip]; twice {
			t.Errorf("%s is that of %v and of %s", ip, s, other)
		}
		seen[ip] = s[0] + "/" + s[1]
		if namespace, service, ok := ServiceOfIP(ip); !ok || namespace != s[0] || service != s[1] {
			t.Errorf("%s leads to %s/%s, %v, want %v", ip, namespace, service, ok, s)
		}
	}
	for _, ip := range []string{
		"", "lb-", "lb-7", "lb-7-default", "lb-7-default-", "lb-07-default-web", "lb-+7-default-web", "lb-0--web", "lb--1-a-b", "lb-6-default-web", "7-default-web",
		"node-lb", "web.default", "lb-7-default-web.x", "lb-99999999999999999999-a-b",
	} {
		if namespace, service, ok := ServiceOfIP(ip); ok {
			t.Errorf("%q leads to %s/%s", ip, namespace, service)
		}
	}
}

// TestAsksForAddress: only what is ours by class, or by Kube-OVN's annotation and no class.
func TestAsksForAddress(t *testing.T) {
	ours, others := LoadBalancerClassL2, "example.com/lb"
	for _, c := range []struct {
		kind  corev1.ServiceType
		class *string
		pool  string
		want  bool
	}{
		{corev1.ServiceTypeLoadBalancer, nil, "", false},
		{corev1.ServiceTypeLoadBalancer, nil, "lan", true},
		{corev1.ServiceTypeLoadBalancer, &ours, "", true},
		{corev1.ServiceTypeLoadBalancer, &ours, "lan", true},
		{corev1.ServiceTypeLoadBalancer, &others, "lan", false},
		{corev1.ServiceTypeClusterIP, nil, "lan", false},
		{corev1.ServiceTypeNodePort, nil, "lan", false},
	} {
		s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{AnnotationServicePool: c.pool}}, Spec: corev1.ServiceSpec{Type: c.kind, LoadBalancerClass: c.class}}
		if pool, ok := AsksForAddress(s); ok != c.want || ok && pool != c.pool {
			t.Errorf("%+v: pool %q, %v", c, pool, ok)
		}
	}
}
