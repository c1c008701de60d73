package controller_test

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/heddle-net/heddle/crds/v1"
)

// pool makes a Subnet that gives addresses to Services.
func (r *rig) pool(name, cidr string, exclude ...string) {
	r.Helper()
	r.create(&v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1.SubnetSpec{CIDRBlock: cidr, Provider: v1.ProviderL2, ExcludeIps: exclude}})
	r.readySubnet(name)
}

// balancer is a Service of our class.
func balancer(name string, change func(*corev1.Service)) *corev1.Service {
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, Annotations: map[string]string{}},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, LoadBalancerClass: ptr.To(v1.LoadBalancerClassL2), Ports: []corev1.ServicePort{{Port: 80}},
		},
	}
	if change != nil {
		change(s)
	}
	return s
}

func dual(s *corev1.Service) { s.Spec.IPFamilyPolicy = ptr.To(corev1.IPFamilyPolicyRequireDualStack) }

func ingressOf(s *corev1.Service) string {
	var list []string
	for _, i := range s.Status.LoadBalancer.Ingress {
		mode := corev1.LoadBalancerIPMode("none")
		if i.IPMode != nil {
			mode = *i.IPMode
		}
		list = append(list, i.IP+" "+string(mode))
	}
	return strings.Join(list, ", ")
}

// ingress waits until the status of a Service has these addresses, "" for none.
func (r *rig) ingress(name string, addresses ...string) *corev1.Service {
	r.Helper()
	for i := range addresses {
		addresses[i] += " VIP"
	}
	return r.wait(&corev1.ServiceList{}, name+" has "+strings.Join(addresses, ", "), func(obj client.Object) bool {
		return obj.GetName() == name && ingressOf(obj.(*corev1.Service)) == strings.Join(addresses, ", ")
	}).(*corev1.Service)
}

func (r *rig) change(s *corev1.Service, change func(*corev1.Service)) {
	r.Helper()
	r.must(r.client.Get(r.Context(), client.ObjectKeyFromObject(s), s))
	if s.Annotations == nil {
		s.Annotations = map[string]string{}
	}
	change(s)
	r.must(r.client.Update(r.Context(), s))
}

// TestBalancerLife follows a Service with addresses of both families, over a restart, to its end.
func TestBalancerLife(t *testing.T) {
	r := newRig(t)
	r.start()
	r.node("n1", "192.0.2.11")
	r.pool("lan", "192.0.2.0/24,2001:db8:1::/64", "192.0.2.2..192.0.2.10", "192.0.2.12..192.0.2.199")
	web := balancer("web", dual)
	r.create(web)
	// 192.0.2.1 and 2001:db8:1::1 are the gateways, 192.0.2.11 is the node's.
	r.ingress("web", "192.0.2.200", "2001:db8:1::2")
	r.untilVIP("default/web:tcp", "192.0.2.200:80", "")
	r.untilVIP("default/web:tcp", "[2001:db8:1::2]:80", "")
	var ip v1.IP
	r.must(r.client.Get(t.Context(), client.ObjectKey{Name: "lb-7-default-web"}, &ip))
	if s := ip.Spec; s.V4IPAddress != "192.0.2.200" || s.V6IPAddress != "2001:db8:1::2" || s.Subnet != "lan" || s.PodName != "web" || s.Namespace != "default" ||
		ip.Labels[v1.LabelSubnet] != "lan" || !slices.Contains(ip.Finalizers, v1.Finalizer) {
		t.Errorf("IP object: %+v %+v", ip.ObjectMeta, s)
	}
	r.used("lan", 1)

	r.kill()
	r.create(balancer("later", nil))
	r.start()
	r.ingress("later", "192.0.2.201")
	r.ingress("web", "192.0.2.200", "2001:db8:1::2")
	r.must(r.client.Status().Patch(t.Context(), web, client.RawPatch("application/merge-patch+json", []byte(`{"status":{"loadBalancer":{"ingress":[{"ip":"203.0.113.1"}]}}}`))))
	r.ingress("web", "192.0.2.200", "2001:db8:1::2") // it is ours to say
	var vpc v1.Vpc
	r.must(r.client.Get(t.Context(), client.ObjectKey{Name: "ovn-cluster"}, &vpc))
	if slices.Contains(vpc.Status.Subnets, "lan") {
		t.Errorf("the Vpc has %v", vpc.Status.Subnets)
	}
	if list := r.nb.Nbctl("ls-list"); strings.Contains(list, "lan") {
		t.Errorf("OVN has %s", list)
	}

	r.must(r.client.Delete(t.Context(), web))
	r.waitGone(&ip, &v1.IPList{})
	r.kill()
	r.must(r.client.Delete(t.Context(), balancer("later", nil)))
	r.start() // one that went while nobody looked
	r.waitGone(&v1.IP{ObjectMeta: metav1.ObjectMeta{Name: "lb-7-default-later"}}, &v1.IPList{})
	r.used("lan", 0)
}

// TestBalancerAsks: what a Service may ask for, by field and annotation, and what it may not.
func TestBalancerAsks(t *testing.T) {
	r := newRig(t)
	r.start()
	r.node("n1", "192.0.2.11")
	r.pool("lan", "192.0.2.0/28,2001:db8:1::/64", "192.0.2.14")
	r.pool("other", "198.51.100.0/28")
	r.pool("six", "2001:db8:9::/64")
	named := func(pool string) func(*corev1.Service) {
		return func(s *corev1.Service) { s.Annotations[v1.AnnotationServicePool] = pool }
	}
	address := func(text string) func(*corev1.Service) {
		return func(s *corev1.Service) { s.Annotations[v1.AnnotationIPAddress] = text }
	}
	field := func(text string) func(*corev1.Service) {
		return func(s *corev1.Service) { s.Spec.LoadBalancerIP = text }
	}
	all := func(list ...func(*corev1.Service)) func(*corev1.Service) {
		return func(s *corev1.Service) {
			for _, change := range list {
				change(s)
			}
		}
	}
	prefers := func(s *corev1.Service) { s.Spec.IPFamilyPolicy = ptr.To(corev1.IPFamilyPolicyPreferDualStack) }
	sixFirst := func(s *corev1.Service) {
		s.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv6Protocol, corev1.IPv4Protocol}
	}
	onlySix := func(s *corev1.Service) { s.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv6Protocol} }
	noClass := func(s *corev1.Service) { s.Spec.LoadBalancerClass = nil }
	for name, c := range map[string]struct {
		change func(*corev1.Service)
		want   []string
	}{
		"field":     {field("192.0.2.9"), []string{"192.0.2.9"}},
		"excluded":  {address("192.0.2.14"), []string{"192.0.2.14"}},
		"both":      {all(dual, address("192.0.2.8,2001:db8:1::8")), []string{"192.0.2.8", "2001:db8:1::8"}},
		"one":       {all(dual, address("2001:db8:1::7"), named("lan")), []string{"192.0.2.2", "2001:db8:1::7"}},
		"kube-ovn":  {all(named("other"), noClass), []string{"198.51.100.2"}},
		"elsewhere": {field("198.51.100.9"), []string{"198.51.100.9"}},
		"only-six":  {all(onlySix, named("six")), []string{"2001:db8:9::2"}},
		"prefers":   {all(prefers, named("other"), address("198.51.100.10")), []string{"198.51.100.10"}},
		"six-first": {all(dual, sixFirst, address("192.0.2.7,2001:db8:1::9")), []string{"2001:db8:1::9", "192.0.2.7"}},
	} {
		r.create(balancer(name, c.change))
		r.ingress(name, c.want...)
	}
	for name, c := range map[string]struct {
		change func(*corev1.Service)
		want   string
	}{
		"taken":         {field("192.0.2.9"), "AddressConflict: 192.0.2.9 is held by lb-7-default-field"},
		"node":          {field("192.0.2.11"), "192.0.2.11 is the address of a node"},
		"gateway":       {field("192.0.2.1"), "192.0.2.1 is the subnet's gateway"},
		"outside":       {all(named("lan"), field("203.0.113.1")), "203.0.113.1 is outside of 192.0.2.0/28 and 2001:db8:1::/64"},
		"unknown":       {named("nowhere"), "there is no Subnet nowhere of provider l2.heddle.dev that is Ready"},
		"overlay":       {named("ovn-default"), "there is no Subnet ovn-default of provider l2.heddle.dev"},
		"odd-address":   {address("192.0.2"), `"192.0.2" is not an IP address`},
		"odd-field":     {field("web.example.com"), `"web.example.com" is not an IP address`},
		"two-of-a-kind": {address("192.0.2.5,192.0.2.6"), "at most one address of each family"},
		"wrong-family":  {field("2001:db8:1::5"), "2001:db8:1::5 is asked for, but the Service is not IPv6"},
		"no-family":     {all(dual, named("other")), "the Subnet other has no IPv6 addresses"},
		"not-here":      {all(onlySix, named("other")), "the Subnet other has no IPv6 addresses"},
	} {
		r.create(balancer(name, c.change))
		if e := r.event(name, c.want); e.Reason != "AcquireAddressFailed" || e.Type != corev1.EventTypeWarning {
			t.Errorf("%s: %+v", name, e)
		}
	}
	r.event("only-six", "no Node has an InternalIP in 2001:db8:9::/64 of Subnet six")
	r.create(pod("default", "guest", "n1", map[string]string{v1.AnnotationLogicalSwitch: "lan"}))
	r.event("guest", "the Subnet lan is for Services of type LoadBalancer")
}

// TestBalancerWaits: a Service that comes before its pool, or when the pool is empty, has its address as soon as there is one; the
// node that comes into the pool is told of.
func TestBalancerWaits(t *testing.T) {
	r := newRig(t)
	r.start()
	r.readySubnet("ovn-default")
	r.create(balancer("first", nil))
	r.event("first", "there is no Subnet of provider l2.heddle.dev that is Ready")
	r.pool("lan", "192.0.2.0/30")
	first := r.ingress("first", "192.0.2.2")
	r.create(balancer("second", nil))
	r.event("second", "no free IPv4 address in 192.0.2.0/30")
	r.must(r.client.Delete(t.Context(), first))
	second := r.ingress("second", "192.0.2.2")
	r.create(balancer("third", nil))
	r.event("third", "no free IPv4 address in 192.0.2.0/30")
	r.pool("wan", "198.51.100.0/28")
	r.ingress("third", "198.51.100.2")
	r.node("n1", "192.0.2.2")
	r.event("n1", "the Node's address 192.0.2.2 is held by lb-7-default-second in Subnet lan")
	r.ingress("second", "192.0.2.2") // what is in use stays
	r.must(r.client.Delete(t.Context(), second))
	r.create(balancer("fourth", func(s *corev1.Service) { s.Annotations[v1.AnnotationServicePool] = "lan" }))
	r.event("fourth", "no free IPv4 address in 192.0.2.0/30") // the node's now
	r.must(r.client.Delete(t.Context(), &v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: "wan"}}))
	r.wait(&v1.SubnetList{}, "wan is in use", func(obj client.Object) bool {
		return obj.GetName() == "wan" && strings.Contains(readyOf(obj.(*v1.Subnet).Status.Conditions).Message, "lb-7-default-third")
	})
}

// TestBalancerChanges: a Service that asks for something else moves, and one that is not ours any more has nothing of ours.
func TestBalancerChanges(t *testing.T) {
	r := newRig(t)
	r.start()
	r.node("n1", "192.0.2.11")
	r.pool("lan", "192.0.2.0/28,2001:db8:1::/64")
	r.pool("other", "198.51.100.0/28")
	stranger := balancer("stranger", func(s *corev1.Service) {
		s.Spec.LoadBalancerClass, s.Annotations[v1.AnnotationServicePool] = ptr.To("example.com/lb"), "lan"
	})
	r.create(stranger)
	r.must(r.client.Status().Patch(t.Context(), stranger, client.RawPatch("application/merge-patch+json", []byte(`{"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.14"}]}}}`))))
	web := balancer("web", func(s *corev1.Service) {
		s.Spec.LoadBalancerClass, s.Annotations[v1.AnnotationServicePool] = nil, "lan"
	})
	r.create(web)
	r.ingress("web", "192.0.2.2")
	for _, c := range []struct {
		change func(*corev1.Service)
		want   []string
	}{
		{dual, []string{"192.0.2.2", "2001:db8:1::2"}},
		{func(s *corev1.Service) { s.Spec.LoadBalancerIP = "192.0.2.9" }, []string{"192.0.2.9", "2001:db8:1::2"}},
		{func(s *corev1.Service) {
			s.Spec.IPFamilyPolicy, s.Spec.IPFamilies, s.Spec.ClusterIPs = ptr.To(corev1.IPFamilyPolicySingleStack), s.Spec.IPFamilies[:1], s.Spec.ClusterIPs[:1]
		}, []string{"192.0.2.9"}},
		{func(s *corev1.Service) { s.Spec.LoadBalancerIP, s.Annotations[v1.AnnotationServicePool] = "", "other" }, []string{"198.51.100.2"}},
		{func(s *corev1.Service) { delete(s.Annotations, v1.AnnotationServicePool) }, nil},
		{func(s *corev1.Service) { s.Annotations[v1.AnnotationServicePool] = "lan" }, []string{"192.0.2.3"}}, // those given back come last
		{func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeClusterIP }, nil},
	} {
		r.change(web, c.change)
		r.ingress("web", c.want...)
	}
	r.waitGone(&v1.IP{ObjectMeta: metav1.ObjectMeta{Name: "lb-7-default-web"}}, &v1.IPList{})
	r.used("lan", 0)
	r.used("other", 0)
	r.must(r.client.Get(t.Context(), client.ObjectKeyFromObject(stranger), stranger))
	if got := ingressOf(stranger); got != "192.0.2.14 VIP" {
		t.Errorf("the Service of another class has %q", got)
	}
	r.change(web, func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeLoadBalancer })
	r.ingress("web", "192.0.2.4")
	r.kill() // what changes while nobody looks
	r.change(web, func(s *corev1.Service) { delete(s.Annotations, v1.AnnotationServicePool) })
	r.start()
	r.ingress("web")
	r.waitGone(&v1.IP{ObjectMeta: metav1.ObjectMeta{Name: "lb-7-default-web"}}, &v1.IPList{})
}

// TestBalancerReserved: an IP object with the name of a Service that is not there yet keeps an address for it.
func TestBalancerReserved(t *testing.T) {
	r := newRig(t)
	r.start()
	r.node("n1", "192.0.2.11")
	r.pool("lan", "192.0.2.0/28")
	ip := &v1.IP{ObjectMeta: metav1.ObjectMeta{Name: "lb-7-default-web"}, Spec: v1.IPSpec{Subnet: "lan", V4IPAddress: "192.0.2.9"}}
	r.create(ip)
	r.used("lan", 1)
	web := balancer("web", nil)
	r.create(web)
	r.ingress("web", "192.0.2.9")
	r.must(r.client.Delete(t.Context(), web))
	r.create(balancer("other", nil))
	r.ingress("other", "192.0.2.2")
	r.used("lan", 2)
	r.must(r.client.Delete(t.Context(), ip))
	r.waitGone(ip, &v1.IPList{})
	r.used("lan", 1)
}
