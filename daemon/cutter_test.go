package daemon

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/heddle-net/heddle/daemon/service"
)

// TestCutter wants the entries of the endpoint that is gone to go, on either event, and those of the other one to stay. ovn-controller is
// not told to cut anything.
func TestCutter(t *testing.T) {
	r := newRig(t)
	client := r.pod("client", "10.16.0.11,fd00::11", "10.16.0.0/16,fd00::/112", "10.16.0.1,fd00::1", 11)
	gone := r.pod("gone", "10.16.0.12,fd00::12", "10.16.0.0/16,fd00::/112", "10.16.0.1,fd00::1", 12)
	stays := r.pod("stays", "10.16.0.13,fd00::13", "10.16.0.0/16,fd00::/112", "10.16.0.1,fd00::1", 13)
	for _, p := range []*sandbox{client, gone, stays} {
		p.must("ADD")
	}
	vips := []string{"10.96.0.12:53", "[fd00:96::12]:53", "10.96.0.13:53", "[fd00:96::13]:53"}
	endpoints := []string{"10.16.0.12:5353", "[fd00::12]:5353", "10.16.0.13:5353", "[fd00::13]:5353"}
	for i, vip := range vips {
		r.NBCtl("lb-add", "lb", vip, endpoints[i], "udp")
	}
	r.NBCtl("--wait=hv", "ls-lb-add", "sw", "lb")
	r.MustExec(client.netns, "ip", "route", "add", "10.96.0.0/16", "dev", "eth0", "src", "10.16.0.11")
	r.MustExec(client.netns, "ip", "-6", "route", "add", "fd00:96::/64", "dev", "eth0", "src", "fd00::11")
	for _, vip := range vips { // nobody answers for the address; what is behind it is the balancer's matter
		ip := netip.MustParseAddrPort(vip).Addr().String()
		r.MustExec(client.netns, "ip", "neigh", "add", ip, "lladdr", gone.pod.MAC, "dev", "eth0")
	}

	x := service.NewIndex("node", func() {})
	x.PutService("default/dns", &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "dns"},
		Spec:       corev1.ServiceSpec{ClusterIPs: []string{"10.96.0.12", "fd00:96::12"}, Ports: []corev1.ServicePort{{Port: 53, Protocol: corev1.ProtocolUDP}}},
	})
	port, udp, none := int32(5353), corev1.ProtocolUDP, ""
	for family, ip := range map[discoveryv1.AddressType]string{discoveryv1.AddressTypeIPv4: "10.16.0.12", discoveryv1.AddressTypeIPv6: "fd00::12"} {
		x.PutSlice("default/dns-"+string(family), &discoveryv1.EndpointSlice{
			ObjectMeta:  metav1.ObjectMeta{Namespace: "default", Labels: map[string]string{discoveryv1.LabelServiceName: "dns"}},
			AddressType: family, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{ip}}},
			Ports: []discoveryv1.EndpointPort{{Name: &none, Port: &port, Protocol: &udp}},
		})
	}
	x.DeleteService("default/dns")
	if len(x.Lost()) != 2 {
		t.Fatalf("lost are %v, want 2", x.Lost())
	}
	installed, done := r.ovs.SubscribeInstalled()
	defer done()
	c := &cutter{switchd: switchd{r.OVS}, services: x, wake: newSignal(), installed: installed, log: testr.New(t)}
	go func() { _ = c.Run(t.Context()) }()

	send := func() {
		t.Helper()
		r.Do(client.netns, func() {
			for _, vip := range vips {
				conn, err := net.Dial("udp", vip)
				if err != nil {
					t.Error(err)
					continue
				}
				if _, err := conn.Write([]byte("?")); err != nil {
					t.Error(err)
				}
				_ = conn.Close()
			}
		})
		r.until("each flow has an entry", func() bool { return len(r.translated(vips)) == len(vips) })
	}
	for _, step := range []struct {
		event string
		do    func()
	}{
		{"more are lost", c.wake.set},
		{"ovn-controller has caught up", func() { r.NBCtl("--wait=hv", "sync") }},
	} {
		send()
		step.do()
		r.until(step.event+": only the others are left", func() bool { return slices.Equal(r.translated(vips), vips[2:]) })
	}
}

// translated are the frontends of which the datapath has an entry.
func (r *rig) translated(frontends []string) []string {
	r.tb.Helper()
	var out []string
	entries := r.AppCtl("dpctl/dump-conntrack")
	for _, f := range frontends {
		at := netip.MustParseAddrPort(f)
		if strings.Contains(entries, "dst="+at.Addr().String()+",") {
			out = append(out, f)
		}
	}
	return out
}

// until looks every few milliseconds: the datapath tells nobody of its entries.
func (r *rig) until(what string, so func() bool) {
	r.tb.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(20 * time.Second); !so(); <-tick.C {
		if time.Now().After(end) {
			r.tb.Fatalf("%s: not within 20 s\n%s", what, r.AppCtl("dpctl/dump-conntrack"))
		}
	}
}
