package v1

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseQoS(t *testing.T) {
	of := func(v float64) *float64 { return &v }
	got, wrong := ParseQoS(map[string]string{
		"ovn.kubernetes.io/ingress_rate": "3", "ovn.kubernetes.io/egress_rate": "0.5", "ovn.kubernetes.io/ingress_burst": "1", "ovn.kubernetes.io/egress_burst": "",
		"ovn.kubernetes.io/latency": "20", "ovn.kubernetes.io/jitter": "2.5", "ovn.kubernetes.io/limit": "500", "ovn.kubernetes.io/loss": "0", "ingress_rate": "7",
	})
	want := QoS{IngressRate: of(3), EgressRate: of(0.5), IngressBurst: of(1), Latency: of(20), Jitter: of(2.5), Limit: of(500), Loss: of(0)}
	if diff := cmp.Diff(want, got); diff != "" || len(wrong) > 0 {
		t.Errorf("%s\nwrong: %q", diff, wrong)
	}
	if !got.Equal(want) || got.Equal(QoS{}) {
		t.Error("Equal does not compare what is asked for")
	}
	defaults := QoS{IngressRate: of(100), EgressBurst: of(4), Loss: of(1)}
	want.EgressBurst = of(4)
	if diff := cmp.Diff(want, got.Or(defaults)); diff != "" {
		t.Errorf("with defaults: %s", diff)
	}
}

// TestParseQoSWrong: a value that cannot be read is told in one exact text, and asks for nothing, while the others count.
func TestParseQoSWrong(t *testing.T) {
	const number = "is not a number of "
	for _, c := range []struct{ name, value, want string }{
		{"ingress_rate", "-1", number + "Mbit/s, such as 10"},
		{"ingress_rate", "10M", number + "Mbit/s, such as 10"},
		{"ingress_rate", "10Mbit", number + "Mbit/s, such as 10"},
		{"ingress_rate", "10 ", number + "Mbit/s, such as 10"},
		{"ingress_rate", " 10", number + "Mbit/s, such as 10"},
		{"ingress_rate", "1e3", number + "Mbit/s, such as 10"},
		{"ingress_rate", "0x10", number + "Mbit/s, such as 10"},
		{"ingress_rate", "Inf", number + "Mbit/s, such as 10"},
		{"ingress_rate", "NaN", number + "Mbit/s, such as 10"},
		{"ingress_rate", "+5", number + "Mbit/s, such as 10"},
		{"ingress_rate", "1_000", number + "Mbit/s, such as 10"},
		{"ingress_rate", "1,5", number + "Mbit/s, such as 10"},
		{"ingress_rate", "1.2.3", number + "Mbit/s, such as 10"},
		{"ingress_rate", ".", number + "Mbit/s, such as 10"},
		{"ingress_rate", "true", number + "Mbit/s, such as 10"},
		{"ingress_rate", "0.01", "is less than 0.1 Mbit/s"},
		{"ingress_rate", "1000001", "is more than 1000000 Mbit/s"},
		{"egress_rate", "10000000000", "is more than 1000000 Mbit/s"},
		{"egress_rate", "unlimited", number + "Mbit/s, such as 10"},
		{"egress_rate", "-0", number + "Mbit/s, such as 10"},
		{"ingress_burst", "-3", number + "Mbit, such as 10"},
		{"ingress_burst", "0.0001", "is less than 0.001 Mbit"},
		{"egress_burst", "10001", "is more than 10000 Mbit"},
		{"egress_burst", "1MB", number + "Mbit, such as 10"},
		{"latency", "20ms", number + "ms, such as 10"},
		{"latency", "3600000", "is more than 60000 ms"},
		{"latency", "0.0001", "is less than 0.001 ms"},
		{"jitter", "-5", number + "ms, such as 10"},
		{"limit", "1.5", "is not a whole number of packets"},
		{"limit", "1000001", "is more than 1000000 packets"},
		{"limit", "ten", number + "packets, such as 10"},
		{"loss", "101", "is more than 100 percent"},
		{"loss", "5%", number + "percent, such as 10"},
		{"loss", "-1", number + "percent, such as 10"},
	} {
		key := AnnotationPrefix + c.name
		other := AnnotationPrefix + "latency"
		if key == other {
			other = AnnotationPrefix + "loss"
		}
		q, wrong := ParseQoS(map[string]string{key: c.value, other: "1"})
		if want := "annotation " + key + `: "` + c.value + `" ` + c.want; strings.Join(wrong, "; ") != want {
			t.Errorf("%s=%q: %q, want %q", key, c.value, wrong, want)
		}
		asked := 0
		for _, k := range qosKeys {
			if *k.of(&q) != nil {
				asked++
			}
		}
		if asked != 1 {
			t.Errorf("%s=%q: %d annotations count, want the other one", key, c.value, asked)
		}
	}
}
