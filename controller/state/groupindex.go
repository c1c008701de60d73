package state

// groupIndex finds the groups that a Pod may be in. Each group is filed under one thing that its Pods' Namespace must be and
// one label that its Pods must have, so that most groups are never looked at.
type groupIndex map[term]map[term][]*group

// term is a Namespace by name (key ""), a label with its value, a label with any value, or anything.
type term struct{ key, value string }

var anything = term{}

// anyValue is no value that a label can have.
const anyValue = "\x00"

// terms are those under which the group is filed: one for each value that is allowed.
func (c *canonical) terms() (namespaces, pods []term) {
	if c.namespace != "" {
		return []term{{"", c.namespace}}, termsOf(c.pods)
	}
	return termsOf(c.namespaces), termsOf(c.pods)
}

// termsOf prefers the shortest list of values, then a label that must be there.
func termsOf(requirements []Requirement) []term {
	var best *Requirement
	for i := range requirements {
		r := &requirements[i]
		switch {
		case r.Operator != In && r.Operator != Exists:
		case best == nil, r.Operator == In && (best.Operator == Exists || len(r.Values) < len(best.Values)):
			best = r
		}
	}
	switch {
	case best == nil:
		return []term{anything}
	case best.Operator == Exists:
		return []term{{best.Key, anyValue}}
	}
	terms := make([]term, len(best.Values))
	for i, value := range best.Values {
		terms[i] = term{best.Key, value}
	}
	return terms
}

func (x groupIndex) add(g *group) {
	if g.never {
		return
	}
	namespaces, pods := g.terms()
	for _, n := range namespaces {
		if x[n] == nil {
			x[n] = make(map[term][]*group)
		}
		for _, p := range pods {
			x[n][p] = append(x[n][p], g)
		}
	}
}

func (x groupIndex) remove(g *group) {
	if g.never {
		return
	}
	namespaces, pods := g.terms()
	for _, n := range namespaces {
		for _, p := range pods {
			x[n][p] = without(x[n][p], g)
			if len(x[n][p]) == 0 {
				delete(x[n], p)
			}
		}
		if len(x[n]) == 0 {
			delete(x, n)
		}
	}
}

func without(list []*group, g *group) []*group {
	kept := make([]*group, 0, len(list))
	for _, other := range list {
		if other != g {
			kept = append(kept, other)
		}
	}
	return kept
}

// of lists the groups that choose a Pod, each once.
func (x groupIndex) of(pod *Pod, namespace *Namespace) (found []*group) {
	if len(x) == 0 {
		return nil
	}
	look := func(n term) {
		if filed := x[n]; filed != nil {
			found = lookup(filed, pod, namespace, found)
		}
	}
	look(anything)
	look(term{"", pod.Namespace})
	if namespace != nil {
		for key, value := range namespace.Labels.All() {
			look(term{key, value})
			look(term{key, anyValue})
		}
	}
	return found
}

func lookup(filed map[term][]*group, pod *Pod, namespace *Namespace, found []*group) []*group {
	look := func(p term) {
		for _, g := range filed[p] {
			if g.matches(pod, namespace) {
				found = append(found, g)
			}
		}
	}
	look(anything)
	for key, value := range pod.Labels.All() {
		look(term{key, value})
		look(term{key, anyValue})
	}
	return found
}
