package service

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

const dns = `
metadata: {namespace: default, name: web}
spec: {clusterIPs: [10.96.0.10], externalIPs: [198.51.100.1], ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP, name: tcp}]}
`

func dnsSlice(endpoints string) string {
	return "---\nmetadata: {namespace: default, name: web-1, labels: {kubernetes.io/service-name: web}}\naddressType: IPv4\n" +
		"ports: [{port: 5353, name: '', protocol: UDP}, {port: 5353, name: tcp, protocol: TCP}]\nendpoints: [" + endpoints + "]\n"
}

// TestLost follows the flows of a Service through the life of its endpoints.
func TestLost(t *testing.T) {
	calls := 0
	x := newIndex(func() { calls++ })
	lost := func() string {
		var out []string
		for _, f := range x.Lost() {
			out = append(out, fmt.Sprint(f.Frontend, " at ", f.Endpoint))
		}
		slices.Sort(out)
		return strings.Join(out, ", ")
	}
	check := func(what string, wake bool, want string) {
		t.Helper()
		if got := lost(); got != want || wake != (calls > 0) {
			t.Errorf("%s: lost are %q, want %q; %d wakes", what, got, want, calls)
		}
		calls = 0
	}
	put := func(endpoints string) { fill(t, x, strings.TrimPrefix(dnsSlice(endpoints), "---\n")) }
	const one, two = "{addresses: [10.16.0.5]}", "{addresses: [10.16.0.6]}"
	fill(t, x, dns)
	calls = 0
	put(one + "," + two)
	calls = 0
	check("two endpoints", false, "")
	put(one)
	check("one goes", true, "10.96.0.10:53 at 10.16.0.6:5353, 198.51.100.1:53 at 10.16.0.6:5353")
	put(one + "," + two)
	check("it is back", false, "")
	put(one + ", {addresses: [10.16.0.6], conditions: {ready: false}}")
	check("one is not ready", true, "10.96.0.10:53 at 10.16.0.6:5353, 198.51.100.1:53 at 10.16.0.6:5353")
	x.Forget(time.Now().Add(-time.Hour))
	check("young ones are not forgotten", false, "10.96.0.10:53 at 10.16.0.6:5353, 198.51.100.1:53 at 10.16.0.6:5353")
	x.Forget(time.Now().Add(time.Hour))
	check("forgotten", false, "")
	fill(t, x, strings.Replace(dns, "externalIPs: [198.51.100.1], ", "", 1))
	check("no address outside any more", true, "198.51.100.1:53 at 10.16.0.5:5353")
	x.DeleteService("default/web")
	check("no Service", true, "10.96.0.10:53 at 10.16.0.5:5353, 198.51.100.1:53 at 10.16.0.5:5353")
}
