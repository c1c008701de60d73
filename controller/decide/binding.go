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
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/heddle-net/heddle/crds/v1"
)

// binding knows which Subnets serve the Pods of a Namespace: those that name it or select it, else the default one. Answers
// are kept until a Subnet or the Namespace changes, so that a Pod costs one look-up.
type binding struct {
	reader        client.Reader
	defaultSubnet string

	mu    sync.Mutex
	known map[string][]string // by Namespace
	turn  int                 // counts resets, so that an answer from before one is not kept
}

func newBinding(reader client.Reader, defaultSubnet string) *binding {
	return &binding{reader: reader, defaultSubnet: defaultSubnet, known: make(map[string][]string)}
}

// reset forgets all answers: a Subnet or a Namespace has changed.
func (b *binding) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.known)
	b.turn++
}

// subnets lists the Subnets of a Namespace by name; the first that has an address to give serves a Pod.
func (b *binding) subnets(ctx context.Context, namespace string) ([]string, error) {
	b.mu.Lock()
	list, ok := b.known[namespace]
	turn := b.turn
	b.mu.Unlock()
	if ok {
		return list, nil
	}
	list, err := b.find(ctx, namespace)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.turn == turn {
		b.known[namespace] = list
	}
	return list, nil
}

func (b *binding) find(ctx context.Context, namespace string) ([]string, error) {
	var ns corev1.Namespace
	if err := b.reader.Get(ctx, types.NamespacedName{Name: namespace}, &ns); err != nil {
		return nil, fmt.Errorf("get Namespace %s: %w", namespace, err)
	}
	var list v1.SubnetList
	if err := b.reader.List(ctx, &list); err != nil {
		return nil, fmt.Errorf("list Subnets: %w", err)
	}
	var names, defaults []string
	for i := range list.Items {
		s := &list.Items[i]
		if s.DeletionTimestamp.IsZero() && selects(s, &ns) {
			names = append(names, s.Name)
		}
		if s.DeletionTimestamp.IsZero() && s.Spec.Default {
			defaults = append(defaults, s.Name)
		}
	}
	slices.Sort(names)
	switch {
	case len(names) > 0:
		return names, nil
	case len(defaults) > 0 && !slices.Contains(defaults, b.defaultSubnet):
		slices.Sort(defaults)
		return defaults[:1], nil
	}
	return []string{b.defaultSubnet}, nil
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
