package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// openCell is a question of the table of who reaches whom, and the last answer.
type openCell struct {
	name   string
	asker  asker
	at     frontend
	want   bool
	answer string
}

// cellSilence is how long a cell of the table waits. What is allowed and does not answer in that time is asked again.
const cellSilence = 500 * time.Millisecond

// untilAsWanted asks until all is as it should be, or the time is over, and returns what is not.
func untilAsWanted(t *testing.T, what string, cells []*openCell) (open []*openCell) {
	t.Helper()
	rounds := 0
	open = slices.Clone(cells)
	for deadline := time.Now().Add(timeLimit); len(open) > 0 && time.Now().Before(deadline); rounds++ {
		askCells(t, open)
		open = slices.DeleteFunc(open, func(c *openCell) bool { return c.want == (c.answer != isSilent) })
	}
	for _, c := range open[:min(len(open), 8)] {
		t.Errorf("%s: %s: %q, want an answer: %t", what, c.name, c.answer, c.want)
	}
	t.Logf("%s: %d of %d cells as wanted after %d rounds", what, len(cells)-len(open), len(cells), rounds)
	return open
}

// askCells asks many at a time: most of those that are forbidden wait in vain.
func askCells(t *testing.T, cells []*openCell) {
	t.Helper()
	var group errgroup.Group
	group.SetLimit(100)
	for _, c := range cells {
		group.Go(func() error {
			c.answer = c.asker.briefly(t.Context(), c.at, cellSilence)
			return nil
		})
	}
	_ = group.Wait()
}

// policyFlow is what a table of expectations is asked about, by the names of its places.
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

// expectFlows has everybody ask everybody else.
func expectFlows(t *testing.T, what string, places []policyPlace, v6 bool, allowed func(policyFlow) bool) {
	t.Helper()
	var cells []*openCell
	for _, from := range places {
		for _, to := range places {
			for _, port := range []int{podPort, otherPort} {
				for _, protocol := range []string{"tcp", "udp"} {
					if from.place == to.place {
						continue
					}
					cells = append(cells, &openCell{
						name: fmt.Sprintf("%s to %s port %d by %s", from.place, to.place, port, protocol), asker: from.asker,
						at:   frontend{protocol: protocol, target: target(ofFamily(to.sources, v6), int32(port))},
						want: allowed(policyFlow{from.place, to.place, port, protocol}),
					})
				}
			}
		}
	}
	untilAsWanted(t, what, cells)
}
