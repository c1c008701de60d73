package daemon

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"github.com/heddle-net/heddle/crds"
	"github.com/heddle-net/heddle/e2e/sandbox/controlplane"
)

// cluster is a real API server with Heddle's kinds, in which the test plays the controller, the scheduler and the kubelet.
type cluster struct {
	*controlplane.ControlPlane
	t      testing.TB
	client dynamic.Interface
}

var resources = map[string]schema.GroupVersionResource{
	"CustomResourceDefinition": {Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"},
	"Subnet":                   {Group: "kubeovn.io", Version: "v1", Resource: "subnets"},
	"Node":                     {Version: "v1", Resource: "nodes"},
	"Pod":                      {Version: "v1", Resource: "pods"},
	"Service":                  {Version: "v1", Resource: "services"},
	"ServiceCIDR":              {Group: "networking.k8s.io", Version: "v1", Resource: serviceCIDRs},
	"Event":                    {Version: "v1", Resource: "events"},
	"EndpointSlice":            {Group: "discovery.k8s.io", Version: "v1", Resource: "endpointslices"},
}

func newCluster(t testing.TB) *cluster {
	t.Helper()
	c := &cluster{ControlPlane: controlplane.ForTest(t, controlplane.Options{}), t: t}
	var err error
	if c.client, err = dynamic.NewForConfig(c.Config()); err != nil {
		t.Fatal(err)
	}
	files, err := crds.FS.ReadDir("manifests")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := crds.FS.ReadFile("manifests/" + f.Name())
		if err != nil {
			t.Fatal(err)
		}
		crd := c.create(string(b))
		c.until("CustomResourceDefinition", "", crd.GetName(), func(o *unstructured.Unstructured) bool {
			conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
			return strings.Contains(fmt.Sprint(conditions), "status:True type:Established")
		})
	}
	return c
}

func (c *cluster) of(kind, namespace string) dynamic.ResourceInterface {
	if namespace == "" {
		return c.client.Resource(resources[kind])
	}
	return c.client.Resource(resources[kind]).Namespace(namespace)
}

func (c *cluster) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	c.t.Cleanup(cancel)
	return ctx
}

// create makes an object of YAML, and writes its status when it has one.
func (c *cluster) create(text string) *unstructured.Unstructured {
	c.t.Helper()
	o := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &o.Object); err != nil {
		c.t.Fatal(err)
	}
	status, hasStatus := o.Object["status"]
	made, err := c.of(o.GetKind(), o.GetNamespace()).Create(c.ctx(), o, metav1.CreateOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	if hasStatus && o.GetKind() == "Node" {
		made.Object["status"] = status
		if made, err = c.of("Node", "").UpdateStatus(c.ctx(), made, metav1.UpdateOptions{}); err != nil {
			c.t.Fatal(err)
		}
	}
	return made
}

func (c *cluster) annotate(kind, namespace, name string, annotations map[string]string) {
	c.t.Helper()
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": annotations}})
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.of(kind, namespace).Patch(c.ctx(), name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		c.t.Fatal(err)
	}
}

// until watches one object until it is as wanted.
func (c *cluster) until(kind, namespace, name string, ok func(*unstructured.Unstructured) bool) {
	c.t.Helper()
	w, err := c.of(kind, namespace).Watch(c.ctx(), metav1.ListOptions{ResourceVersion: "0", FieldSelector: fields.OneTermEqualSelector("metadata.name", name).String()})
	if err != nil {
		c.t.Fatal(err)
	}
	defer w.Stop()
	var last any
	for event := range w.ResultChan() {
		last = event.Object
		if o, is := event.Object.(*unstructured.Unstructured); is && ok(o) {
			return
		}
	}
	c.t.Fatalf("%s %s did not become as wanted in time: %v", kind, name, last)
}

func annotation(key, value string) func(*unstructured.Unstructured) bool {
	return func(o *unstructured.Unstructured) bool {
		m, err := meta.Accessor(o)
		return err == nil && m.GetAnnotations()[key] == value
	}
}
