package compile_test

import (
	"strings"
	"testing"

	"github.com/heddle-net/heddle/controller/state"
)

// TestWithoutTemplates shows what a database without Chassis_Template_Var (OVN before 22.12) gets: every node the same, and a
// problem for each field.
func TestWithoutTemplates(t *testing.T) {
	const near, plain = "internalTrafficPolicy: Local\n  trafficDistribution: PreferSameZone\n", "internalTrafficPolicy: Cluster\n"
	compiled := func(fields string, templates bool) (rows, problems string) {
		s := state.New(parseFlags(t, ""))
		for _, put := range parseObjects(t, strings.ReplaceAll(`apiVersion: v1
kind: Node
metadata:
  name: n1
  labels: {topology.kubernetes.io/zone: a}
  annotations: {ovn.kubernetes.io/chassis: c1}
---
apiVersion: v1
kind: Service
metadata: {namespace: shop, name: web}
spec:
  FIELDS
  clusterIPs: [10.96.0.7]
  externalIPs: [203.0.113.9]
  ports: [{port: 80}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  namespace: shop
  name: web-a
  labels: {kubernetes.io/service-name: web}
addressType: IPv4
ports: [{name: "", port: 8080}]
endpoints:
- {addresses: [10.66.0.7], nodeName: n1, hints: {forZones: [{name: a}]}}
- {addresses: [10.66.0.8], nodeName: n2, hints: {forZones: [{name: b}]}}
`, "FIELDS", fields)) {
			put(s)
		}
		s.SetServer(state.Server{Templates: templates})
		return text(s)
	}
	want, _ := compiled(plain, true)
	rows, problems := compiled(near, false)
	if rows != want {
		t.Errorf("got\n%swant\n%s", rows, want)
	}
	if want := "service/shop/web: NotSupported: spec.internalTrafficPolicy needs OVN 22.12; the Service is served without it\n" +
		"service/shop/web: NotSupported: spec.trafficDistribution needs OVN 22.12; the Service is served without it\n"; problems != want {
		t.Errorf("got\n%swant\n%s", problems, want)
	}
	if rows, problems := compiled(near, true); rows == want || problems != "" {
		t.Errorf("with the table:\n%s%s", rows, problems)
	}
}
