package e2e

import (
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// policyFlow is what a table of expectations is asked about: Pods are namespace/name, such as a/x.
type policyFlow struct {
	from, to string
	port     int
	protocol string
}

// policyPlace is a Pod as tables of expectations name it.
type policyPlace struct {
	asker
	place string
}

// openFlow is a question of the table of who reaches whom, and the last answer.
type openFlow struct {
	policyFlow
	asker  asker
	target string
	want   bool
	answer string
}

// expectFlows asks everybody about everybody until all is as it should be, or the time is over.
func expectFlows(t *testing.T, what string, places []policyPlace, v6 bool, allowed func(policyFlow) bool) {
	t.Helper()
	var open []*openFlow
	for _, from := range places {
		for _, to := range places {
			for _, port := range []int{podPort, otherPort} {
				for _, protocol := range []string{"tcp", "udp"} {
					f := policyFlow{from.place, to.place, port, protocol}
					if from.place != to.place {
						open = append(open, &openFlow{f, from.asker, target(ofFamily(to.sources, v6), int32(port)), allowed(f), ""})
					}
				}
			}
		}
	}
	asked := len(open)
	for deadline := time.Now().Add(timeLimit); len(open) > 0; {
		askFlows(t, open)
		open = slices.DeleteFunc(open, func(c *openFlow) bool { return c.want == (c.answer != isSilent) })
		if time.Now().After(deadline) {
			break
		}
	}
	for _, c := range open[:min(len(open), 8)] {
		t.Errorf("%s: %s to %s port %d by %s: %q, want an answer: %t", what, c.from, c.to, c.port, c.protocol, c.answer, c.want)
	}
	t.Logf("%s: %d of %d as wanted", what, asked-len(open), asked)
}

func askFlows(t *testing.T, flows []*openFlow) {
	t.Helper()
	var group errgroup.Group
	group.SetLimit(100)
	for _, f := range flows {
		group.Go(func() error {
			f.answer = f.asker.briefly(t.Context(), frontend{protocol: f.protocol, target: f.target}, policySilence)
			return nil
		})
	}
	_ = group.Wait()
}
