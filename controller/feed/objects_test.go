package feed_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/heddle-net/heddle/controller/feed"
	v1 "github.com/heddle-net/heddle/crds/v1"
)

func TestIP(t *testing.T) {
	cases := []struct {
		name string
		spec v1.IPSpec
		want string
	}{
		{"all fields", v1.IPSpec{IPAddress: "10.66.0.7,fd00::7", V4IPAddress: "10.66.0.7", V6IPAddress: "fd00::7", MacAddress: "0a:58:0a:42:00:07"}, "0a:58:0a:42:00:07 10.66.0.7 fd00::7"},
		{"IPv6 first", v1.IPSpec{IPAddress: "fd00::7,10.66.0.7", MacAddress: "0a:58:0a:42:00:07"}, "0a:58:0a:42:00:07 10.66.0.7 fd00::7"},
		{"one of each field", v1.IPSpec{V6IPAddress: "fd00::7", IPAddress: "10.66.0.7"}, "0a:58:0a:42:00:07 10.66.0.7 fd00::7"},
		{"the fields of one family win", v1.IPSpec{V4IPAddress: "10.66.0.8", IPAddress: "10.66.0.7"}, "0a:58:0a:42:00:08 10.66.0.8"},
		{"IPv6 only, MAC derived", v1.IPSpec{V6IPAddress: "fd00:10:66::7"}, "0a:58:07:6d:9e:7c fd00:10:66::7"},
		{"upper case", v1.IPSpec{V6IPAddress: "FD00::A", MacAddress: "0A:58:0A:42:00:07"}, "0a:58:0a:42:00:07 fd00::a"},
		{"other MAC forms", v1.IPSpec{V4IPAddress: "10.66.0.7", MacAddress: "0a58.0a42.0007"}, "0a:58:0a:42:00:07 10.66.0.7"},
		{"IPv4 written as IPv6", v1.IPSpec{V6IPAddress: "::ffff:10.66.0.7"}, "0a:58:0a:42:00:07 10.66.0.7"},
		{"blanks", v1.IPSpec{IPAddress: " 10.66.0.7 , fd00::7"}, "0a:58:0a:42:00:07 10.66.0.7 fd00::7"},
		{"one field unreadable", v1.IPSpec{IPAddress: "auto", V4IPAddress: "10.66.0.7"}, "0a:58:0a:42:00:07 10.66.0.7"},
		{"nothing", v1.IPSpec{MacAddress: "0a:58:0a:42:00:07"}, ""},
		{"zone", v1.IPSpec{V6IPAddress: "fe80::7%eth0", IPAddress: "fe80::7%eth0"}, ""},
		{"MAC is a word", v1.IPSpec{V4IPAddress: "10.66.0.7", MacAddress: "unknown"}, ""},
		{"MAC and an address", v1.IPSpec{V4IPAddress: "10.66.0.7", MacAddress: "0a:58:0a:42:00:07 10.66.0.1"}, ""},
		{"MAC of a group", v1.IPSpec{V4IPAddress: "10.66.0.7", MacAddress: "01:00:5e:00:00:01"}, ""},
	}
	for _, c := range cases {
		got := ""
		if ip := feed.IP(&v1.IP{ObjectMeta: metav1.ObjectMeta{Name: "x"}, Spec: c.spec}); ip != nil {
			got = ip.Addresses()
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestNode(t *testing.T) {
	cases := []struct{ name, addresses, want string }{
		{"several", "InternalIP=192.0.2.1 InternalIP=2001:db8::1 InternalIP=192.0.2.9", "192.0.2.1 2001:db8::1 192.0.2.9"},
		{"other types", "ExternalIP=203.0.113.1 Hostname=192.0.2.7 InternalDNS=192.0.2.8", ""},
		{"twice, and as IPv6", "InternalIP=192.0.2.1 InternalIP=192.0.2.1 InternalIP=::ffff:192.0.2.1", "192.0.2.1"},
		{"upper case", "InternalIP=2001:DB8::A", "2001:db8::a"},
		{"zone", "InternalIP=fe80::1%eth0 InternalIP=192.0.2.1", "192.0.2.1"},
		{"unreadable", "InternalIP= InternalIP=n1.example InternalIP=192.0.2 InternalIP=192.0.2.1/24", ""},
	}
	for _, c := range cases {
		obj := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}}
		for _, a := range strings.Fields(c.addresses) {
			kind, address, _ := strings.Cut(a, "=")
			obj.Status.Addresses = append(obj.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeAddressType(kind), Address: address})
		}
		var want []netip.Addr
		for _, a := range strings.Fields(c.want) {
			want = append(want, netip.MustParseAddr(a))
		}
		if n := feed.Node(obj); n.Name != "n1" || !slices.Equal(n.InternalIPs, want) {
			t.Errorf("%s: got %v, want %v", c.name, n.InternalIPs, want)
		}
	}
}

func TestPod(t *testing.T) {
	phases := map[corev1.PodPhase]bool{"": true, corev1.PodPending: true, corev1.PodRunning: true, corev1.PodUnknown: true, corev1.PodSucceeded: false, corev1.PodFailed: false}
	for phase, want := range phases {
		for _, host := range []bool{false, true} {
			for _, node := range []string{"", "n1"} {
				obj := &corev1.Pod{
					ObjectMeta: metav1.ObjectMeta{Namespace: "blue", Name: "web", UID: "u1", Labels: map[string]string{"tier": "", "app": "web"}},
					Spec:       corev1.PodSpec{NodeName: node, HostNetwork: host}, Status: corev1.PodStatus{Phase: phase},
				}
				got, want := feed.Pod(obj), want && !host && node != ""
				if (got != nil) != want {
					t.Errorf("phase %q, host network %t, node %q: %+v", phase, host, node, got)
				}
				if got != nil && fmt.Sprintf("%+v", *got) != "{Namespace:blue Name:web UID:u1 Node:n1 Labels:app=web,tier=}" {
					t.Errorf("got %+v", *got)
				}
			}
		}
	}
}

func TestNamespace(t *testing.T) {
	obj := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "blue", Labels: map[string]string{"b": "2", "a": "1"}}}
	if got := fmt.Sprintf("%+v", *feed.Namespace(obj)); got != "{Name:blue Labels:a=1,b=2}" {
		t.Errorf("got %s", got)
	}
}

func TestRequirements(t *testing.T) {
	expressions := func(list ...metav1.LabelSelectorRequirement) metav1.LabelSelector {
		return metav1.LabelSelector{MatchExpressions: list}
	}
	cases := []struct {
		selector metav1.LabelSelector
		want     string
	}{
		{metav1.LabelSelector{}, "[]"},
		{metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}, "[app=web]"},
		{expressions(metav1.LabelSelectorRequirement{Key: "app", Operator: "In", Values: []string{"a", "b"}}), "[app in (a,b)]"},
		{expressions(metav1.LabelSelectorRequirement{Key: "app", Operator: "NotIn", Values: []string{"a", "b"}}), "[app notin (a,b)]"},
		{expressions(metav1.LabelSelectorRequirement{Key: "a", Operator: "Exists"}, metav1.LabelSelectorRequirement{Key: "b", Operator: "DoesNotExist"}), "[a !b]"},
	}
	for _, c := range cases {
		if got, err := feed.Requirements(c.selector); err != nil || fmt.Sprint(got) != c.want {
			t.Errorf("%+v: %v, %v, want %s", c.selector, got, err, c.want)
		}
	}
	if got, err := feed.Requirements(expressions(metav1.LabelSelectorRequirement{Key: "a", Operator: "Like"})); err == nil {
		t.Errorf("an unknown operator gives %v", got)
	}
}

func TestVpc(t *testing.T) {
	obj := &v1.Vpc{ObjectMeta: metav1.ObjectMeta{Name: "red"}, Spec: v1.VpcSpec{Namespaces: []string{"blue"}, EnableBfd: true}}
	if got := fmt.Sprintf("%+v", *feed.Vpc(obj)); got != "{Name:red Unsupported:[namespaces enableBfd]}" {
		t.Errorf("got %s", got)
	}
}

// TestTrim shows that an object means the same to the converters, and to who asks for annotations, after it was trimmed.
func TestTrim(t *testing.T) {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "blue", Name: "web", UID: "u1", Annotations: map[string]string{"a": "b"}, Labels: map[string]string{"c": "d"},
			ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "m"}},
		},
		Spec: corev1.PodSpec{NodeName: "n1", Containers: []corev1.Container{{Name: "main"}}}, Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.66.0.7"},
	}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}, Spec: corev1.NodeSpec{PodCIDR: "10.1.0.0/24"}, Status: corev1.NodeStatus{
		Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "192.0.2.1"}}, Images: []corev1.ContainerImage{{Names: []string{"x"}}},
	}}
	wantPod, wantNode := fmt.Sprintf("%+v", *feed.Pod(pod)), fmt.Sprintf("%+v", *feed.Node(node))
	for _, obj := range []any{pod, node} {
		if _, err := feed.Trim(obj); err != nil {
			t.Fatal(err)
		}
	}
	if got := fmt.Sprintf("%+v", *feed.Pod(pod)); got != wantPod || pod.Annotations["a"] != "b" || pod.Labels["c"] != "d" {
		t.Errorf("the Pod has lost something: %+v", pod)
	}
	if got := fmt.Sprintf("%+v", *feed.Node(node)); got != wantNode {
		t.Errorf("the Node has lost something: %+v", node)
	}
	if pod.ManagedFields != nil || pod.Spec.Containers != nil || pod.Status.PodIP != "" || node.Spec.PodCIDR != "" || node.Status.Images != nil {
		t.Errorf("not trimmed: %+v, %+v", pod, node)
	}
	other := "not an object"
	if got, err := feed.Trim(other); got != other || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
}
