package daemon

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/utils/ptr"

	"github.com/heddle-net/heddle/daemon/host"
	"github.com/heddle-net/heddle/ovs/ovstest"
	"github.com/heddle-net/heddle/ovs/vswitch"
)

const vswitchSchema = "/usr/share/openvswitch/vswitch.ovsschema"

// newOVS is a database as `ovs-vsctl init` leaves it, and a client of it.
func newOVS(t *testing.T) *vswitch.Client {
	t.Helper()
	s := ovstest.StartServer(t, vswitchSchema)
	s.Transact(`["Open_vSwitch", {"op": "insert", "table": "Open_vSwitch", "row": {}}]`)
	ovs, err := vswitch.Connect(t.Context(), vswitch.Config{Endpoint: s.Endpoint})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ovs.Close)
	return ovs
}

func slice(port int32, addresses ...string) discoveryv1.EndpointSlice {
	s := discoveryv1.EndpointSlice{Ports: []discoveryv1.EndpointPort{{Port: &port}}}
	for _, a := range addresses {
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Addresses: []string{a}})
	}
	return s
}

// TestChassis follows the settings of a node whose southbound database moves.
func TestChassis(t *testing.T) {
	announced := ""
	c := &chassis{
		cfg: Config{NodeName: "n1", EncapType: "geneve"}, datapath: host.DatapathNetdev, ovs: newOVS(t), tables: &tables{},
		annotate: func(_ context.Context, node, key, value string) error {
			announced = fmt.Sprint(node, " ", key, " ", value)
			return nil
		},
	}
	pass := func(want string) {
		t.Helper()
		if err := c.pass(t.Context()); fmt.Sprint(err) != want {
			t.Errorf("pass: %v, want %s", err, want)
		}
	}
	expect := func(key, want string) {
		t.Helper()
		ids, err := c.ovs.ExternalIDs(t.Context())
		if err != nil || ids[key] != want {
			t.Errorf("%s is %q, %v, want %q", key, ids[key], err, want)
		}
	}
	pass("the API server does not know Node n1")
	c.tables.nodes.Put("n1", nodeFacts{uid: "u1"})
	pass("node n1 has no InternalIP")
	c.tables.nodes.Put("n1", nodeFacts{uid: "u1", internalIPs: []netip.Addr{netip.MustParseAddr("fd01::1"), netip.MustParseAddr("192.0.2.1")}})
	pass("the southbound database has no endpoint yet")
	c.tables.southbound.Put("kube-system/b", slice(6642, "192.0.2.9"))
	c.tables.southbound.Put("kube-system/a", slice(6642, "192.0.2.8", "192.0.2.9"))
	pass("<nil>")
	expect("ovn-remote", "ssl:192.0.2.8:6642,ssl:192.0.2.9:6642")
	expect("ovn-encap-ip", "192.0.2.1")
	expect("system-id", "u1")
	expect(keyWaitBeforeClear, "2000")
	if announced != "n1 ovn.kubernetes.io/chassis u1" {
		t.Errorf("announced %q", announced)
	}

	c.tables.southbound.Delete("kube-system/a")
	c.tables.southbound.Delete("kube-system/b")
	pass("<nil>") // it restarts, and will be back
	expect("ovn-remote", "ssl:192.0.2.8:6642,ssl:192.0.2.9:6642")
	c.tables.southbound.Put("kube-system/c", slice(6642, "fd01::7"))
	c.tables.nodes.Put("n1", nodeFacts{uid: "u2", chassis: "u1", internalIPs: []netip.Addr{netip.MustParseAddr("fd01::1")}})
	announced = ""
	pass("<nil>")
	expect("ovn-remote", "ssl:[fd01::7]:6642")
	expect("ovn-encap-ip", "fd01::1")
	expect("system-id", "u1") // a chassis keeps its name
	if announced != "" {
		t.Errorf("announced again: %q", announced)
	}
	ending := slice(6642, "fd01::6", "fd01::8")
	ending.Endpoints[0].Conditions.Terminating = ptr.To(true)
	c.tables.southbound.Put("kube-system/c", ending)
	pass("<nil>")
	expect("ovn-remote", "ssl:[fd01::8]:6642")
	c.annotate = func(context.Context, string, string, string) error { return errors.New("forbidden") }
	c.tables.nodes.Put("n1", nodeFacts{internalIPs: []netip.Addr{netip.MustParseAddr("fd01::1")}})
	pass("forbidden")
}

// TestWaitBeforeClearIsTheAdministrators: our value is a default, and goes with us; another one stays.
func TestWaitBeforeClearIsTheAdministrators(t *testing.T) {
	for there, want := range map[string][2]string{"": {waitBeforeClear, ""}, "5000": {"5000", "5000"}} {
		ovs := newOVS(t)
		c := &chassis{cfg: Config{NodeName: "n1", EncapType: "geneve", SouthboundAddr: "unix:/sb"}, ovs: ovs, tables: &tables{}}
		set := func(ids map[string]string) {
			t.Helper()
			if err := ovs.SetExternalIDs(t.Context(), ids); err != nil {
				t.Fatal(err)
			}
		}
		value := func() string {
			t.Helper()
			ids, err := ovs.ExternalIDs(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return ids[keyWaitBeforeClear]
		}
		set(map[string]string{keyWaitBeforeClear: there})
		node := nodeFacts{uid: "u1", internalIPs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}}
		if err := c.settings(t.Context(), node); err != nil {
			t.Fatal(err)
		}
		running := value()
		ids, err := ovs.ExternalIDs(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		set(forget(ids))
		if got := [2]string{running, value()}; got != want {
			t.Errorf("%q was there: %q while Heddle runs and after it, want %q", there, got, want)
		}
	}
}

func TestDatapathStays(t *testing.T) {
	ovs := newOVS(t)
	chosen := func(flag, want string) {
		t.Helper()
		got, err := chooseDatapath(t.Context(), flag, ovs)
		if err != nil || string(got) != want {
			t.Errorf("%s: %q, %v, want %s", flag, got, err, want)
		}
	}
	kernel, err := kernelDatapath()
	if err != nil {
		t.Fatal(err)
	}
	other := map[host.Datapath]string{host.DatapathKernel: "netdev", host.DatapathNetdev: "system"}[kernel]
	chosen("auto", string(kernel))
	chosen(other, other)
	if err := ovs.EnsureBridge(t.Context(), vswitch.Bridge{Name: "br-int", DatapathType: other}); err != nil {
		t.Fatal(err)
	}
	chosen("auto", string(kernel)) // ovn-controller has made it
	if err := ovs.EnsureBridge(t.Context(), vswitch.Bridge{Name: "br-int", DatapathType: other, ExternalIDs: map[string]string{"vendor": "heddle"}}); err != nil {
		t.Fatal(err)
	}
	chosen("auto", other) // we have
}
