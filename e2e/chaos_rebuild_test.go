package e2e

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// databaseDir is the chart's ovnCentral.storage.hostPath.
const databaseDir = "/var/lib/heddle/ovn"

// TestDatabasesDeleted deletes the files of NB and SB and kills their servers. Everything is made anew from Kubernetes
// and from the nodes, and no Pod starts again.
func TestDatabasesDeleted(t *testing.T) {
	c := newChaos(t)
	must(t, c.churn.settle(t.Context()))
	before, rows := c.containers(t), c.switches(t)
	for _, f := range c.flows {
		f.reset()
	}
	central := c.central(t)
	m, err := c.sandbox.Machine(central)
	must(t, err)
	started := time.Now()
	for _, name := range []string{"ovnnb_db.db", "ovnsb_db.db"} {
		must(t, os.Remove(m.Path(databaseDir+"/"+name)))
	}
	for _, name := range []string{"ovnnb_db", "ovnsb_db"} {
		must(t, c.sandbox.Kill(central, "ovsdb-server", name))
	}
	c.runPod(t, "new", c.sandbox.Nodes()[1])
	t.Logf("a new Pod runs after %.1f s", time.Since(started).Seconds())
	c.agree(t, agreeLimit)
	t.Logf("all is there again after %.1f s", time.Since(started).Seconds())
	c.checkFlows(t, victim{})
	c.checkAnswers(t)
	c.awaitComponents(t)
	c.checkFreshController(t)
	if switches := c.switches(t); switches == rows {
		t.Errorf("the switches are those of before: %s", switches)
	}
	if after := c.containers(t); !slices.Equal(before, after[:min(len(before), len(after))]) {
		t.Errorf("Pods' containers were\n%s\nand are\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
	}
}

// switches are the names and UUIDs in NB.
func (c *chaos) switches(t *testing.T) string {
	t.Helper()
	said, err := inCentral(t.Context(), c.sandbox, "nb", "ovn-nbctl", "ls-list")
	must(t, err)
	return said
}

// settle makes the workers' Pods and returns when they run.
func (c *churn) settle(ctx context.Context) error {
	var group errgroup.Group
	for i := range c.workers {
		group.Go(func() error {
			pod, err := c.create(ctx, i)
			if err != nil {
				return err
			}
			return c.await(ctx, pod, isRunning)
		})
	}
	return group.Wait()
}

// containers lists the test's Pods but the new one, with the containers that run.
func (c *chaos) containers(t *testing.T) (list []string) {
	t.Helper()
	for _, pod := range c.pods(t, c.namespace) {
		if pod.Name == "new" {
			continue
		}
		for _, s := range pod.Status.ContainerStatuses {
			list = append(list, fmt.Sprintf("%s %s %s", pod.Name, pod.UID, s.ContainerID))
		}
	}
	slices.Sort(list)
	return list
}

// TestRestartChangesNothing restarts what may restart at any time without a change on the node: not one row, flow, link,
// address, route or rule.
func TestRestartChangesNothing(t *testing.T) {
	c := newChaos(t)
	must(t, c.churn.settle(t.Context()))
	c.agree(t, agreeLimit)
	for _, v := range []victim{
		{name: "heddle-daemon", kill: onNodes("heddle-daemon"), component: "daemon", container: "daemon"},
		{name: "containerd", kill: onNodes("containerd")},
		{name: "kubelet", kill: onNodes("kubelet")},
	} {
		t.Run(v.name, func(t *testing.T) {
			before := c.photographs(t)
			restarts := c.restarts(t, v)
			for _, f := range c.flows {
				f.reset()
			}
			v.kill(c, t)
			if v.container != "" {
				c.awaitRestarts(t, v, restarts)
			}
			c.awaitComponents(t)
			// One more Pod has come and gone on each node: whoever restarted is at work again.
			for _, node := range c.sandbox.Nodes() {
				pod := c.runPod(t, "witness-"+node, node)
				must(t, c.churn.remove(t.Context(), pod, false))
			}
			c.checkFlows(t, v)
			c.agree(t, agreeLimit)
			after := c.photographs(t)
			for i := range before {
				before[i].compare(t, after[i])
			}
			if t.Failed() {
				t.Log(c.sandbox.Kubectl(t.Context(), "", "-n", c.namespace, "get", "events"))
			}
		})
	}
}

// photograph is all that Heddle keeps on a node, as the tools print it.
type photograph struct {
	node  string
	parts map[string]string
}

// cameras are the tools, with what changes by itself left out.
var cameras = map[string][]string{
	"OVS bridges":    {"ovs-vsctl", "--columns=_uuid,name,ports,external_ids,other_config,datapath_type,fail_mode", "list", "Bridge"},
	"OVS ports":      {"ovs-vsctl", "--columns=_uuid,name,interfaces,external_ids,other_config", "list", "Port"},
	"OVS interfaces": {"ovs-vsctl", "--columns=_uuid,name,type,ofport,options,external_ids,mac_in_use,ifindex", "list", "Interface"},
	"OVS settings":   {"ovs-vsctl", "--columns=_uuid,external_ids,other_config,bridges", "list", "Open_vSwitch"},
	"flows":          {"ovs-ofctl", "--no-stats", "--names", "dump-flows", "br-int"},
	"links":          {"ip", "-o", "-d", "link"},
	"addresses":      {"ip", "-o", "addr"},
	"routes":         {"ip", "route", "show", "table", "all"},
	"IPv6 routes":    {"ip", "-6", "route", "show", "table", "all"},
	"rules":          {"ip", "rule"},
}

func (c *chaos) photographs(t *testing.T) (all []photograph) {
	t.Helper()
	for _, node := range c.sandbox.Nodes() {
		m, err := c.sandbox.Machine(node)
		must(t, err)
		p := photograph{node: node, parts: map[string]string{}}
		for name, args := range cameras {
			said, err := m.Run(t.Context(), args...)
			must(t, err)
			p.parts[name] = sorted(said)
		}
		p.parts["nftables"] = c.nftables(t, node)
		all = append(all, p)
	}
	return all
}

// nftables asks the nft of the daemon's image: an older one cannot print what a newer one has written.
func (c *chaos) nftables(t *testing.T, node string) string {
	t.Helper()
	for _, pod := range c.components(t, "daemon") {
		if pod.Spec.NodeName == node {
			said, err := c.sandbox.Kubectl(t.Context(), "", "-n", pod.Namespace, "exec", pod.Name, "--", "nft", "--stateless", "list", "ruleset")
			must(t, err)
			return said
		}
	}
	t.Fatalf("no daemon on %s", node)
	return ""
}

// sorted makes blocks of lines, or lines, comparable: their order means nothing.
func sorted(text string) string {
	separator := "\n"
	if strings.Contains(text, "\n\n") {
		separator = "\n\n"
	}
	parts := strings.Split(strings.TrimSpace(text), separator)
	slices.Sort(parts)
	return strings.Join(parts, separator)
}

func (p photograph) compare(t *testing.T, after photograph) {
	t.Helper()
	for name, before := range p.parts {
		if before != after.parts[name] {
			t.Errorf("%s: %s changed:\n%s", p.node, name, difference(before, after.parts[name]))
		}
	}
}

// difference lists the lines that one text has and the other has not.
func difference(before, after string) string {
	var out strings.Builder
	lines := func(s string) []string { return strings.Split(s, "\n") }
	for _, d := range []struct{ sign, of, without string }{{"-", before, after}, {"+", after, before}} {
		without := lines(d.without)
		for _, line := range lines(d.of) {
			if !slices.Contains(without, line) {
				fmt.Fprintln(&out, d.sign, line)
			}
		}
	}
	return out.String()
}
