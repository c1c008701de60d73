package daemon

import (
	"slices"
	"strings"
	"testing"

	"github.com/go-logr/logr/testr"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/heddle-net/heddle/crds/heddle"
	"github.com/heddle-net/heddle/daemon/host"
	"github.com/heddle-net/heddle/daemon/port"
	"github.com/heddle-net/heddle/ovs/mirrorname"
	"github.com/heddle-net/heddle/ovs/ovstest/node"
)

// TestMirrorLinks: each link is there once, under one mirror-id. That of the annotation keeps its name, whatever TrafficMirrors name.
func TestMirrorLinks(t *testing.T) {
	d := &daemon{cfg: Config{MirrorLink: "mirror9"}, tables: &tables{}}
	check := func(want ...host.Mirror) {
		t.Helper()
		if got := d.mirrorLinks(); !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	to := func(name, link string) {
		d.tables.mirrors.Put(name, &heddle.TrafficMirror{Spec: heddle.TrafficMirrorSpec{To: heddle.TrafficSink{Interface: link}}})
	}
	check()
	to("a", "mirror7")
	to("b", "mirror7")
	to("taken", "mirror9")
	seven, own := host.Mirror{ID: "mirror7", Link: "mirror7"}, host.Mirror{ID: mirrorname.Node, Link: "mirror9"}
	check(seven)
	d.tables.pods.Put("default/web", port.Pod{Mirror: true})
	check(own, seven)
	d.tables.pods.Delete("default/web")
	d.cfg.MirrorAll = true
	check(own, seven)
	d.cfg.MirrorAll = false
	check(seven)
	to("c", "mirror0")
	check(own, seven)
}

// TestMirrorFilters: what Pods send is copied as it comes from them, whoever asks; what else is wanted of it is for both directions.
func TestMirrorFilters(t *testing.T) {
	link := &heddle.TrafficMirror{ObjectMeta: metav1.ObjectMeta{Name: "link"}}
	link.Spec.To.Interface = "mirror7"
	pod := &heddle.TrafficMirror{ObjectMeta: metav1.ObjectMeta{Name: "pod"}}
	pod.Spec.To.Pod = &heddle.PodReference{Namespace: "default", Name: "web"}
	pod.Spec.Filter = &heddle.TrafficFilter{Family: heddle.IPv6, Protocol: heddle.TCP}
	for once, want := range map[string]map[string]string{
		"recirc_id=0": {
			"mirror0/in": "", "mirror0/out": "recirc_id=0", "tm-link/in": "", "tm-link/out": "recirc_id=0",
			"tm-pod/in": "tcp6", "tm-pod/out": "recirc_id=0,tcp6", "tm-pod/far/in": "tcp6", "tm-pod/far/out": "recirc_id=0,tcp6",
		},
		"": {
			"mirror0/in": "", "mirror0/out": "", "tm-link/in": "", "tm-link/out": "",
			"tm-pod/in": "tcp6", "tm-pod/out": "tcp6", "tm-pod/far/in": "tcp6", "tm-pod/far/out": "tcp6",
		},
	} {
		if diff := cmp.Diff(want, wantMirrors([]*heddle.TrafficMirror{link, pod}, once).filters); diff != "" {
			t.Errorf("once %q: %s", once, diff)
		}
	}
}

// TestMirrorsEnd: when the last TrafficMirror goes, so does what was there for it.
func TestMirrorsEnd(t *testing.T) {
	node.UsePrograms(t, "../dist/root")
	r := newRig(t)
	m := &mirrors{tables: &tables{}, ovs: r.ovs, manager: r.manager, nodes: func() bool { return false }, log: testr.New(t)}
	pass := func(when, want string) {
		t.Helper()
		if err := m.pass(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := strings.TrimSpace(r.VSCtl("--bare", "--columns=external_ids", "find", "Interface", "type=gre")); got != want {
			t.Errorf("%s: %q, want %q", when, got, want)
		}
	}
	obj := &heddle.TrafficMirror{ObjectMeta: metav1.ObjectMeta{Name: "gre"}}
	obj.Spec.To.GRE = &heddle.Collector{Address: "192.0.2.9", ID: 7}
	m.tables.mirrors.Put(obj.Name, obj)
	pass("asked for", "heddle-tunnel=true mirror-id=gre/192.0.2.9/7 vendor=heddle")
	m.tables.mirrors.Delete(obj.Name)
	pass("not any more", "")
}
