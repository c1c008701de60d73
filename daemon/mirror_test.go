package daemon

import (
	"slices"
	"testing"

	"github.com/heddle-net/heddle/crds/heddle"
	"github.com/heddle-net/heddle/daemon/host"
	"github.com/heddle-net/heddle/daemon/port"
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
	seven, own := host.Mirror{ID: "mirror7", Link: "mirror7"}, host.Mirror{ID: heddle.NodeMirror, Link: "mirror9"}
	check(seven)
	d.tables.pods.Put("default/web", port.Pod{Mirror: true})
	check(own, seven)
	d.tables.pods.Delete("default/web")
	to("c", "mirror0")
	check(own, seven)
}
