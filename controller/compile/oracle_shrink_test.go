package compile_test

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/heddle-net/heddle/controller/verdict"
)

// shrinking is how many clusters are tried to make a case small.
const shrinking = 200

// smallest is the case of a disagreement, made small. One that shows only when a cluster has become this one by a change comes with
// the cluster before.
func (o *oracle) smallest(before, c *verdict.Cluster, q question) string {
	o.t.Helper()
	last := ""
	persists := func(clusters ...*verdict.Cluster) bool {
		for i, c := range clusters {
			if !bound(c) {
				return false
			}
			if i == 0 {
				o.restart(c)
			} else {
				o.follow(rand.New(rand.NewPCG(1, 1)), c)
			}
		}
		now := clusters[len(clusters)-1]
		if _, reason := now.Allowed(q.Packet); strings.Contains(reason.Ends, "not in the") {
			return false
		}
		d := o.compare(now, q)
		if d != "" {
			last = d
		}
		return d != ""
	}
	if persists(c) || before == nil {
		return o.format(verdict.Shrink(c, shrinking, func(c *verdict.Cluster) bool { return persists(c) }), last)
	}
	if !persists(before, c) {
		return "It shows neither from the start nor by the last change alone; this is the cluster, and the one before:\n" + o.format(c, last) + o.format(before, "")
	}
	before = verdict.Shrink(before, shrinking, func(b *verdict.Cluster) bool { return persists(b, c) })
	c = verdict.Shrink(c, shrinking, func(c *verdict.Cluster) bool { return persists(before, c) })
	return "It shows only by a change from the second one of these clusters:\n" + o.format(c, last) + o.format(before, "")
}

func (o *oracle) format(c *verdict.Cluster, comment string) string {
	o.t.Helper()
	text, err := c.Format("case", comment)
	if err != nil {
		o.t.Fatal(err)
	}
	return string(text)
}

// bound tells whether the nodes are on the chassis that they were on: only the last ones may go.
func bound(c *verdict.Cluster) bool {
	for i, node := range c.Nodes {
		if node.Name != fmt.Sprintf("n%d", i) {
			return false
		}
	}
	return len(c.Nodes) > 0
}
