package verdict

import (
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Shrink takes away from a cluster what it can while persists stays true: policies, rules, peers, ports, Pods, labels,
// expressions, ranges. It ends after so many questions to persists, or when nothing more can go. The cluster itself is not
// changed.
func Shrink(c *Cluster, questions int, persists func(*Cluster) bool) *Cluster {
	for progress := true; progress; {
		progress = false
		for n := 0; ; questions-- {
			smaller := c.clone()
			if cut := (&cutter{n}); !cut.value(reflect.ValueOf(smaller).Elem(), "") {
				break
			}
			if questions <= 0 {
				return c
			}
			if persists(smaller) {
				c, progress = smaller, true // what was the next cut has this number now
			} else {
				n++
			}
		}
	}
	return c
}

// clone copies all that can be cut.
func (c *Cluster) clone() *Cluster {
	return &Cluster{
		Namespaces: clones(c.Namespaces), Pods: clones(c.Pods), Nodes: clones(c.Nodes),
		NetworkPolicies: clones(c.NetworkPolicies), AdminNetworkPolicies: clones(c.AdminNetworkPolicies),
		BaselineAdminNetworkPolicies: clones(c.BaselineAdminNetworkPolicies), ClusterNetworkPolicies: clones(c.ClusterNetworkPolicies),
		SecurityGroups: clones(c.SecurityGroups), Subnets: clones(c.Subnets),
	}
}

func clones[T interface{ DeepCopy() T }](list []T) []T {
	copies := make([]T, len(list))
	for i, o := range list {
		copies[i] = o.DeepCopy()
	}
	return copies
}

// cutter makes the n-th cut that is possible.
type cutter struct{ n int }

// mine counts the cuts down to the one that is to be made.
func (k *cutter) mine() bool {
	k.n--
	return k.n < 0
}

// value goes through a value and tells whether it has made the cut.
func (k *cutter) value(v reflect.Value, field string) bool {
	switch v.Kind() {
	case reflect.Pointer:
		return !v.IsNil() && (optional[field] && k.drop(v) || k.value(v.Elem(), field))
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() && k.value(v.Field(i), v.Type().Field(i).Name) {
				return true
			}
		}
	case reflect.Slice:
		return k.slice(v, field)
	case reflect.Map:
		return k.entry(v)
	}
	return false
}

// optional are the pointers that may be missing whatever their neighbours are.
var optional = map[string]bool{"EndPort": true, "Ports": true, "Protocol": true}

func (k *cutter) drop(v reflect.Value) bool {
	if !k.mine() {
		return false
	}
	v.SetZero()
	return true
}

// required are the lists that the API wants an element of, in some kind at least.
var required = map[string]bool{"From": true, "To": true, "Ports": true, "Protocols": true, "Networks": true, "Values": true}

// slice takes away a half of a long list, or one element, or something in an element.
func (k *cutter) slice(v reflect.Value, field string) bool {
	n := v.Len()
	if n >= 4 {
		if k.mine() {
			v.Set(v.Slice(n/2, n))
			return true
		}
		if k.mine() {
			v.Set(v.Slice(0, n/2))
			return true
		}
	}
	if n > 1 || n == 1 && !required[field] {
		for i := range n {
			if k.mine() {
				v.Set(reflect.AppendSlice(v.Slice3(0, i, i), v.Slice(i+1, n)))
				return true
			}
		}
	}
	for i := range n {
		if k.value(v.Index(i), "") {
			return true
		}
	}
	return false
}

// entry takes a label away, in the order of their keys.
func (k *cutter) entry(v reflect.Value) bool {
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	for _, key := range keys {
		if key.String() != corev1.LabelMetadataName && k.mine() {
			v.SetMapIndex(key, reflect.Value{})
			return true
		}
	}
	return false
}
