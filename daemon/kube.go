package daemon

import (
	"context"
	"encoding/json"
	"fmt"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/heddle-net/heddle/crds/heddle"
	v1 "github.com/heddle-net/heddle/crds/v1"
)

// kube are the clients, one per API group in use: client-go's Clientset would link every group there is.
type kube struct {
	metadata     metadata.Interface
	core         rest.Interface
	discovery    rest.Interface
	coordination rest.Interface
	networks     rest.Interface // networking.k8s.io
	heddle       rest.Interface // kubeovn.io
	own          rest.Interface // heddle.dev
}

func newKube(cfg *rest.Config) (*kube, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, discoveryv1.AddToScheme, coordinationv1.AddToScheme, networkingv1.AddToScheme, v1.AddToScheme, heddle.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("register the API types: %w", err)
		}
	}
	k := &kube{}
	var err error
	if k.metadata, err = metadata.NewForConfig(cfg); err != nil {
		return nil, fmt.Errorf("metadata client: %w", err)
	}
	for _, c := range []struct {
		to   *rest.Interface
		gv   schema.GroupVersion
		path string
		kind string
	}{
		{&k.core, corev1.SchemeGroupVersion, "/api", runtime.ContentTypeProtobuf},
		{&k.discovery, discoveryv1.SchemeGroupVersion, "/apis", runtime.ContentTypeProtobuf},
		{&k.networks, networkingv1.SchemeGroupVersion, "/apis", runtime.ContentTypeProtobuf},
		{&k.coordination, coordinationv1.SchemeGroupVersion, "/apis", runtime.ContentTypeProtobuf},
		{&k.heddle, v1.GroupVersion, "/apis", runtime.ContentTypeJSON},
		{&k.own, heddle.GroupVersion, "/apis", runtime.ContentTypeJSON},
	} {
		own := rest.CopyConfig(cfg)
		own.GroupVersion, own.APIPath = &c.gv, c.path
		own.ContentType, own.AcceptContentTypes = c.kind, c.kind+","+runtime.ContentTypeJSON
		own.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
		if *c.to, err = rest.RESTClientFor(own); err != nil {
			return nil, fmt.Errorf("client of %s: %w", c.gv, err)
		}
	}
	return k, nil
}

// annotateNode sets one annotation of a Node.
func (k *kube) annotateNode(ctx context.Context, node, key, value string) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{key: value}}})
	if err != nil {
		return fmt.Errorf("annotate Node %s: %w", node, err)
	}
	nodes := k.metadata.Resource(corev1.SchemeGroupVersion.WithResource("nodes"))
	if _, err := nodes.Patch(ctx, node, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		return fmt.Errorf("annotate Node %s: %w", node, err)
	}
	return nil
}

// GetResolver is domain.API's.
func (k *kube) GetResolver(ctx context.Context, name string) (*v1.DNSNameResolver, error) {
	obj := &v1.DNSNameResolver{}
	return obj, k.heddle.Get().Resource("dnsnameresolvers").Name(name).Do(ctx).Into(obj)
}

// UpdateResolverStatus is domain.API's.
func (k *kube) UpdateResolverStatus(ctx context.Context, obj *v1.DNSNameResolver) error {
	return k.heddle.Put().Resource("dnsnameresolvers").Name(obj.Name).SubResource("status").Body(obj).Do(ctx).Error()
}
