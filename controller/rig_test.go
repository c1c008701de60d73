package controller_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	eventsv1 "k8s.io/api/events/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"
	"sigs.k8s.io/yaml"

	"github.com/heddle-net/heddle/crds"
	v1 "github.com/heddle-net/heddle/crds/v1"
	"github.com/heddle-net/heddle/e2e/sandbox/controlplane"
	"github.com/heddle-net/heddle/ovs/ovstest"
)

// binary is the heddle-controller under test.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "heddle-controller")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "heddle-controller")
	if out, err := exec.Command("go", "build", "-o", binary, "../cmd/heddle-controller").CombinedOutput(); err != nil {
		panic(fmt.Sprintf("build heddle-controller: %v\n%s", err, out))
	}
	code := m.Run()
	if plane != nil {
		_ = plane.Stop()
	}
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// plane is the control plane that all tests share, one after the other: it takes seconds to start, and a moment to empty.
var plane *controlplane.ControlPlane

func sharedPlane(t testing.TB) *controlplane.ControlPlane {
	t.Helper()
	if plane == nil {
		p, err := controlplane.Start(context.Background(), controlplane.Options{ServiceCIDRs: []string{"10.96.0.0/16", "fd00:10:96::/112"}})
		if err != nil {
			t.Fatal(err)
		}
		plane = p
	}
	return plane
}

// rig is a real API server, real OVN databases and the real controller; kubelets are missing, so Pods are bound to nodes by
// hand.
type rig struct {
	testing.TB
	plane  *controlplane.ControlPlane
	client client.WithWatch
	nb, sb *ovstest.Server

	process *exec.Cmd
	log     *lockedBuffer
}

func newRig(t testing.TB) *rig {
	t.Helper()
	r := &rig{
		TB: t, plane: sharedPlane(t),
		nb: ovstest.StartServer(t, ovstest.NorthboundSchema), sb: ovstest.StartServer(t, ovstest.SouthboundSchema),
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		clientgoscheme.AddToScheme, v1.AddToScheme, apiextensionsv1.AddToScheme, v1alpha1.Install, v1alpha2.Install,
	} {
		r.must(add(scheme))
	}
	c, err := client.NewWithWatch(r.plane.Config(), client.Options{Scheme: scheme})
	r.must(err)
	r.client = c
	r.installCRDs()
	r.empty()
	t.Cleanup(r.kill)
	return r
}

// empty removes what the test before has left.
func (r *rig) empty() {
	r.Helper()
	r.wipe(&v1.SwitchLBRuleList{}, &v1.SecurityGroupList{}, &corev1.PodList{}, &v1.IPList{}, &v1.SubnetList{}, &v1.VpcList{}, &corev1.NodeList{}, &eventsv1.EventList{}, &corev1.ServiceList{}, &discoveryv1.EndpointSliceList{}, &networkingv1.ServiceCIDRList{},
		&v1alpha1.AdminNetworkPolicyList{}, &v1alpha1.BaselineAdminNetworkPolicyList{}, &v1alpha2.ClusterNetworkPolicyList{}, &v1.DNSNameResolverList{})
	var namespaces corev1.NamespaceList
	r.must(r.client.List(r.Context(), &namespaces))
	for i := range namespaces.Items {
		if ns := &namespaces.Items[i]; len(ns.Annotations) > 0 {
			ns.Annotations = nil
			r.must(r.client.Update(r.Context(), ns))
		}
	}
}

// wipe removes all objects of these kinds, finalizers or not.
func (r *rig) wipe(lists ...client.ObjectList) {
	r.Helper()
	for _, list := range lists {
		r.must(r.client.List(r.Context(), list))
		r.must(meta.EachListItem(list, func(item runtime.Object) error {
			obj := item.(client.Object)
			if obj.GetNamespace() == "default" && obj.GetName() == "kubernetes" {
				return nil // the API server's own
			}
			if _, ok := obj.(*networkingv1.ServiceCIDR); ok && obj.GetName() == "kubernetes" {
				return nil // the same
			}
			if len(obj.GetFinalizers()) > 0 {
				obj.SetFinalizers(nil)
				if err := r.client.Update(r.Context(), obj); err != nil {
					return err
				}
			}
			return client.IgnoreNotFound(r.client.Delete(r.Context(), obj, client.GracePeriodSeconds(0)))
		}))
	}
}

func (r *rig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

func (r *rig) installCRDs() {
	r.must(fs.WalkDir(crds.FS, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(crds.FS, path)
		if err != nil {
			return err
		}
		var crd apiextensionsv1.CustomResourceDefinition
		if err := yaml.Unmarshal(data, &crd); err != nil {
			return err
		}
		if err := r.client.Create(r.Context(), &crd); err != nil {
			return client.IgnoreAlreadyExists(err)
		}
		r.wait(&apiextensionsv1.CustomResourceDefinitionList{}, "CRD "+crd.Name+" is established", func(obj client.Object) bool {
			c := obj.(*apiextensionsv1.CustomResourceDefinition)
			return c.Name == crd.Name && len(c.Status.Conditions) > 1 && c.Status.Conditions[1].Status == "True"
		})
		return nil
	}))
}

// start runs the controller.
func (r *rig) start(args ...string) {
	r.Helper()
	r.log = &lockedBuffer{}
	r.process = exec.Command(binary, append([]string{
		"--kubeconfig", r.plane.Kubeconfig(), "--ovn-nb-addr", r.nb.Endpoint, "--ovn-sb-addr", r.sb.Endpoint,
		"--leader-elect=false", "--metrics-bind-address=0", "--health-probe-bind-address=0",
	}, args...)...)
	r.process.Stderr = r.log
	r.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	r.must(r.process.Start())
}

// kill ends the controller as kill -9 does.
func (r *rig) kill() {
	if r.process == nil {
		return
	}
	_ = r.process.Process.Kill()
	_ = r.process.Wait()
	r.process = nil
	if r.Failed() {
		r.Logf("heddle-controller ends with\n%s", r.log.tail(20))
	}
}

// fromCache starts a watch with what the API server's cache holds. Without it the server first brings its cache up to date,
// which it cannot do with an etcd that knows no progress requests: the call hangs until the next change of the kind.
var fromCache = &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: "0"}}

// wait watches a kind until one object satisfies ok, or fails after a minute.
func (r *rig) wait(list client.ObjectList, what string, ok func(client.Object) bool) client.Object {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), time.Minute)
	defer cancel()
	var last client.Object
	for ctx.Err() == nil { // the API server may end a watch at any time
		w, err := r.client.Watch(ctx, list, fromCache)
		if err != nil {
			break
		}
		for e := range w.ResultChan() {
			if obj, isObject := e.Object.(client.Object); isObject && e.Type != watch.Deleted {
				if ok(obj) {
					w.Stop()
					return obj
				}
				last = obj
			}
		}
	}
	r.Fatalf("waited in vain until %s; last seen: %+v", what, last)
	return nil
}

// waitGone returns when the object is deleted.
func (r *rig) waitGone(obj client.Object, list client.ObjectList) {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), time.Minute)
	defer cancel()
	for ctx.Err() == nil {
		w, err := r.client.Watch(ctx, list, fromCache)
		r.must(err)
		if err := r.client.Get(ctx, client.ObjectKeyFromObject(obj), obj); apierrors.IsNotFound(err) {
			w.Stop()
			return
		}
		for e := range w.ResultChan() {
			if gone, isObject := e.Object.(client.Object); isObject && e.Type == watch.Deleted && gone.GetName() == obj.GetName() {
				w.Stop()
				return
			}
		}
	}
	r.Fatalf("waited in vain until %s is gone", obj.GetName())
}

func (r *rig) create(objects ...client.Object) {
	r.Helper()
	for _, obj := range objects {
		r.must(r.client.Create(r.Context(), obj))
	}
}

func (r *rig) node(name, ip string) {
	r.Helper()
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
	r.create(node)
	before := node.DeepCopy() // a patch: the controller may have written to the Node meanwhile
	node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: ip}}
	r.must(r.client.Status().Patch(r.Context(), node, client.MergeFrom(before)))
}

func pod(namespace, name, node string, annotations map[string]string) *corev1.Pod {
	zero := int64(0)
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Annotations: annotations},
		Spec: corev1.PodSpec{
			NodeName: node, TerminationGracePeriodSeconds: &zero, Containers: []corev1.Container{{Name: "c", Image: "i"}},
		},
	}
}

// allocated waits until the Pod has its annotations, and returns it.
func (r *rig) allocated(namespace, name string) *corev1.Pod {
	r.Helper()
	return r.wait(&corev1.PodList{}, "Pod "+name+" has an address", func(obj client.Object) bool {
		return obj.GetNamespace() == namespace && obj.GetName() == name && obj.GetAnnotations()[v1.AnnotationAllocated] == "true"
	}).(*corev1.Pod)
}

func (r *rig) readySubnet(name string) *v1.Subnet {
	r.Helper()
	return r.wait(&v1.SubnetList{}, "Subnet "+name+" is Ready", func(obj client.Object) bool {
		ready := readyOf(obj.(*v1.Subnet).Status.Conditions)
		return obj.GetName() == name && ready.Status == corev1.ConditionTrue
	}).(*v1.Subnet)
}

func readyOf(conditions []v1.Condition) v1.Condition {
	return conditionOf(conditions, v1.ConditionReady)
}

func conditionOf(conditions []v1.Condition, kind v1.ConditionType) v1.Condition {
	for _, c := range conditions {
		if c.Type == kind {
			return c
		}
	}
	return v1.Condition{}
}

// ports lists the switch ports with their addresses, one to a line.
func (r *rig) ports() string {
	r.Helper()
	return r.nb.Nbctl("--bare", "--columns=name,addresses", "list", "Logical_Switch_Port")
}

// deletePod removes a Pod at once, as a kubelet does when the containers are gone.
func (r *rig) deletePod(namespace, name string) {
	r.Helper()
	r.must(r.client.Delete(r.Context(), pod(namespace, name, "", nil), client.GracePeriodSeconds(0)))
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// tail returns the last lines.
func (l *lockedBuffer) tail(n int) string {
	lines := strings.Split(strings.TrimSpace(l.String()), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
