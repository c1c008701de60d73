package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/heddle-net/heddle/crds/v1"
	"github.com/heddle-net/heddle/daemon/port"
	"github.com/heddle-net/heddle/e2e/sandbox/cluster"
	"github.com/heddle-net/heddle/e2e/sandbox/machine"
)

// readWorld asks everybody. The answers are not of one instant: only a cluster at rest can be compared.
func readWorld(ctx context.Context, c *cluster.Cluster, kube client.Client) (*world, error) {
	w := &world{Nodes: map[string]*hostState{}, Bindings: map[string]string{}}
	if err := w.readKubernetes(ctx, kube); err != nil {
		return nil, err
	}
	if err := w.readNorthbound(ctx, c); err != nil {
		return nil, fmt.Errorf("northbound database: %w", err)
	}
	if err := w.readSouthbound(ctx, c); err != nil {
		return nil, fmt.Errorf("southbound database: %w", err)
	}
	for name, host := range w.Nodes {
		m, err := c.Machine(name)
		if err != nil {
			return nil, err
		}
		if err := host.read(ctx, m); err != nil {
			return nil, fmt.Errorf("node %s: %w", name, err)
		}
	}
	return w, nil
}

func (w *world) readKubernetes(ctx context.Context, kube client.Client) error {
	var pods corev1.PodList
	var ips v1.IPList
	var subnets v1.SubnetList
	var nodes corev1.NodeList
	for _, list := range []client.ObjectList{&pods, &ips, &subnets, &nodes} {
		if err := kube.List(ctx, list); err != nil {
			return err
		}
	}
	w.Pods, w.IPs, w.Subnets = pods.Items, ips.Items, subnets.Items
	for _, node := range nodes.Items {
		w.Nodes[node.Name] = &hostState{Chassis: node.Annotations[v1.AnnotationChassis]}
	}
	return nil
}

// inCentral runs a command in a container of the Pod with OVN's databases.
func inCentral(ctx context.Context, c *cluster.Cluster, container string, args ...string) (string, error) {
	return c.Kubectl(ctx, "", append([]string{"-n", "kube-system", "exec", "deploy/heddle-ovn-central", "-c", container, "--"}, args...)...)
}

func (w *world) readNorthbound(ctx context.Context, c *cluster.Cluster) error {
	out, err := inCentral(ctx, c, "nb", "ovn-nbctl", "--format=json", "--columns=name,type,addresses,options,up", "list", "Logical_Switch_Port")
	if err != nil {
		return err
	}
	rows, err := parseTable(out)
	if err != nil {
		return err
	}
	for _, row := range rows {
		w.Ports = append(w.Ports, switchPort{
			Name: row.text("name"), Type: row.text("type"), Addresses: row.text("addresses"),
			IfaceIDVer: row.pairs("options")["iface-id-ver"], Up: row.text("up") == "true",
		})
	}
	return nil
}

func (w *world) readSouthbound(ctx context.Context, c *cluster.Cluster) error {
	out, err := inCentral(ctx, c, "sb", "ovn-sbctl", "--format=json", "--columns=_uuid,name", "list", "Chassis")
	if err != nil {
		return err
	}
	rows, err := parseTable(out)
	if err != nil {
		return err
	}
	names := map[string]string{}
	for _, row := range rows {
		names[row.text("_uuid")] = row.text("name")
		w.Chassis = append(w.Chassis, row.text("name"))
	}
	out, err = inCentral(ctx, c, "sb", "ovn-sbctl", "--format=json", "--columns=logical_port,chassis,type", "list", "Port_Binding")
	if err != nil {
		return err
	}
	if rows, err = parseTable(out); err != nil {
		return err
	}
	for _, row := range rows {
		if row.text("type") == "" {
			w.Bindings[row.text("logical_port")] = names[row.text("chassis")]
		}
	}
	return nil
}

func (h *hostState) read(ctx context.Context, m *machine.Machine) error {
	if err := h.readOVS(ctx, m); err != nil {
		return err
	}
	handle, err := handleAt(m.NetNS())
	if err != nil {
		return err
	}
	defer handle.Close()
	links, err := handle.LinkList()
	if err != nil {
		return err
	}
	for _, link := range links {
		if port.IsHostName(link.Attrs().Name) {
			h.Veths = append(h.Veths, link.Attrs().Name)
		}
	}
	return h.readNamespaces(m)
}

func (h *hostState) readOVS(ctx context.Context, m *machine.Machine) error {
	out, err := m.Run(ctx, "ovs-vsctl", "--timeout=10", "--format=json", "--columns=name,external_ids,error", "list", "Interface")
	if err != nil {
		return err
	}
	rows, err := parseTable(out)
	if err != nil {
		return err
	}
	h.Installed, h.Errors = map[string]bool{}, map[string]string{}
	for _, row := range rows {
		name, ids := row.text("name"), row.pairs("external_ids")
		h.Installed[name] = ids["ovn-installed"] == "true"
		h.Errors[name] = row.text("error")
		if ids["container_id"] != "" {
			h.Interfaces = append(h.Interfaces, ovsInterface{
				Name: name, IfaceID: ids["iface-id"], IfaceIDVer: ids["iface-id-ver"], NetNS: filepath.Base(ids["pod_netns"]),
			})
		}
	}
	return nil
}

// netnsDir is where containerd keeps the namespaces of Pods.
const netnsDir = "/run/netns"

func (h *hostState) readNamespaces(m *machine.Machine) error {
	entries, err := os.ReadDir(m.Path(netnsDir))
	if err != nil {
		return err
	}
	h.NetNS = map[string][]podInterface{}
	for _, e := range entries {
		interfaces, err := interfacesIn(m.Path(filepath.Join(netnsDir, e.Name())))
		if err != nil {
			return fmt.Errorf("namespace %s: %w", e.Name(), err)
		}
		h.NetNS[e.Name()] = interfaces
	}
	return nil
}

// interfacesIn lists all but lo.
func interfacesIn(path string) ([]podInterface, error) {
	handle, err := handleAt(path)
	if err != nil {
		return nil, err
	}
	defer handle.Close()
	links, err := handle.LinkList()
	if err != nil {
		return nil, err
	}
	var found []podInterface
	for _, link := range links {
		if link.Attrs().Name == "lo" {
			continue
		}
		addresses, err := handle.AddrList(link, netlink.FAMILY_ALL)
		if err != nil {
			return nil, err
		}
		i := podInterface{Name: link.Attrs().Name, MAC: link.Attrs().HardwareAddr.String()}
		for _, a := range addresses {
			if ip, _ := netip.AddrFromSlice(a.IP); !a.IP.IsLinkLocalUnicast() {
				ones, _ := a.Mask.Size()
				i.Addresses = append(i.Addresses, netip.PrefixFrom(ip.Unmap(), ones))
			}
		}
		slices.SortFunc(i.Addresses, netip.Prefix.Compare)
		found = append(found, i)
	}
	return found, nil
}

func handleAt(path string) (*netlink.Handle, error) {
	ns, err := netns.GetFromPath(path)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	defer ns.Close()
	return netlink.NewHandleAt(ns)
}

// row is one row of a table as OVSDB's tools print it with --format=json.
type row map[string]any

func parseTable(text string) ([]row, error) {
	var table struct {
		Headings []string
		Data     [][]any
	}
	if err := json.Unmarshal([]byte(text), &table); err != nil {
		return nil, fmt.Errorf("%w: %s", err, text)
	}
	rows := make([]row, len(table.Data))
	for i, cells := range table.Data {
		rows[i] = row{}
		for j, cell := range cells {
			rows[i][table.Headings[j]] = cell
		}
	}
	return rows, nil
}

// text is a column's only value, or several with spaces between them; a UUID without its mark.
func (r row) text(column string) string {
	list, ok := r[column].([]any)
	if !ok {
		return fmt.Sprint(r[column])
	}
	if list[0] == "uuid" {
		return fmt.Sprint(list[1])
	}
	var values []string
	for _, v := range list[1].([]any) {
		values = append(values, row{"": v}.text(""))
	}
	return strings.Join(values, " ")
}

// pairs are the column's, a map.
func (r row) pairs(column string) map[string]string {
	out := map[string]string{}
	list, _ := r[column].([]any)
	for _, pair := range list[1].([]any) {
		kv := pair.([]any)
		out[fmt.Sprint(kv[0])] = fmt.Sprint(kv[1])
	}
	return out
}
