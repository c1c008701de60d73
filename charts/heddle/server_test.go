package heddle

import (
	"bytes"
	"context"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"github.com/heddle-net/heddle/e2e/sandbox/controlplane"
)

// cluster is a real API server without nodes, and the chart's life on it.
type cluster struct {
	*controlplane.ControlPlane
	client kubernetes.Interface
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	cp := controlplane.ForTest(t, controlplane.Options{})
	client, err := kubernetes.NewForConfig(cp.Config())
	if err != nil {
		t.Fatal(err)
	}
	return &cluster{cp, client}
}

// helm runs a command that changes the release.
func (c *cluster) helm(t *testing.T, values string, args ...string) {
	t.Helper()
	args = append(args, "--namespace=kube-system", "--kubeconfig="+c.Kubeconfig())
	if out, err := helm(t, values, args...); err != nil {
		t.Fatalf("helm %s: %s", args, out)
	}
}

func (c *cluster) upgrade(t *testing.T, values string) {
	t.Helper()
	c.helm(t, values, "upgrade", "--install", "heddle", ".", "--values=-")
}

func (c *cluster) secret(t *testing.T, name string) *corev1.Secret {
	t.Helper()
	s, err := c.client.CoreV1().Secrets("kube-system").Get(context.Background(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (c *cluster) serial(t *testing.T) *big.Int {
	t.Helper()
	return leaf(t, c.secret(t, "heddle-ovn-tls")).SerialNumber
}

// TestInstallUpgradeUninstall goes through a release's life on a real API server.
func TestInstallUpgradeUninstall(t *testing.T) {
	c := newCluster(t)
	t.Run("CRDs of another are taken over when asked", c.takesOver)
	t.Run("every kind of object is accepted", c.acceptsAll)
	t.Run("certificates are kept and renewed", c.keepsCertificates)
	t.Run("rights", c.rights)
	t.Run("teardown leaves Open vSwitch running", c.teardown)
	t.Run("uninstall keeps what users made", c.uninstall)
}

// takesOver finds CRDs that helm did not make, as Kube-OVN leaves them.
func (c *cluster) takesOver(t *testing.T) {
	paths, err := filepath.Glob("files/crds/*.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatal(paths, err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		crd := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(data, crd); err != nil {
			t.Fatal(err)
		}
		if _, err := c.crds().Create(context.Background(), crd, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	install := []string{"upgrade", "--install", "heddle", ".", "--namespace=kube-system", "--kubeconfig=" + c.Kubeconfig()}
	if out, err := helm(t, "", install...); err == nil || !strings.Contains(out, "invalid ownership metadata") {
		t.Errorf("error %v, %s", err, out)
	}
	if out, err := helm(t, "", append(install, "--take-ownership")...); err != nil {
		t.Fatal(out)
	}
}

func (c *cluster) crds() dynamic.ResourceInterface {
	return dynamic.NewForConfigOrDie(c.Config()).Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
}

// acceptsAll installs with each set of values, because validation by the server finds what decoding cannot.
func (c *cluster) acceptsAll(t *testing.T) {
	for _, values := range []string{
		"network: {defaultSubnet: {cidr: '10.16.0.0/16,fd00:10:16::/112'}, datapath: netdev}\napiServer: {host: 192.0.2.1}",
		"controller: {replicas: 1, nodeSelector: {a: b}}\nmetrics: {enabled: false}\nimagePullSecrets: [{name: x}]",
		"ovnCentral: {storage: {type: persistentVolumeClaim}}",
		"ovnCentral: {storage: {type: emptyDir}}",
		"",
	} {
		c.upgrade(t, values)
	}
}

func (c *cluster) keepsCertificates(t *testing.T) {
	ca, before := c.secret(t, "heddle-ovn-ca"), c.serial(t)
	c.upgrade(t, "")
	if now := c.serial(t); now.Cmp(before) != 0 {
		t.Error("an upgrade made a new certificate")
	}
	secrets := c.client.CoreV1().Secrets("kube-system")
	if err := secrets.Delete(context.Background(), "heddle-ovn-tls", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	c.upgrade(t, "")
	afterDelete := c.serial(t)
	if afterDelete.Cmp(before) == 0 {
		t.Error("a deleted certificate is back as it was")
	}
	c.age(t)
	c.upgrade(t, "")
	if c.serial(t).Cmp(afterDelete) == 0 {
		t.Error("a certificate past half of its time is kept")
	}
	if now := c.secret(t, "heddle-ovn-ca"); !bytes.Equal(now.Data["tls.key"], ca.Data["tls.key"]) || !bytes.Equal(c.secret(t, "heddle-ovn-tls").Data["ca.crt"], ca.Data["tls.crt"]) {
		t.Error("the CA changed: old and new certificates do not trust each other")
	}
}

// age makes the certificate look as if half of its time was over, in the name of helm, which owns it.
func (c *cluster) age(t *testing.T) {
	t.Helper()
	old, err := applycorev1.ExtractSecret(c.secret(t, "heddle-ovn-tls"), "helm")
	if err != nil {
		t.Fatal(err)
	}
	old.WithAnnotations(map[string]string{"heddle.net/renew-after": "2001-01-01"})
	if _, err := c.client.CoreV1().Secrets("kube-system").Apply(context.Background(), old, metav1.ApplyOptions{FieldManager: "helm"}); err != nil {
		t.Fatal(err)
	}
}

// rights asks the API server what the service accounts may do.
func (c *cluster) rights(t *testing.T) {
	type ask struct{ user, verb, group, resource, sub, namespace string }
	for a, want := range map[ask]bool{
		{"heddle-controller", "patch", "", "pods", "", "default"}:                           true,
		{"heddle-controller", "update", "", "pods", "", "default"}:                          false,
		{"heddle-controller", "delete", "", "pods", "", "default"}:                          false,
		{"heddle-controller", "patch", "", "nodes", "status", ""}:                           false,
		{"heddle-controller", "create", "kubeovn.io", "ips", "", ""}:                        true,
		{"heddle-controller", "patch", "kubeovn.io", "subnets", "status", ""}:               true,
		{"heddle-controller", "update", "coordination.k8s.io", "leases", "", "kube-system"}: true,
		{"heddle-controller", "update", "coordination.k8s.io", "leases", "", "default"}:     false,
		{"heddle-controller", "create", "events.k8s.io", "events", "", "default"}:           true,
		{"heddle-controller", "list", "", "secrets", "", "kube-system"}:                     false,
		{"heddle-daemon", "watch", "", "pods", "", "default"}:                               true,
		{"heddle-daemon", "patch", "", "pods", "", "default"}:                               false,
		{"heddle-daemon", "patch", "", "nodes", "", ""}:                                     true,
		{"heddle-daemon", "watch", "discovery.k8s.io", "endpointslices", "", "kube-system"}: true,
		{"heddle-daemon", "patch", "discovery.k8s.io", "endpointslices", "", "kube-system"}: false,
		{"heddle-daemon", "watch", "discovery.k8s.io", "endpointslices", "", "default"}:     true,
		{"heddle-daemon", "watch", "", "services", "", "default"}:                           true,
		{"heddle-daemon", "patch", "", "services", "", "default"}:                           false,
		{"heddle-daemon", "watch", "kubeovn.io", "subnets", "", ""}:                         true,
		{"heddle-daemon", "update", "kubeovn.io", "subnets", "", ""}:                        false,
		{"heddle-daemon", "get", "", "secrets", "", "kube-system"}:                          false,
		{"heddle-ovs", "get", "", "pods", "", "default"}:                                    false,
		{"heddle-ovn-central", "get", "", "pods", "", "default"}:                            false,
	} {
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User: "system:serviceaccount:kube-system:" + a.user,
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Verb: a.verb, Group: a.group, Resource: a.resource, Subresource: a.sub, Namespace: a.namespace,
			},
		}}
		got, err := c.client.AuthorizationV1().SubjectAccessReviews().Create(context.Background(), review, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got.Status.Allowed != want {
			t.Errorf("%+v: allowed %v, want %v", a, got.Status.Allowed, want)
		}
	}
}

// teardown: the daemon's Pods clean the nodes with the help of Open vSwitch, and nothing makes anew what they remove.
func (c *cluster) teardown(t *testing.T) {
	c.upgrade(t, "teardown: true")
	if left, want := c.workloads(t), []string{"heddle-daemon", "heddle-ovs"}; !slices.Equal(left, want) {
		t.Errorf("workloads %v, want %v", left, want)
	}
}

func (c *cluster) workloads(t *testing.T) []string {
	t.Helper()
	var names []string
	daemonSets, err := c.client.AppsV1().DaemonSets("kube-system").List(context.Background(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range daemonSets.Items {
		names = append(names, o.Name)
	}
	deployments, err := c.client.AppsV1().Deployments("kube-system").List(context.Background(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range deployments.Items {
		names = append(names, o.Name)
	}
	slices.Sort(names)
	return names
}

// uninstall keeps the CRDs with every Subnet, and the certificates; a new install takes them over.
func (c *cluster) uninstall(t *testing.T) {
	before := c.serial(t)
	c.helm(t, "", "uninstall", "heddle")
	if _, err := c.crds().Get(context.Background(), "subnets.kubeovn.io", metav1.GetOptions{}); err != nil {
		t.Error("the CRD is gone:", err)
	}
	if got := c.workloads(t); len(got) > 0 {
		t.Error("left:", got)
	}
	if _, err := c.client.RbacV1().ClusterRoles().Get(context.Background(), "heddle-controller", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Error("the ClusterRole is left:", err)
	}
	c.upgrade(t, "")
	if c.serial(t).Cmp(before) != 0 {
		t.Error("a new install has another certificate")
	}
}
