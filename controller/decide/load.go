package decide

import (
	"context"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/heddle-net/heddle/crds/v1"
)

// load holds what all IP objects say, oldest first, so that of two that claim one address the older keeps it.
func (l *Ledger) load(ctx context.Context) error {
	var list v1.IPList
	if err := l.client.List(ctx, &list); err != nil {
		return fmt.Errorf("list IPs: %w", err)
	}
	if err := l.addMissing(ctx, &list); err != nil {
		return err
	}
	slices.SortStableFunc(list.Items, func(a, b v1.IP) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	for i := range list.Items {
		_ = l.adopt(&list.Items[i]) // the reconciler meets each of them again, and reports
	}
	return nil
}

// addMissing adds the IP objects that the leader before has written last, and that the cache may not have yet.
func (l *Ledger) addMissing(ctx context.Context, list *v1.IPList) error {
	have := make(map[string]bool, len(list.Items))
	for i := range list.Items {
		have[list.Items[i].Name] = true
	}
	names := &metav1.PartialObjectMetadataList{}
	names.SetGroupVersionKind(v1.GroupVersion.WithKind("IPList"))
	for more := true; more; more = names.Continue != "" {
		if err := l.live.List(ctx, names, client.Limit(loadPage), client.Continue(names.Continue)); err != nil {
			return fmt.Errorf("list the names of IPs: %w", err)
		}
		for _, item := range names.Items {
			var obj v1.IP
			if have[item.Name] {
				continue
			}
			if err := l.live.Get(ctx, client.ObjectKey{Name: item.Name}, &obj); client.IgnoreNotFound(err) != nil {
				return fmt.Errorf("get IP %s: %w", item.Name, err)
			} else if err == nil {
				list.Items = append(list.Items, obj)
			}
		}
	}
	return nil
}

// loadPage is the number of names that are read at a time: all of 50,000 would double the memory.
const loadPage = 1000
