package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/heddle-net/heddle/crds/v1"
)

const (
	agnhostImage = "registry.k8s.io/e2e-test-images/agnhost:2.63.0"
	podPort      = 8080 // of agnhost in Pods, TCP and UDP
)

func ptr[T any](v T) *T { return &v }

// create creates an object, and deletes it when the test ends.
func (e *env) create(t testing.TB, obj client.Object) {
	t.Helper()
	if err := e.client.Create(t.Context(), obj); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		e.explain(t, obj)
		e.remove(t, obj)
		e.awaitGone(t, obj)
	})
}

// remove asks for the deletion of an object, which may be gone already.
func (e *env) remove(t testing.TB, obj client.Object) {
	t.Helper()
	if err := e.client.Delete(context.WithoutCancel(t.Context()), obj); client.IgnoreNotFound(err) != nil {
		t.Error(err)
	}
}

// update changes an object as it is now.
func update[T client.Object](t testing.TB, e *env, obj T, change func(T)) {
	t.Helper()
	if err := e.client.Get(t.Context(), client.ObjectKeyFromObject(obj), obj); err != nil {
		t.Fatal(err)
	}
	patch := client.MergeFrom(obj.DeepCopyObject().(client.Object))
	change(obj)
	if err := e.client.Patch(t.Context(), obj, patch); err != nil {
		t.Fatal(err)
	}
}

// namespace makes a Namespace.
func (e *env) namespace(t testing.TB, name string, labels map[string]string) string {
	t.Helper()
	t.Cleanup(func() { e.nothingLeft(t, name) })
	e.create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}})
	return name
}

// nothingLeft looks for parts of Pods of a Namespace that is gone.
func (e *env) nothingLeft(t testing.TB, namespace string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), timeLimit)
	defer cancel()
	var ips v1.IPList
	if err := e.client.List(ctx, &ips); err != nil {
		t.Error(err)
	}
	for _, ip := range ips.Items {
		if ip.Spec.Namespace == namespace {
			t.Errorf("IP %s is left over", ip.Name)
		}
	}
	seen := map[string]string{}
	ports, err := inCentral(ctx, e.Cluster, "nb", "ovn-nbctl", "--bare", "--columns=name", "list", "Logical_Switch_Port")
	if err != nil {
		t.Error(err)
	}
	seen["NB"] = ports
	for _, node := range e.Nodes() {
		if seen[node], err = e.Run(ctx, node, "ovs-vsctl", "--bare", "--columns=external_ids", "list", "Interface"); err != nil {
			t.Error(err)
		}
	}
	for where, text := range seen {
		for word := range strings.FieldsSeq(text) {
			if strings.HasSuffix(word, "."+namespace) {
				t.Errorf("port %s is left over in %s", word, where)
			}
		}
	}
}

// subnet makes a Subnet, with changes where the test needs them, and waits until it is Ready.
func (e *env) subnet(t testing.TB, name, cidr string, change func(*v1.SubnetSpec)) *v1.Subnet {
	t.Helper()
	obj := &v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1.SubnetSpec{CIDRBlock: cidr}}
	if change != nil {
		change(&obj.Spec)
	}
	e.create(t, obj)
	await(t, e, obj, subnetReady)
	return obj
}

func subnetReady(s *v1.Subnet) string {
	for _, c := range s.Status.Conditions {
		if c.Type == v1.ConditionReady {
			if c.Status == corev1.ConditionTrue {
				return ""
			}
			return fmt.Sprintf("not Ready: %s: %s", c.Reason, c.Message)
		}
	}
	return "no condition Ready"
}

// pod is a Pod that runs agnhost's servers and is Ready when the kubelet has reached one of them. A node may be named.
func pod(namespace, name, node string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Annotations: map[string]string{}},
		Spec: corev1.PodSpec{
			NodeName:                      node,
			TerminationGracePeriodSeconds: ptr(int64(1)),
			EnableServiceLinks:            ptr(false),
			AutomountServiceAccountToken:  ptr(false),
			Containers:                    []corev1.Container{agnhost(podPort)},
		},
	}
}

func agnhost(port int) corev1.Container {
	return corev1.Container{
		Name: "agnhost", Image: agnhostImage,
		Args:         []string{"netexec", fmt.Sprint("--http-port=", port), fmt.Sprint("--udp-port=", port)},
		StartupProbe: probe("/healthz", port),
	}
}

// probe is one of the kubelet's over HTTP. A startup probe ends with its first success, so that it costs nothing later.
func probe(path string, port int) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler:     corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromInt(port)}},
		PeriodSeconds:    1,
		FailureThreshold: 120,
		TimeoutSeconds:   5,
	}
}

// inSubnet lets a Pod name its Subnet.
func inSubnet(p *corev1.Pod, subnet string) *corev1.Pod {
	p.Annotations[v1.AnnotationLogicalSwitch] = subnet
	return p
}

// withAddress lets a Pod ask for addresses.
func withAddress(p *corev1.Pod, addresses string) *corev1.Pod {
	p.Annotations[v1.AnnotationIPAddress] = addresses
	return p
}

// start creates Pods at once, and waits until all are Ready.
func (e *env) start(t testing.TB, pods ...*corev1.Pod) time.Duration {
	t.Helper()
	began := time.Now()
	e.post(t, pods...)
	for _, p := range pods {
		await(t, e, p, podReady)
	}
	return time.Since(began)
}

// post creates Pods at once, and deletes them at once when the test ends.
func (e *env) post(t testing.TB, pods ...*corev1.Pod) {
	t.Helper()
	t.Cleanup(func() {
		e.explain(t, pods[0])
		e.stop(t, pods...)
	})
	for _, p := range pods {
		if err := e.client.Create(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
}

// stop deletes Pods, and waits until they and their addresses are gone.
func (e *env) stop(t testing.TB, pods ...*corev1.Pod) time.Duration {
	t.Helper()
	began := time.Now()
	for _, p := range pods {
		e.remove(t, p)
	}
	for _, p := range pods {
		e.awaitGone(t, p)
		e.awaitGone(t, &v1.IP{ObjectMeta: metav1.ObjectMeta{Name: ipName(p)}})
	}
	return time.Since(began)
}

func ipName(p *corev1.Pod) string { return p.Name + "." + p.Namespace }

func podReady(p *corev1.Pod) string {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
			return ""
		}
	}
	var states []string
	for _, s := range p.Status.ContainerStatuses {
		if s.State.Waiting != nil {
			states = append(states, s.State.Waiting.Reason+" "+s.State.Waiting.Message)
		}
	}
	return fmt.Sprintf("not Ready: phase %s, annotations %v %s", p.Status.Phase, p.Annotations, strings.Join(states, ", "))
}

// addresses of a Pod, as Kubernetes shows them.
func addresses(p *corev1.Pod) []netip.Addr {
	var list []netip.Addr
	for _, ip := range p.Status.PodIPs {
		list = append(list, netip.MustParseAddr(ip.IP))
	}
	return list
}

// ofFamily is the first address of a family, or none.
func ofFamily(list []netip.Addr, v6 bool) netip.Addr {
	if i := slices.IndexFunc(list, func(a netip.Addr) bool { return a.Is6() == v6 }); i >= 0 {
		return list[i]
	}
	return netip.Addr{}
}

// exec runs a command in a Pod and returns what it writes.
func (e *env) exec(t testing.TB, p *corev1.Pod, args ...string) string {
	t.Helper()
	return e.kubectl(t, append([]string{"-n", p.Namespace, "exec", p.Name, "--"}, args...)...)
}
