package daemon

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"github.com/heddle-net/heddle/crds/heddle"
	v1 "github.com/heddle-net/heddle/crds/v1"
	"github.com/heddle-net/heddle/daemon/domain"
	"github.com/heddle-net/heddle/daemon/host"
	"github.com/heddle-net/heddle/daemon/port"
	"github.com/heddle-net/heddle/daemon/service"
)

// nodeFacts is what the daemon needs of a Node.
type nodeFacts struct {
	name, uid         string
	ip, mac, cidr, gw string // the join network, from the annotations
	chassis           string // annotation
	internalIPs       []netip.Addr
	zone              string // label

	excluded, ready bool // from load balancing by the well-known label; as its condition says
}

// subnetFacts is what the daemon needs of a Subnet beyond what port does.
type subnetFacts struct {
	host.Subnet
	overlay bool // an OVN switch of the default VPC
	l2      bool // addresses of the nodes' own network
}

// tables are filled by the watches. Each watch also sets the signals of the loops that read its objects.
type tables struct {
	pods         port.Pods
	subnets      port.Table[port.Subnet]
	networks     port.Table[subnetFacts]
	nodes        port.Table[nodeFacts]
	services     *service.Index
	southbound   port.Table[discoveryv1.EndpointSlice]
	serviceCIDRs port.Table[[]netip.Prefix]
	namespaces   port.Table[v1.QoS]
	mirrors      port.Table[*heddle.TrafficMirror]
	dns          port.Table[[]netip.Addr] // the addresses of the cluster's DNS
	tunnel       port.Table[netip.Addr]   // one row, with the empty key, once this node's tunnel address is known
}

// signal wakes a loop; several sets before it looks are one.
type signal chan struct{}

func newSignal() signal { return make(signal, 1) }

func (s signal) set() {
	select {
	case s <- struct{}{}:
	default:
	}
}

func setAll(signals []signal) {
	for _, s := range signals {
		s.set()
	}
}

// source is one watch: where objects come from, how they are trimmed before they are kept, and what becomes of them.
type source[T runtime.Object] struct {
	lw      cache.ListerWatcher
	example T
	trim    func(T) T
	put     func(key string, object T)
	remove  func(key string)
	wake    []signal
}

func (s *source[T]) informer() cache.Controller {
	_, c := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: s.lw,
		ObjectType:    s.example,
		Transform: func(object any) (any, error) {
			if o, ok := object.(T); ok {
				return s.trim(o), nil
			}
			return object, nil // the tombstone of a delete that the watch has missed
		},
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc: s.set, UpdateFunc: func(_, object any) { s.set(object) }, DeleteFunc: s.delete,
		},
	})
	return c
}

func (s *source[T]) set(object any) {
	o, ok := object.(T)
	key, err := cache.MetaNamespaceKeyFunc(object)
	if ok && err == nil {
		s.put(key, o)
		s.notify()
	}
}

func (s *source[T]) delete(object any) {
	if key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(object); err == nil {
		s.remove(key)
		s.notify()
	}
}

func (s *source[T]) notify() { setAll(s.wake) }

// feed runs all watches. synced is closed when each has told its first list: an empty table means something from then on.
type feed struct {
	sources []interface{ informer() cache.Controller }
	synced  chan struct{}
	wake    []signal // set then
}

// Run watches until ctx is done. The reflectors reconnect for ever.
func (f *feed) Run(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	var wait []cache.InformerSynced
	for _, source := range f.sources {
		c := source.informer()
		wait = append(wait, c.HasSynced)
		running.Go(func() { c.RunWithContext(ctx) })
	}
	if cache.WaitForCacheSync(ctx.Done(), wait...) {
		close(f.synced)
		setAll(f.wake)
	}
	<-ctx.Done()
	return nil
}

func (f *feed) isSynced() error {
	select {
	case <-f.synced:
		return nil
	default:
		return errors.New("the API server has not told everything yet")
	}
}

func listWatch(list func(context.Context, metav1.ListOptions) (runtime.Object, error), watch func(context.Context, metav1.ListOptions) (watch.Interface, error)) *cache.ListWatch {
	return &cache.ListWatch{ListWithContextFunc: list, WatchFuncWithContext: watch}
}

// podSource watches the metadata of this node's Pods: the API server leaves spec and status out.
func (k *kube) podSource(nodeName string, t *tables, reshape signal, mirrored ...signal) *source[*metav1.PartialObjectMetadata] {
	pods := k.metadata.Resource(corev1.SchemeGroupVersion.WithResource("pods"))
	selector := fields.OneTermEqualSelector("spec.nodeName", nodeName).String()
	return &source[*metav1.PartialObjectMetadata]{
		example: &metav1.PartialObjectMetadata{},
		lw: listWatch(func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.FieldSelector = selector
			return pods.List(ctx, o)
		}, func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.FieldSelector = selector
			return pods.Watch(ctx, o)
		}),
		trim: func(m *metav1.PartialObjectMetadata) *metav1.PartialObjectMetadata {
			return &metav1.PartialObjectMetadata{ObjectMeta: trimMeta(m.ObjectMeta)}
		},
		put: func(key string, m *metav1.PartialObjectMetadata) {
			old, _ := t.pods.Get(key)
			pod := port.PodFrom(m.Namespace, m.Name, string(m.UID), m.Annotations)
			t.pods.Put(key, pod)
			if !old.QoS.Equal(pod.QoS) {
				reshape.set()
			}
			if old.Mirror != pod.Mirror {
				setAll(mirrored)
			}
		},
		remove: func(key string) {
			old, _ := t.pods.Get(key)
			t.pods.Delete(key)
			if old.Mirror {
				setAll(mirrored)
			}
		},
	}
}

// trimMeta keeps identity and the annotations that are read.
func trimMeta(m metav1.ObjectMeta) metav1.ObjectMeta {
	out := metav1.ObjectMeta{Namespace: m.Namespace, Name: m.Name, UID: m.UID, ResourceVersion: m.ResourceVersion}
	for k, v := range m.Annotations {
		if !strings.HasPrefix(k, v1.AnnotationPrefix) && k != port.AnnotationMirror {
			continue
		}
		if out.Annotations == nil {
			out.Annotations = map[string]string{}
		}
		out.Annotations[k] = v
	}
	return out
}

// namespaceSource watches the metadata of Namespaces, for what they ask of their Pods' traffic.
func (k *kube) namespaceSource(t *tables, reshape signal) *source[*metav1.PartialObjectMetadata] {
	namespaces := k.metadata.Resource(corev1.SchemeGroupVersion.WithResource("namespaces"))
	return &source[*metav1.PartialObjectMetadata]{
		example: &metav1.PartialObjectMetadata{},
		lw: listWatch(func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			return namespaces.List(ctx, o)
		}, func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			return namespaces.Watch(ctx, o)
		}),
		trim: func(m *metav1.PartialObjectMetadata) *metav1.PartialObjectMetadata {
			return &metav1.PartialObjectMetadata{ObjectMeta: trimMeta(m.ObjectMeta)}
		},
		put: func(key string, m *metav1.PartialObjectMetadata) {
			old, _ := t.namespaces.Get(key)
			q, _ := v1.ParseQoS(m.Annotations)
			t.namespaces.Put(key, q)
			if !old.Equal(q) {
				reshape.set()
			}
		},
		remove: t.namespaces.Delete,
	}
}

func (k *kube) subnetSource(t *tables, join string, reshape signal, wake ...signal) *source[*v1.Subnet] {
	return &source[*v1.Subnet]{
		example: &v1.Subnet{}, wake: wake,
		lw: cache.NewListWatchFromClient(k.heddle, "subnets", "", fields.Everything()),
		trim: func(s *v1.Subnet) *v1.Subnet {
			out := &v1.Subnet{ObjectMeta: trimMeta(s.ObjectMeta)}
			out.Spec.CIDRBlock, out.Spec.Mtu, out.Spec.NatOutgoing = s.Spec.CIDRBlock, s.Spec.Mtu, s.Spec.NatOutgoing
			out.Spec.Vpc, out.Spec.Vlan, out.Spec.Provider = s.Spec.Vpc, s.Spec.Vlan, s.Spec.Provider
			out.Status = v1.SubnetStatus{Conditions: s.Status.Conditions, V4UsingIPs: s.Status.V4UsingIPs, V6UsingIPs: s.Status.V6UsingIPs}
			return out
		},
		put: func(key string, s *v1.Subnet) {
			old, _ := t.subnets.Get(key)
			subnet := port.Subnet{Name: s.Name, MTU: int(s.Spec.Mtu)}
			subnet.QoS, _ = v1.ParseQoS(s.Annotations)
			t.subnets.Put(key, subnet)
			if !old.QoS.Equal(subnet.QoS) {
				reshape.set()
			}
			t.networks.Put(key, subnetFacts{
				Subnet: host.Subnet{Name: s.Name, CIDR: s.Spec.CIDRBlock, NATOutgoing: s.Spec.NatOutgoing},
				overlay: s.InForce() && s.Name != join && s.Spec.Vlan == "" && (s.Spec.Vpc == "" || s.Spec.Vpc == v1.DefaultVpc) &&
					(s.Spec.Provider == "" || s.Spec.Provider == v1.ProviderOVN),
				l2: s.InForce() && s.Spec.Provider == v1.ProviderL2,
			})
		},
		remove: func(key string) { t.subnets.Delete(key); t.networks.Delete(key) },
	}
}

func (k *kube) nodeSource(t *tables, wake ...signal) *source[*corev1.Node] {
	return &source[*corev1.Node]{
		example: &corev1.Node{}, wake: wake,
		lw: cache.NewListWatchFromClient(k.core, "nodes", "", fields.Everything()),
		trim: func(n *corev1.Node) *corev1.Node {
			out := &corev1.Node{ObjectMeta: trimMeta(n.ObjectMeta), Status: corev1.NodeStatus{Addresses: n.Status.Addresses}}
			out.Labels = map[string]string{corev1.LabelTopologyZone: n.Labels[corev1.LabelTopologyZone]}
			if value, excluded := n.Labels[corev1.LabelNodeExcludeBalancers]; excluded {
				out.Labels[corev1.LabelNodeExcludeBalancers] = value
			}
			for _, c := range n.Status.Conditions {
				if c.Type == corev1.NodeReady {
					out.Status.Conditions = []corev1.NodeCondition{{Type: c.Type, Status: c.Status}}
				}
			}
			return out
		},
		put:    func(key string, n *corev1.Node) { t.nodes.Put(key, factsOf(n)) },
		remove: t.nodes.Delete,
	}
}

func factsOf(n *corev1.Node) nodeFacts {
	out := nodeFacts{
		name: n.Name, uid: string(n.UID), chassis: n.Annotations[v1.AnnotationChassis],
		ip: n.Annotations[v1.AnnotationIPAddress], mac: n.Annotations[v1.AnnotationMACAddress],
		cidr: n.Annotations[v1.AnnotationCIDR], gw: n.Annotations[v1.AnnotationGateway],
		ready: slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
			return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
		}),
	}
	out.zone = n.Labels[corev1.LabelTopologyZone]
	_, out.excluded = n.Labels[corev1.LabelNodeExcludeBalancers]
	for _, a := range n.Status.Addresses {
		if ip, err := netip.ParseAddr(a.Address); err == nil && a.Type == corev1.NodeInternalIP {
			out.internalIPs = append(out.internalIPs, ip)
		}
	}
	return out
}

// serviceSource watches Services. The Index wakes who has to know.
func (k *kube) serviceSource(x *service.Index) *source[*corev1.Service] {
	return &source[*corev1.Service]{
		example: &corev1.Service{}, trim: service.TrimService, put: x.PutService, remove: x.DeleteService,
		lw: cache.NewListWatchFromClient(k.core, "services", "", fields.Everything()),
	}
}

func (k *kube) endpointSource(x *service.Index) *source[*discoveryv1.EndpointSlice] {
	return &source[*discoveryv1.EndpointSlice]{
		example: &discoveryv1.EndpointSlice{}, trim: service.TrimSlice, put: x.PutSlice, remove: x.DeleteSlice,
		lw: cache.NewListWatchFromClient(k.discovery, "endpointslices", "", fields.Everything()),
	}
}

// resolverSource watches the names that policies allow. The Book wakes who has to know.
func (k *kube) resolverSource(b *domain.Book) *source[*v1.DNSNameResolver] {
	return &source[*v1.DNSNameResolver]{
		example: &v1.DNSNameResolver{}, put: b.Put, remove: b.Delete,
		lw: cache.NewListWatchFromClient(k.heddle, "dnsnameresolvers", "", fields.Everything()),
		trim: func(r *v1.DNSNameResolver) *v1.DNSNameResolver {
			r.ManagedFields = nil
			return r
		},
	}
}

// mirrorSource watches TrafficMirrors.
func (k *kube) mirrorSource(t *tables, wake ...signal) *source[*heddle.TrafficMirror] {
	return &source[*heddle.TrafficMirror]{
		example: &heddle.TrafficMirror{}, wake: wake, put: t.mirrors.Put, remove: t.mirrors.Delete,
		lw: cache.NewListWatchFromClient(k.own, "trafficmirrors", "", fields.Everything()),
		trim: func(m *heddle.TrafficMirror) *heddle.TrafficMirror {
			m.ManagedFields, m.Status = nil, heddle.TrafficMirrorStatus{}
			return m
		},
	}
}

// dnsSource watches the Service of the cluster's DNS, namespace/name.
func (k *kube) dnsSource(key string, t *tables, wake ...signal) *source[*corev1.Service] {
	namespace, name, _ := strings.Cut(key, "/")
	return &source[*corev1.Service]{
		example: &corev1.Service{}, wake: wake, trim: service.TrimService,
		lw:     cache.NewListWatchFromClient(k.core, "services", namespace, fields.OneTermEqualSelector("metadata.name", name)),
		put:    func(key string, s *corev1.Service) { t.dns.Put(key, service.ClusterIPs(s)) },
		remove: t.dns.Delete,
	}
}

// southboundSource watches the EndpointSlices of the southbound database's Service: nodes reach it without DNS and without
// a ClusterIP, which need a network.
func (k *kube) southboundSource(namespace, service string, t *tables, wake ...signal) *source[*discoveryv1.EndpointSlice] {
	selector := discoveryv1.LabelServiceName + "=" + service
	return &source[*discoveryv1.EndpointSlice]{
		example: &discoveryv1.EndpointSlice{}, wake: wake,
		lw:     cache.NewFilteredListWatchFromClient(k.discovery, "endpointslices", namespace, func(o *metav1.ListOptions) { o.LabelSelector = selector }),
		trim:   func(e *discoveryv1.EndpointSlice) *discoveryv1.EndpointSlice { return e },
		put:    func(key string, e *discoveryv1.EndpointSlice) { t.southbound.Put(key, *e) },
		remove: t.southbound.Delete,
	}
}
