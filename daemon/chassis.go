package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/go-logr/logr"

	v1 "github.com/heddle-net/heddle/crds/v1"
	"github.com/heddle-net/heddle/daemon/host"
	"github.com/heddle-net/heddle/daemon/port"
	"github.com/heddle-net/heddle/ovs/endpoint"
	"github.com/heddle-net/heddle/ovs/vswitch"
)

// passTimeout bounds one pass of the chassis loop.
const passTimeout = 20 * time.Second

// chassisKeys are the keys of Open_vSwitch:external_ids that are ours to write. system-id is not among them: it may have
// been there before, and names the node in other tools.
var chassisKeys = []string{
	"ovn-remote", "ovn-encap-type", "ovn-encap-ip", "ovn-bridge-datapath-type", "ovn-monitor-all", "ovn-remote-probe-interval",
}

// A restarted ovn-controller leaves the flows that it finds for this many milliseconds before it clears them, to compute its own
// meanwhile: 0, its default, drops packets (ovn-controller(8)). It is a default of ours as well: another value on the node stays.
const (
	keyWaitBeforeClear = "ovn-ofctrl-wait-before-clear"
	waitBeforeClear    = "2000"
)

// chassis tells ovn-controller who it is and where to connect, and Kubernetes which chassis the node is:
// Open_vSwitch:external_ids as in ovn-controller(8), br-int, and the Node's annotation.
type chassis struct {
	cfg      Config
	datapath host.Datapath
	ovs      *vswitch.Client
	tables   *tables
	annotate func(ctx context.Context, node, key, value string) error
	wake     signal // set by the watches
	ready    *condition
	log      logr.Logger
}

// notPod selects changes of OVS that are not those of a Pod's port.
func notPod(name string) bool { return !port.IsHostName(name) }

// Run keeps it so: a key that is changed or a bridge that is removed by hand comes back at once.
func (c *chassis) Run(ctx context.Context) error {
	changed, done := c.ovs.Subscribe(notPod)
	defer done()
	again := backoff.NewExponentialBackOff(backoff.WithInitialInterval(100*time.Millisecond),
		backoff.WithMaxInterval(10*time.Second), backoff.WithMaxElapsedTime(0))
	told := ""
	for {
		err := c.pass(ctx)
		c.ready.set(err)
		var retry <-chan time.Time
		switch {
		case err == nil:
			again.Reset()
			told = ""
		case ctx.Err() == nil:
			retry = time.After(again.NextBackOff())
			if err.Error() != told {
				told = err.Error()
				c.log.Info("this node's OVN settings are not complete yet", "reason", told)
			}
		}
		select {
		case <-changed:
		case <-c.wake:
		case <-retry:
		case <-ctx.Done():
			return nil
		}
	}
}

func (c *chassis) pass(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, passTimeout)
	defer cancel()
	secure := "secure"
	if err := c.ovs.EnsureBridge(ctx, vswitch.Bridge{
		Name: host.BridgeInt, DatapathType: string(c.datapath), FailMode: &secure,
		ExternalIDs: map[string]string{vswitch.KeyVendor: vswitch.Vendor},
	}); err != nil {
		return err
	}
	node, ok := c.tables.nodes.Get(c.cfg.NodeName)
	if !ok {
		return fmt.Errorf("the API server does not know Node %s", c.cfg.NodeName)
	}
	if err := c.settings(ctx, node); err != nil {
		return err
	}
	return c.announce(ctx, node)
}

// settings writes Open_vSwitch:external_ids. The southbound address that is there stays while there is no other: a
// database that restarts has no endpoint for a while, and ovn-controller dials again by itself.
func (c *chassis) settings(ctx context.Context, node nodeFacts) error {
	have, err := c.ovs.ExternalIDs(ctx)
	if err != nil {
		return err
	}
	remote := cmp.Or(c.cfg.SouthboundAddr, strings.Join(endpoint.Of(c.tables.southbound.Values()), ","), have["ovn-remote"])
	ip, err := encapIP(c.cfg, node)
	if err != nil {
		return err
	}
	err = c.ovs.SetExternalIDs(ctx, map[string]string{
		// The Node's UID is a UUID that outlives the database's files: the node stays the chassis that it was.
		"system-id":                 cmp.Or(have["system-id"], node.uid),
		"ovn-remote":                remote,
		"ovn-encap-type":            c.cfg.EncapType,
		"ovn-encap-ip":              ip.String(),
		"ovn-bridge-datapath-type":  string(c.datapath),
		"ovn-monitor-all":           "true",
		"ovn-remote-probe-interval": "10000",
		keyWaitBeforeClear:          cmp.Or(have[keyWaitBeforeClear], waitBeforeClear),
	})
	if err != nil {
		return err
	}
	if remote == "" {
		return errors.New("the southbound database has no endpoint yet")
	}
	return nil
}

// forget is what takes our settings away again.
func forget(have map[string]string) map[string]string {
	none := map[string]string{}
	for _, key := range chassisKeys {
		none[key] = ""
	}
	if have[keyWaitBeforeClear] == waitBeforeClear {
		none[keyWaitBeforeClear] = ""
	}
	return none
}

// encapIP is the tunnel address: the flag's, or the Node's InternalIP, IPv4 first.
func encapIP(cfg Config, node nodeFacts) (netip.Addr, error) {
	if cfg.EncapIP.IsValid() {
		return cfg.EncapIP, nil
	}
	for _, ip := range node.internalIPs {
		if ip.Is4() {
			return ip, nil
		}
	}
	if len(node.internalIPs) > 0 {
		return node.internalIPs[0], nil
	}
	return netip.Addr{}, fmt.Errorf("node %s has no InternalIP", cfg.NodeName)
}

// announce puts the chassis name on the Node.
func (c *chassis) announce(ctx context.Context, node nodeFacts) error {
	ids, err := c.ovs.ExternalIDs(ctx)
	if err != nil {
		return err
	}
	if id := ids["system-id"]; id != node.chassis {
		return c.annotate(ctx, c.cfg.NodeName, v1.AnnotationChassis, id)
	}
	return nil
}
