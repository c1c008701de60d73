package heddle

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"
)

// objects decodes a rendering as strictly as the API server can: an unknown or a doubled field is an error.
func objects(t *testing.T, rendered string) []runtime.Object {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientscheme.AddToScheme, apiextensionsv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	var list []runtime.Object
	for doc := range strings.SplitSeq(rendered, "\n---\n") {
		if strings.Contains(doc, "monitoring.coreos.com") || !strings.Contains(doc, "\nkind: ") {
			continue
		}
		object, _, err := decoder.Decode([]byte(doc), nil, nil)
		if err != nil {
			t.Fatalf("%v\n%s", err, doc)
		}
		list = append(list, object)
	}
	return list
}

// templates are the Pod templates of a rendering by the name of their workload.
func templates(t *testing.T, rendered string) map[string]corev1.PodTemplateSpec {
	t.Helper()
	found := map[string]corev1.PodTemplateSpec{}
	for _, object := range objects(t, rendered) {
		switch o := object.(type) {
		case *appsv1.Deployment:
			found[o.Name] = o.Spec.Template
		case *appsv1.DaemonSet:
			found[o.Name] = o.Spec.Template
		}
	}
	return found
}

func podTemplate(t *testing.T, rendered, name string) []byte {
	t.Helper()
	template, ok := templates(t, rendered)[name]
	if !ok {
		t.Fatalf("no workload %s", name)
	}
	data, err := yaml.Marshal(template)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestRights holds what each container may do. A longer list is a decision, made here.
func TestRights(t *testing.T) {
	want := map[string]string{
		"heddle-ovn-central/own-data":     "uid 0, CHOWN",
		"heddle-ovn-central/nb":           "uid 65532, key",
		"heddle-ovn-central/sb":           "uid 65532, key",
		"heddle-ovn-central/northd":       "uid 65532",
		"heddle-controller/controller":    "uid 65532, token, key",
		"heddle-daemon/install-cni":       "uid 0, token",
		"heddle-daemon/daemon":            "uid 0, NET_ADMIN NET_RAW SYS_ADMIN, token",
		"heddle-ovs/ovsdb-server":         "uid 0",
		"heddle-ovs/ovs-vswitchd":         "uid 0, privileged",
		"heddle-ovs/ovn-controller":       "uid 0, key",
		"teardown/heddle-daemon/clean":    "uid 0, DAC_OVERRIDE NET_ADMIN",
		"teardown/heddle-daemon/teardown": "uid 0, NET_ADMIN SYS_ADMIN",
	}
	got := map[string]string{}
	collect := func(prefix, workload string, template corev1.PodTemplateSpec) {
		for _, c := range slices.Concat(template.Spec.InitContainers, template.Spec.Containers) {
			got[prefix+workload+"/"+c.Name] = rights(t, template.Spec, c)
		}
	}
	for name, template := range templates(t, render(t, ".", "")) {
		collect("", name, template)
	}
	collect("teardown/", "heddle-daemon", templates(t, render(t, ".", "teardown: true"))["heddle-daemon"])
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("want (-), have (+)\n%s", d)
	}
}

// rights describes a container, and fails on what none may do.
func rights(t *testing.T, pod corev1.PodSpec, c corev1.Container) string {
	t.Helper()
	s := c.SecurityContext
	uid := pod.SecurityContext.RunAsUser
	if s.RunAsUser != nil {
		uid = s.RunAsUser
	}
	text := fmt.Sprintf("uid %d", *uid)
	switch privileged := s.Privileged != nil && *s.Privileged; {
	case privileged:
		text += ", privileged"
	case s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation:
		t.Errorf("%s may gain rights", c.Name)
	case !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}):
		t.Errorf("%s keeps the runtime's capabilities", c.Name)
	case len(s.Capabilities.Add) > 0:
		text += ", " + strings.Trim(fmt.Sprint(s.Capabilities.Add), "[]")
	}
	if s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem {
		t.Errorf("%s can write to its image", c.Name)
	}
	if p := pod.SecurityContext.SeccompProfile; p == nil || p.Type != corev1.SeccompProfileTypeRuntimeDefault {
		t.Errorf("%s has no seccomp profile", c.Name)
	}
	if c.Resources.Limits.Memory().IsZero() || c.Resources.Requests.Memory().IsZero() || c.Resources.Requests.Cpu().IsZero() {
		t.Errorf("%s has no limits and requests of its own", c.Name)
	}
	if *pod.AutomountServiceAccountToken {
		text += ", token"
	}
	// The key of OVN's databases: with it one may write anything there.
	if slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == "tls" }) {
		text += ", key"
	}
	return text
}

// TestPodsRunWithoutTheNetworkTheyMake: in the nodes' own network, before nodes are ready, and before everything else.
func TestPodsRunWithoutTheNetworkTheyMake(t *testing.T) {
	for name, template := range templates(t, render(t, ".", "")) {
		spec := template.Spec
		if !spec.HostNetwork || spec.DNSPolicy != corev1.DNSDefault {
			t.Errorf("%s needs the Pod network or cluster DNS", name)
		}
		if !strings.HasPrefix(spec.PriorityClassName, "system-") {
			t.Errorf("%s has priority class %q", name, spec.PriorityClassName)
		}
		for _, taint := range []corev1.Taint{
			{Key: "node.kubernetes.io/not-ready", Effect: corev1.TaintEffectNoSchedule},
			{Key: "node.kubernetes.io/not-ready", Effect: corev1.TaintEffectNoExecute},
			{Key: "node.kubernetes.io/network-unavailable", Effect: corev1.TaintEffectNoSchedule},
			{Key: "node-role.kubernetes.io/control-plane", Effect: corev1.TaintEffectNoSchedule},
		} {
			if !slices.ContainsFunc(spec.Tolerations, func(t corev1.Toleration) bool {
				return (t.Key == "" || t.Key == taint.Key) && (t.Effect == "" || t.Effect == taint.Effect)
			}) {
				t.Errorf("%s does not tolerate %s:%s", name, taint.Key, taint.Effect)
			}
		}
	}
}

// TestRolesAreClosedLists: no wildcard, no Secret, and writing of nothing but what is named here.
func TestRolesAreClosedLists(t *testing.T) {
	mayWrite := []string{
		"pods", "nodes", "namespaces", "events", "leases", "subnets", "ips", "vpcs",
		"subnets/status", "vpcs/status", "services/status", "subnets/finalizers", "ips/finalizers", "vpcs/finalizers",
		"services", "endpointslices", "switch-lb-rules/status", "security-groups/status", "dnsnameresolvers", "dnsnameresolvers/status", "trafficmirrors/status",
		"adminnetworkpolicies/status", "baselineadminnetworkpolicies/status", "clusternetworkpolicies/status",
	}
	var rules []rbacv1.PolicyRule
	for _, object := range objects(t, render(t, ".", "")) {
		switch o := object.(type) {
		case *rbacv1.ClusterRole:
			rules = append(rules, o.Rules...)
		case *rbacv1.Role:
			rules = append(rules, o.Rules...)
		}
	}
	if len(rules) < 8 {
		t.Errorf("%d rules", len(rules))
	}
	for _, r := range rules {
		all := slices.Concat(r.APIGroups, r.Resources, r.Verbs)
		if slices.Contains(all, "*") || slices.Contains(r.Resources, "secrets") {
			t.Errorf("too wide: %v", r)
		}
		writes := slices.ContainsFunc(r.Verbs, func(v string) bool { return v != "get" && v != "list" && v != "watch" })
		if writes && slices.ContainsFunc(r.Resources, func(name string) bool { return !slices.Contains(mayWrite, name) }) {
			t.Errorf("may write too much: %v", r)
		}
	}
}
