package decide

import (
	"context"
	"fmt"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/heddle-net/heddle/crds/v1"
)

// binding knows which Subnets serve the Pods of a Namespace: those that name it or select it, else the default one.
//
// People apply a Namespace, its Subnet and its Pods at once, and a Pod keeps its address for life. The Subnet was written
// before the Pod, but another watch brings it, which may be late: so the answer for the first Pod of a Namespace comes from
// a list of Subnets that is at least as new as the Pod, by resource version, unless a Subnet that is known claims the
// Namespace. One list serves everybody who waits for it. From then on the watch is believed: a list for each Pod would take
// as long as the address itself, and ten times that where the API server asks etcd for progress first, every 100 ms.
type binding struct {
	cached, live  client.Reader
	defaultSubnet string

	listing sync.Mutex // held while a list is under way

	mu      sync.Mutex
	list    []v1.Subnet
	version string            // resource version of list; empty when a Subnet has changed since
	known   map[string]answer // from list, by Namespace
}

// answer is the Subnets that claim a Namespace.
type answer struct {
	names   []string
	settled bool // that there are none was seen in a list as new as one of its Pods
}

func newBinding(cached, live client.Reader, defaultSubnet string) *binding {
	return &binding{cached: cached, live: live, defaultSubnet: defaultSubnet, known: make(map[string]answer)}
}

// reset forgets what a change of a Subnet or of a Namespace makes doubtful.
func (b *binding) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.known)
	b.version = ""
}

// subnets lists the Subnets of a Namespace by name, as of that resource version or later ("" means any); the first that has an
// address to give serves a Pod.
func (b *binding) subnets(ctx context.Context, namespace, version string) ([]string, error) {
	names, ok, err := b.answer(ctx, namespace, version)
	if ok || err != nil {
		return names, err
	}
	b.listing.Lock()
	defer b.listing.Unlock()
	names, ok, err = b.answer(ctx, namespace, version) // somebody else's list may do
	if ok || err != nil {
		return names, err
	}
	if err := b.refresh(ctx); err != nil {
		return nil, err
	}
	names, _, err = b.answer(ctx, namespace, version)
	return names, err
}

func (b *binding) refresh(ctx context.Context) error {
	var list v1.SubnetList
	if err := b.live.List(ctx, &list); err != nil {
		return fmt.Errorf("list Subnets: %w", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.list, b.version = list.Items, list.ResourceVersion
	clear(b.known)
	return nil
}

// answer reports whether the list that is at hand can answer.
func (b *binding) answer(ctx context.Context, namespace, version string) (names []string, ok bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.version == "" {
		return nil, false, nil
	}
	a, have := b.known[namespace]
	if !have {
		var ns corev1.Namespace
		if err := b.cached.Get(ctx, types.NamespacedName{Name: namespace}, &ns); err != nil {
			return nil, false, fmt.Errorf("get Namespace %s: %w", namespace, err)
		}
		a.names = b.find(&ns)
	}
	a.settled = a.settled || version != "" && !olderThan(b.version, version)
	b.known[namespace] = a
	if len(a.names) > 0 {
		return a.names, true, nil
	}
	return []string{b.fallback()}, a.settled || version == "", nil
}

// olderThan compares resource versions; one that cannot be read is old.
func olderThan(have, want string) bool {
	order, err := resourceversion.CompareResourceVersion(have, want)
	return err != nil || order < 0
}

// find lists the Subnets that claim the Namespace.
func (b *binding) find(ns *corev1.Namespace) []string {
	names := []string{}
	for i := range b.list {
		if s := &b.list[i]; s.DeletionTimestamp.IsZero() && s.Spec.Provider != v1.ProviderL2 && selects(s, ns) {
			names = append(names, s.Name)
		}
	}
	slices.Sort(names)
	return names
}

// fallback is the Subnet of Namespaces that no Subnet claims: the one of the flag, unless only others have spec.default.
func (b *binding) fallback() string {
	var defaults []string
	for i := range b.list {
		if s := &b.list[i]; s.DeletionTimestamp.IsZero() && s.Spec.Provider != v1.ProviderL2 && s.Spec.Default {
			defaults = append(defaults, s.Name)
		}
	}
	if len(defaults) == 0 || slices.Contains(defaults, b.defaultSubnet) {
		return b.defaultSubnet
	}
	return slices.Min(defaults)
}

func selects(s *v1.Subnet, ns *corev1.Namespace) bool {
	if slices.Contains(s.Spec.Namespaces, ns.Name) {
		return true
	}
	return slices.ContainsFunc(s.Spec.NamespaceSelectors, func(ls metav1.LabelSelector) bool {
		selector, err := metav1.LabelSelectorAsSelector(&ls)
		return err == nil && !selector.Empty() && selector.Matches(labels.Set(ns.Labels))
	})
}
