package state

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Selector chooses Pods by their Namespace and their labels.
type Selector struct {
	// Namespace is the only one; when it is empty, Namespaces says which.
	Namespace string
	// Namespaces are what the labels of the Namespace must satisfy; none means every Namespace.
	Namespaces []Requirement
	// Pods are what the labels of the Pod must satisfy; none means every Pod.
	Pods []Requirement
}

// Requirement is a condition on one label, with the meaning that it has in metav1.LabelSelector.
type Requirement struct {
	Key      string
	Operator Operator
	Values   []string // of In and NotIn
}

// Operator is the kind of a Requirement.
type Operator uint8

// Operators. NotIn holds, too, when there is no such label.
const (
	In Operator = iota
	NotIn
	Exists
	DoesNotExist
)

// canonical is a selector in the one form that all with the same meaning share, as far as it can be seen without looking at
// objects: each key once or twice, in order, values in order, contradictions found.
type canonical struct {
	namespace        string
	namespaces, pods []Requirement
	never            bool // nothing can satisfy it
}

func (s Selector) canonical() canonical {
	c := canonical{namespace: s.Namespace}
	var never [2]bool
	if s.Namespace == "" {
		c.namespaces, never[0] = fold(s.Namespaces)
	}
	c.pods, never[1] = fold(s.Pods)
	if never[0] || never[1] {
		return canonical{never: true}
	}
	return c
}

// constraint is all that is required of one key.
type constraint struct {
	limited       bool // to in
	in, notIn     []string
	exists, lacks bool
}

// fold brings what is required of each key together.
func fold(requirements []Requirement) (folded []Requirement, never bool) {
	byKey := make(map[string]*constraint, len(requirements))
	for _, r := range requirements {
		if byKey[r.Key] == nil {
			byKey[r.Key] = &constraint{}
		}
		byKey[r.Key].add(r)
	}
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		list := byKey[key].requirements(key)
		if list == nil && !byKey[key].void() {
			return nil, true
		}
		folded = append(folded, list...)
	}
	return folded, false
}

func (c *constraint) add(r Requirement) {
	switch r.Operator {
	case In:
		values := slices.Compact(slices.Sorted(slices.Values(r.Values)))
		if c.limited {
			values = slices.DeleteFunc(values, func(v string) bool { return !slices.Contains(c.in, v) })
		}
		c.limited, c.in = true, values
	case NotIn:
		c.notIn = append(c.notIn, r.Values...)
	case Exists:
		c.exists = true
	case DoesNotExist:
		c.lacks = true
	}
}

// void tells whether nothing is required, as by NotIn without values.
func (c *constraint) void() bool { return !c.limited && !c.exists && !c.lacks && len(c.notIn) == 0 }

// requirements are the shortest with that meaning; none when nothing can satisfy them.
func (c *constraint) requirements(key string) (list []Requirement) {
	slices.Sort(c.notIn)
	notIn := slices.Compact(c.notIn)
	switch {
	case c.lacks && (c.exists || c.limited):
		return nil
	case c.lacks:
		return []Requirement{{Key: key, Operator: DoesNotExist}}
	case c.limited:
		in := slices.DeleteFunc(c.in, func(v string) bool { return slices.Contains(notIn, v) })
		if len(in) == 0 {
			return nil
		}
		return []Requirement{{Key: key, Operator: In, Values: in}}
	}
	if c.exists {
		list = append(list, Requirement{Key: key, Operator: Exists})
	}
	if len(notIn) > 0 {
		list = append(list, Requirement{Key: key, Operator: NotIn, Values: notIn})
	}
	return list
}

// String is the key of the group: for people, and different for different selectors. It begins with the Namespace, or with the
// requirements on Namespaces in brackets.
func (c canonical) String() string {
	switch {
	case c.never:
		return "nothing"
	case c.namespace != "":
		return word(c.namespace) + ":" + requirementsText(c.pods)
	}
	return "[" + requirementsText(c.namespaces) + "]:" + requirementsText(c.pods)
}

// requirementsText prints requirements as kubectl reads them in --selector.
func requirementsText(requirements []Requirement) string {
	texts := make([]string, len(requirements))
	for i, r := range requirements {
		texts[i] = r.String()
	}
	return strings.Join(texts, ",")
}

func (r Requirement) String() string {
	values := make([]string, len(r.Values))
	for i, v := range r.Values {
		values[i] = word(v)
	}
	list := "(" + strings.Join(values, ",") + ")"
	switch {
	case r.Operator == Exists:
		return word(r.Key)
	case r.Operator == DoesNotExist:
		return "!" + word(r.Key)
	case r.Operator == In && len(values) == 1:
		return word(r.Key) + "=" + values[0]
	case r.Operator == In:
		return word(r.Key) + " in " + list
	case len(values) == 1:
		return word(r.Key) + "!=" + values[0]
	}
	return word(r.Key) + " notin " + list
}

// word quotes what is no label: no value can pass for two, or for an operator.
func word(s string) string {
	odd := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.' && r != '/'
	}
	if strings.IndexFunc(s, odd) >= 0 {
		return strconv.Quote(s)
	}
	return s
}

// matches tells whether the selector chooses a Pod with these labels in a Namespace with those. nil is a Namespace that is not
// known: no requirement on Namespaces is satisfied there.
func (s *Selector) matches(pod *Pod, namespace *Namespace) bool {
	switch {
	case s.Namespace != "":
		return s.Namespace == pod.Namespace && satisfies(pod.Labels, s.Pods)
	case len(s.Namespaces) > 0 && (namespace == nil || !satisfies(namespace.Labels, s.Namespaces)):
		return false
	}
	return satisfies(pod.Labels, s.Pods)
}

func (c *canonical) matches(pod *Pod, namespace *Namespace) bool {
	s := Selector{c.namespace, c.namespaces, c.pods}
	return !c.never && s.matches(pod, namespace)
}

func satisfies(labels Labels, requirements []Requirement) bool {
	for _, r := range requirements {
		value, ok := labels.Get(r.Key)
		switch r.Operator {
		case In:
			ok = ok && slices.Contains(r.Values, value)
		case NotIn:
			ok = !ok || !slices.Contains(r.Values, value)
		case DoesNotExist:
			ok = !ok
		}
		if !ok {
			return false
		}
	}
	return true
}
