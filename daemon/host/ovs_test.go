package host

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/heddle-net/heddle/ovs/ovstest/node"
)

// vsctl is an OVS on a real database, by its command line tools.
type vsctl struct {
	db      string
	changed chan struct{}
	fail    atomic.Bool // the database is out of reach
}

var errOutOfReach = errors.New("out of reach")

// newVSCtl watches the database with "ovsdb-client monitor" until the test ends.
func newVSCtl(t *testing.T, n *node.Node) *vsctl {
	t.Helper()
	o := &vsctl{db: n.OVS, changed: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "ovsdb-client", "monitor", n.OVS, "Open_vSwitch", "Interface", "name,ofport,mac,mtu_request,external_ids")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	dirty, done := make(chan struct{}, 1), make(chan struct{})
	go func() {
		defer close(dirty)
		for s := bufio.NewScanner(out); s.Scan(); {
			select {
			case dirty <- struct{}{}:
			default:
			}
		}
	}()
	go func() {
		defer close(done)
		for range dirty {
			select {
			case o.changed <- struct{}{}:
			case <-ctx.Done():
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		_ = cmd.Wait()
	})
	return o
}

func (o *vsctl) Changed() <-chan struct{} { return o.changed }

func (o *vsctl) run(args ...string) (string, error) {
	if o.fail.Load() {
		return "", errOutOfReach
	}
	cmd := exec.Command("ovs-vsctl", append([]string{"--db=" + o.db, "--no-wait", "--timeout=5"}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("ovs-vsctl %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// row reads the columns of one row; nil when there is none.
func (o *vsctl) row(table, name string, columns ...string) (map[string]any, error) {
	out, err := o.run("--format=json", "--columns="+strings.Join(columns, ","), "find", table, "name="+name)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Headings []string
		Data     [][]any
	}
	if err := json.Unmarshal([]byte(out), &answer); err != nil || len(answer.Data) == 0 {
		return nil, err
	}
	row := map[string]any{}
	for i, h := range answer.Headings {
		row[h] = answer.Data[0][i]
	}
	return row, nil
}

// stringMap and number read RFC 7047's notation, in which a set of no value stands for an unset column.
func stringMap(v any) map[string]string {
	m := map[string]string{}
	for _, pair := range v.([]any)[1].([]any) {
		kv := pair.([]any)
		m[kv[0].(string)] = kv[1].(string)
	}
	return m
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

func number(v any) int {
	f, _ := v.(float64)
	return int(f)
}

func (o *vsctl) Bridge(_ context.Context, name string) (*Bridge, error) {
	row, err := o.row("Bridge", name, "datapath_type", "fail_mode", "other_config", "external_ids")
	if row == nil {
		return nil, err
	}
	return &Bridge{
		Name: name, Datapath: Datapath(text(row["datapath_type"])), FailMode: text(row["fail_mode"]),
		HWAddr: stringMap(row["other_config"])["hwaddr"], ExternalIDs: stringMap(row["external_ids"]),
	}, nil
}

func (o *vsctl) Port(_ context.Context, name string) (*Port, error) {
	row, err := o.row("Interface", name, "type", "mac", "mtu_request", "ofport", "external_ids")
	if row == nil {
		return nil, err
	}
	bridge, err := o.run("iface-to-br", name)
	if err != nil {
		return nil, err
	}
	return &Port{
		Bridge: bridge, Name: name, Type: text(row["type"]), MAC: text(row["mac"]), MTU: number(row["mtu_request"]),
		OFPort: number(row["ofport"]), ExternalIDs: stringMap(row["external_ids"]),
	}, nil
}

func (o *vsctl) EnsureBridge(_ context.Context, b Bridge) error {
	args := []string{
		"--may-exist", "add-br", b.Name, "--", "set", "Bridge", b.Name,
		"datapath_type=" + string(b.Datapath), "fail_mode=" + b.FailMode,
	}
	if b.HWAddr != "" {
		args = append(args, "other_config:hwaddr="+strconv.Quote(b.HWAddr))
	}
	for k, v := range b.ExternalIDs {
		args = append(args, "external_ids:"+k+"="+strconv.Quote(v))
	}
	if b.Uplink != "" {
		args = append(args, "--", "--may-exist", "add-port", b.Name, b.Uplink)
	}
	_, err := o.run(args...)
	return err
}

func (o *vsctl) EnsurePort(_ context.Context, p Port) error {
	args := []string{"--may-exist", "add-port", p.Bridge, p.Name, "--", "set", "Interface", p.Name, "type=" + strconv.Quote(p.Type)}
	if p.MAC != "" {
		args = append(args, "mac="+strconv.Quote(p.MAC))
	}
	if p.MTU != 0 {
		args = append(args, "mtu_request="+strconv.Itoa(p.MTU))
	}
	for k, v := range p.ExternalIDs {
		args = append(args, "external_ids:"+k+"="+strconv.Quote(v))
	}
	_, err := o.run(args...)
	return err
}

func (o *vsctl) DeleteBridge(_ context.Context, name string) error {
	_, err := o.run("--if-exists", "del-br", name)
	return err
}

func (o *vsctl) DeletePort(_ context.Context, name string) error {
	_, err := o.run("--if-exists", "del-port", name)
	return err
}
