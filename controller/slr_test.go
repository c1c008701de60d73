package controller_test

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/heddle-net/heddle/crds/v1"
)

func rule(name, vip string, endpoints ...string) *v1.SwitchLBRule {
	r := &v1.SwitchLBRule{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       v1.SwitchLBRuleSpec{VIP: vip, Namespace: "default", Endpoints: endpoints, Ports: []v1.SwitchLBRulePort{{Port: 80, TargetPort: 8080}}},
	}
	if len(endpoints) == 0 {
		r.Spec.Selector = []string{"app: web"}
	}
	return r
}

// untilRule waits until a rule's condition has that reason, and returns its message.
func (r *rig) untilRule(name, reason string) string {
	r.Helper()
	obj := r.wait(&v1.SwitchLBRuleList{}, fmt.Sprintf("rule %s is %s", name, reason), func(obj client.Object) bool {
		c := readyOf(obj.(*v1.SwitchLBRule).Status.Conditions)
		return obj.GetName() == name && c.Reason == reason && c.ObservedGeneration == obj.GetGeneration()
	})
	return readyOf(obj.(*v1.SwitchLBRule).Status.Conditions).Message
}

func (r *rig) serviceOf(name string) *corev1.Service {
	r.Helper()
	var s corev1.Service
	r.must(r.client.Get(r.Context(), client.ObjectKey{Namespace: "default", Name: "slr-" + name}, &s))
	return &s
}

// TestRuleLife follows a rule with endpoints of its own from the first to the last: its Service, its address, the check of its
// endpoints, a restart that finds nothing to do, and its end.
func TestRuleLife(t *testing.T) {
	r := newRig(t)
	r.start()
	r.node("n1", "192.0.2.11")
	r.readySubnet("ovn-default")
	r.create(pod("default", "web", "n1", nil))
	ip := r.allocated("default", "web").Annotations[v1.AnnotationIPAddress]
	web := rule("web", "10.16.0.99", ip)
	r.create(web)
	r.untilRule("web", "Ready")
	r.untilVIP("slr-web:tcp", "10.16.0.99:80", ip+":8080")
	var kept, check v1.IP
	r.must(r.client.Get(t.Context(), client.ObjectKey{Name: "vip-10-16-0-99"}, &kept))
	r.wait(&v1.IPList{}, "there is an address to ask from", func(obj client.Object) bool { return obj.GetName() == "health-check-ovn-default" })
	r.must(r.client.Get(t.Context(), client.ObjectKey{Name: "health-check-ovn-default"}, &check))
	r.nb.Nbctl("--timeout=30", "wait-until", "Load_Balancer", "slr-web:tcp", `ip_port_mappings:"`+ip+`"="web.default:`+check.Spec.V4IPAddress+`"`)
	if s := r.serviceOf("web"); s.Spec.ClusterIP != "None" || len(s.Spec.Selector) > 0 || !metav1.IsControlledBy(s, web) {
		t.Errorf("the Service is %+v", s)
	}
	var shown v1.SwitchLBRule
	r.must(r.client.Get(t.Context(), client.ObjectKey{Name: "web"}, &shown))
	if shown.Status.Service != "default/slr-web" || shown.Status.Ports != "80/TCP" {
		t.Errorf("status %+v", shown.Status)
	}
	r.restartedForNothing(func() string {
		var slice discoveryv1.EndpointSlice
		r.must(r.client.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "slr-web-ipv4"}, &slice))
		for _, obj := range []client.Object{&shown, &kept, &check} {
			r.must(r.client.Get(t.Context(), client.ObjectKeyFromObject(obj), obj))
		}
		return strings.Join([]string{shown.ResourceVersion, kept.ResourceVersion, check.ResourceVersion, slice.ResourceVersion, r.serviceOf("web").ResourceVersion}, " ")
	})

	web = shown.DeepCopy() // another address, outside of all Subnets, and other endpoints
	web.Spec.VIP, web.Spec.Endpoints = "203.0.113.9", []string{"198.51.100.11"}
	r.must(r.client.Update(t.Context(), web))
	r.untilVIP("slr-web:tcp", "203.0.113.9:80", "198.51.100.11:8080")
	r.waitGone(&kept, &v1.IPList{})
	r.waitGone(&check, &v1.IPList{}) // nobody is to be asked
	r.must(r.client.Get(t.Context(), client.ObjectKeyFromObject(web), web))
	web.Spec.Endpoints, web.Spec.Selector = nil, []string{"app:web"}
	r.must(r.client.Update(t.Context(), web))
	r.wait(&corev1.ServiceList{}, "the Service has a selector", func(obj client.Object) bool {
		return obj.GetName() == "slr-web" && obj.(*corev1.Service).Spec.Selector["app"] == "web"
	})
	r.must(r.client.Delete(t.Context(), web))
	r.kill()
	r.start() // what it does first is to compare everything
	r.create(pod("default", "last", "n1", nil))
	r.allocated("default", "last")
	if list := r.nb.Nbctl("--bare", "--columns=name", "list", "Load_Balancer"); strings.Contains(list, "slr-web") {
		t.Errorf("after its end: %s", list)
	}
}

// restartedForNothing compares what is there before and after a restart that has done all it has to do.
func (r *rig) restartedForNothing(versions func() string) {
	r.Helper()
	before, rows := versions(), r.nb.Nbctl("--bare", "list", "Load_Balancer")
	r.kill()
	r.start()
	r.create(pod("default", "after", "n1", nil))
	r.allocated("default", "after")
	if after := versions(); before != after {
		r.Errorf("a restart has written: versions %s, then %s", before, after)
	}
	if after := r.nb.Nbctl("--bare", "list", "Load_Balancer"); rows != after {
		r.Errorf("a restart has changed\n%s\nto\n%s", rows, after)
	}
	if log := r.log.String(); strings.Contains(log, "Repaired") {
		r.Errorf("a restart has repaired:\n%s", log)
	}
}

// TestRuleRefused has one rule for each thing that is in its way, and takes it out of the way.
func TestRuleRefused(t *testing.T) {
	r := newRig(t)
	r.start()
	r.node("n1", "192.0.2.11")
	r.readySubnet("ovn-default")

	t.Run("somebody else's Service", func(t *testing.T) {
		theirs := &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "slr-theirs", Labels: map[string]string{"a": "b"}},
			Spec:       corev1.ServiceSpec{ClusterIP: "None", Selector: map[string]string{"app": "other"}, Ports: []corev1.ServicePort{{Port: 80}}},
		}
		slice := &discoveryv1.EndpointSlice{
			ObjectMeta:  metav1.ObjectMeta{Namespace: "default", Name: "theirs", Labels: map[string]string{discoveryv1.LabelServiceName: "slr-theirs"}},
			AddressType: discoveryv1.AddressTypeIPv4, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.16.0.77"}}},
			Ports: []discoveryv1.EndpointPort{{Name: ptr.To(""), Port: ptr.To[int32](8080)}},
		}
		r.create(theirs, slice, rule("theirs", "203.0.113.1"))
		if text := r.untilRule("theirs", "ServiceExists"); text != "Service default/slr-theirs is not this rule's: remove it, or give the rule another name" {
			t.Error(text)
		}
		if s := r.serviceOf("theirs"); s.ResourceVersion != theirs.ResourceVersion {
			t.Errorf("it was touched: %+v", s)
		}
		if list := r.nb.Nbctl("lb-list"); strings.Contains(list, "203.0.113.1:") {
			t.Errorf("it is served:\n%s", list)
		}
		r.must(r.client.Delete(t.Context(), theirs))
		r.untilRule("theirs", "Ready")
	})
	t.Run("no Namespace", func(t *testing.T) {
		lost := rule("lost", "203.0.113.2")
		lost.Spec.Namespace = "not-yet"
		r.create(lost)
		if text := r.untilRule("lost", "NamespaceNotFound"); text != "spec.namespace: there is no Namespace not-yet" {
			t.Error(text)
		}
		if err := r.client.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "not-yet"}}); err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatal(err)
		}
		r.untilRule("lost", "Ready")
	})
	t.Run("a Pod's address", func(t *testing.T) {
		r.create(pod("default", "has", "n1", map[string]string{v1.AnnotationIPAddress: "10.16.0.50"}))
		r.allocated("default", "has")
		r.create(rule("way", "10.16.0.50"))
		if text := r.untilRule("way", "Conflict"); text != "10.16.0.50 is in use: IP has.default of Subnet ovn-default" {
			t.Error(text)
		}
		r.deletePod("default", "has")
		r.untilRule("way", "Ready")
		late := pod("default", "late", "n1", map[string]string{v1.AnnotationIPAddress: "10.16.0.50"})
		r.create(late)
		r.event("late", "10.16.0.50 is held by vip-10-16-0-50")
	})
	t.Run("an older rule", func(t *testing.T) {
		first := rule("b-first", "203.0.113.3")
		r.create(first)
		r.untilRule("b-first", "Ready")
		r.nextSecond(first)
		r.create(rule("a-second", "203.0.113.3"))
		if text := r.untilRule("a-second", "Conflict"); text != "203.0.113.3:80 tcp belongs to SwitchLBRule b-first" {
			t.Error(text)
		}
		r.must(r.client.Delete(t.Context(), first))
		r.untilRule("a-second", "Ready")
	})
	t.Run("an older Service", func(t *testing.T) {
		s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "old"}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}}}
		r.create(s)
		r.create(rule("service", s.Spec.ClusterIP))
		if text := r.untilRule("service", "Conflict"); text != s.Spec.ClusterIP+":80 tcp belongs to Service default/old" {
			t.Error(text)
		}
		r.must(r.client.Delete(t.Context(), s))
		r.untilRule("service", "Ready")
	})
	t.Run("a younger Service", func(*testing.T) {
		first := rule("service-first", "203.0.113.4")
		r.create(first)
		r.untilRule("service-first", "Ready")
		r.nextSecond(first)
		r.create(&corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "younger"},
			Spec:       corev1.ServiceSpec{ExternalIPs: []string{"203.0.113.4"}, Ports: []corev1.ServicePort{{Port: 80}}},
		})
		r.event("younger", "203.0.113.4:80 tcp belongs to SwitchLBRule service-first")
	})
}

// nextSecond returns when what is created now is younger than obj, by the clock of the API server, which counts seconds.
func (r *rig) nextSecond(obj client.Object) {
	r.Helper()
	for n := 0; ; n++ {
		probe := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprintf("now-%d", n)}}
		r.create(probe)
		r.must(r.client.Delete(r.Context(), probe))
		if probe.CreationTimestamp.After(obj.GetCreationTimestamp().Time) {
			return
		}
	}
}
