package crds_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"sigs.k8s.io/yaml"
)

// kubeOVNColumns are what kubectl get shows, as Kube-OVN has it: scripts cut these columns out.
var kubeOVNColumns = map[string]string{
	"Subnet":       "Provider Vpc Vlan Protocol CIDR Private NAT Default GatewayType V4Used V4Available V6Used V6Available ExcludeIPs U2OInterconnectionIP",
	"IP":           "V4IP V6IP Mac Node Subnet",
	"Vpc":          "EnableExternal EnableBfd Standby Subnets ExtraExternalSubnets Namespaces DefaultSubnet Age",
	"SwitchLBRule": "vip port(s) service age",

	"SecurityGroup":   "Tier SameGroup Ready PortGroup Age", // Kube-OVN has none
	"DNSNameResolver": "Name Addresses Age",                 // the same
	"TrafficMirror":   "Direction To Ready Age",             // the same
}

// kubeOVNNames are plural, singular and short name where they are not simply the kind in lower case.
var kubeOVNNames = map[string][3]string{
	"SwitchLBRule": {"switch-lb-rules", "switch-lb-rule", "slr"}, "SecurityGroup": {"security-groups", "security-group", "sg"},
	"TrafficMirror": {"trafficmirrors", "trafficmirror", "tm"},
}

// TestDefinitions shows that the API server takes the manifests (newServers creates them by its code), and that their
// names are Kube-OVN's.
func TestDefinitions(t *testing.T) {
	servers := newServers(t)
	if len(servers) != len(kubeOVNColumns) {
		t.Fatalf("%d manifests, want %d", len(servers), len(kubeOVNColumns))
	}
	for kind, columns := range kubeOVNColumns {
		spec := servers[kind].crd.Spec
		lower := strings.ToLower(kind)
		names, ok := kubeOVNNames[kind]
		if !ok {
			names = [3]string{lower + "s", lower, lower}
		}
		got := fmt.Sprint(spec.Group, spec.Versions[0].Name, spec.Names.Plural, spec.Names.Singular, spec.Names.ShortNames, spec.Scope)
		group, version := "kubeovn.io", "v1"
		if kind == "TrafficMirror" { // our own
			group, version = "heddle.dev", "v1alpha1"
		}
		want := fmt.Sprint(group, version, names[0], names[1], names[2:], "Cluster")
		if got != want {
			t.Errorf("%s: got %s, want %s", kind, got, want)
		}
		if got, want := servers[kind].status != nil, kind != "IP"; got != want {
			t.Errorf("%s: status subresource %v, want %v", kind, got, want)
		}
		if got := columnNames(spec.AdditionalPrinterColumns); !slices.Equal(got, strings.Fields(columns)) {
			t.Errorf("%s: columns %q, want %q", kind, got, columns)
		}
	}
}

func columnNames(columns []apiextensions.CustomResourceColumnDefinition) []string {
	var names []string
	for _, column := range columns {
		names = append(names, column.Name)
	}
	return names
}

// TestExplained shows that kubectl explain has something to say about every field, down to the last.
func TestExplained(t *testing.T) {
	for kind, s := range newServers(t) {
		explained(t, kind, s.crd.Spec.Validation.OpenAPIV3Schema)
	}
}

func explained(t *testing.T, path string, schema *apiextensions.JSONSchemaProps) {
	t.Helper()
	if strings.TrimSpace(schema.Description) == "" && !strings.HasSuffix(path, "metadata") {
		t.Errorf("%s has no description", path)
	}
	for name, property := range schema.Properties {
		explained(t, path+"."+name, &property)
	}
	if schema.Items != nil {
		for name, property := range schema.Items.Schema.Properties {
			explained(t, path+"."+name, &property)
		}
	}
}

// TestCost shows that objects as large as the schema lets them be stay within the API server's budget for CEL.
func TestCost(t *testing.T) {
	servers := newServers(t)
	var excludes, vips []string
	for i := range 4096 {
		from, to := fmt.Sprintf("fd00:10:66:0:1000:1000:%x:1000", i), fmt.Sprintf("fd00:10:66:0:1000:1000:%x:1fff", i)
		excludes = append(excludes, from+".."+to)
	}
	for i := range 256 {
		vips = append(vips, fmt.Sprintf("10.66.1.%d", i))
	}
	object := map[string]any{
		"apiVersion": "kubeovn.io/v1", "kind": "Subnet", "metadata": map[string]any{"name": "large"},
		"spec": map[string]any{"cidrBlock": "10.66.0.0/16,fd00:10:66::/64", "excludeIps": excludes, "vips": vips},
	}
	data, err := yaml.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := servers["Subnet"].create(data); err != nil {
		t.Error(kubectlText(err))
	}
	if _, err := servers["Subnet"].create([]byte(strings.Replace(string(data), "  - 10.66.1.0\n", "  - 10.67.1.0\n", 1))); err == nil {
		t.Error("one bad address among many was not found")
	}
}
