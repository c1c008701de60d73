package compile_test

import (
	"flag"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"
	"sigs.k8s.io/yaml"

	"github.com/heddle-net/heddle/controller/compile"
	"github.com/heddle-net/heddle/controller/feed"
	"github.com/heddle-net/heddle/controller/state"
	"github.com/heddle-net/heddle/crds/heddle"
	v1 "github.com/heddle-net/heddle/crds/v1"
	"github.com/heddle-net/heddle/ovs/nb"
)

// parseFlags reads those flags of heddle-controller that compilers see; the defaults are heddle-controller's.
func parseFlags(t testing.TB, text string) state.Config {
	t.Helper()
	var config state.Config
	flags := flag.NewFlagSet("flags", flag.ContinueOnError)
	flags.StringVar(&config.DefaultVpc, "default-vpc", "ovn-cluster", "")
	flags.StringVar(&config.DefaultSubnet, "default-subnet", "ovn-default", "")
	flags.StringVar(&config.JoinSubnet, "join-subnet", "join", "")
	service := flags.String("service-cidr", "10.96.0.0/12", "")
	flags.BoolVar(&config.MirrorAll, "mirror-all", false, "")
	dns := flags.String("node-local-dns-ip", "", "")
	if err := flags.Parse(strings.Fields(text)); err != nil {
		t.Fatal(err)
	}
	for _, cidr := range strings.Split(*service, ",") {
		config.ServiceCIDRs = append(config.ServiceCIDRs, netip.MustParsePrefix(cidr))
	}
	var err error
	if config.NodeLocalDNS, err = feed.ParseAddrs(*dns); err != nil {
		t.Fatal(err)
	}
	return config
}

// object puts one Kubernetes object into a store, by the way of its converter.
type object func(*state.Store)

// parseObjects reads YAML documents as a user or the API server writes them; a field that the API does not have is an error.
func parseObjects(t testing.TB, text string) []object {
	t.Helper()
	var objects []object
	for _, document := range strings.Split(text, "\n---\n") {
		var kind metav1.TypeMeta
		if err := yaml.Unmarshal([]byte(document), &kind); err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		parse := parsers[kind.Kind]
		if parse == nil {
			t.Fatalf("unknown kind %q in\n%s", kind.Kind, document)
		}
		o, err := parse([]byte(document))
		if err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		objects = append(objects, o)
	}
	return objects
}

var parsers = map[string]func([]byte) (object, error){
	"Vpc": parser(func(s *state.Store, o *v1.Vpc) { put(s.Vpcs, o.Name, feed.Vpc(o)) }),
	"Subnet": parser(func(s *state.Store, o *v1.Subnet) {
		put(s.Subnets, o.Name, feed.Subnet(o, s.Config().DefaultVpc))
	}),
	"Node": parser(func(s *state.Store, o *corev1.Node) {
		put(s.Nodes, o.Name, feed.Node(o))
		put(s.Places, o.Name, feed.Place(o))
	}),
	"Namespace": parser(func(s *state.Store, o *corev1.Namespace) { put(s.Namespaces, o.Name, feed.Namespace(o)) }),
	"Asker":     parser(putAsker),
	"Pod":       parser(func(s *state.Store, o *corev1.Pod) { put(s.Pods, o.Namespace+"/"+o.Name, feed.Pod(o)) }),
	"Service": parser(func(s *state.Store, o *corev1.Service) {
		put(s.Services, o.Namespace+"/"+o.Name, feed.Service(o))
		put(s.RuleServices, o.Namespace+"/"+o.Name, feed.RuleService(o))
	}),
	"EndpointSlice": parser(func(s *state.Store, o *discoveryv1.EndpointSlice) {
		put(s.EndpointSlices, o.Namespace+"/"+o.Name, feed.EndpointSlice(o))
	}),
	"ServiceCIDR": parser(func(s *state.Store, o *networkingv1.ServiceCIDR) { put(s.ServiceCIDRs, o.Name, feed.ServiceCIDR(o)) }),
	"SwitchLBRule": parser(func(s *state.Store, o *v1.SwitchLBRule) {
		put(s.SwitchLBRules, o.Name, feed.SwitchLBRule(o, s.Config().DefaultVpc))
	}),
	"DNSNameResolver": parser(func(s *state.Store, o *v1.DNSNameResolver) { put(s.Domains, o.Name, feed.Domain(o)) }),
	"TrafficMirror":   parser(func(s *state.Store, o *heddle.TrafficMirror) { put(s.Mirrors, o.Name, feed.TrafficMirror(o)) }),
	"SecurityGroup":   parser(func(s *state.Store, o *v1.SecurityGroup) { put(s.SecurityGroups, o.Name, feed.SecurityGroup(o)) }),
	"NetworkPolicy": parser(func(s *state.Store, o *networkingv1.NetworkPolicy) {
		put(s.Policies, o.Namespace+"/"+o.Name, feed.NetworkPolicy(o))
	}),
	"AdminNetworkPolicy": parser(func(s *state.Store, o *v1alpha1.AdminNetworkPolicy) {
		put(s.AdminPolicies, o.Name, feed.AdminNetworkPolicy(o))
	}),
	"BaselineAdminNetworkPolicy": parser(func(s *state.Store, o *v1alpha1.BaselineAdminNetworkPolicy) {
		put(s.BaselinePolicies, o.Name, feed.BaselineAdminNetworkPolicy(o))
	}),
	"ClusterNetworkPolicy": parser(func(s *state.Store, o *v1alpha2.ClusterNetworkPolicy) {
		put(s.ClusterPolicies, o.Name, feed.ClusterNetworkPolicy(o))
	}),
	"IP": parser(func(s *state.Store, o *v1.IP) { put(s.IPs, o.Name, feed.IP(o)) }),
}

func parser[T any](put func(*state.Store, *T)) func([]byte) (object, error) {
	return func(document []byte) (object, error) {
		o := new(T)
		if err := yaml.UnmarshalStrict(document, o); err != nil {
			return nil, err
		}
		return func(s *state.Store) { put(s, o) }, nil
	}
}

// put stores what a converter made, as feed does.
func put[T any](table *state.Table[T], key string, o *T) {
	if o == nil {
		table.Delete(key)
		return
	}
	table.Put(key, o)
}

func fill(config state.Config, objects []object) *state.Store {
	s := state.New(config)
	for _, put := range objects {
		put(s)
	}
	return s
}

// compileAll compiles every owner.
func compileAll(s *state.Store) (owners []nb.Owner, outputs map[nb.Owner]compile.Output) {
	owners, outputs = s.Owners(), make(map[nb.Owner]compile.Output)
	slices.SortFunc(owners, nb.Owner.Compare)
	one := func(owner nb.Owner) {
		s.Compile(owner, func(v *state.View) { outputs[owner] = compileOwner(v, owner) })
	}
	for _, owner := range owners {
		one(owner)
	}
	owners = slices.DeleteFunc(owners, func(o nb.Owner) bool { return o.Kind == state.KindGroup })
	for _, group := range slices.Backward(s.Groups()) { // known when all who may ask have been compiled
		one(group)
		owners = slices.Insert(owners, 0, group)
	}
	return owners, outputs
}

// text gives the rows by owner, in order, and the problems, a line each.
func text(s *state.Store) (rows, problems string) {
	owners, outputs := compileAll(s)
	var r, p strings.Builder
	for _, owner := range owners {
		out := outputs[owner]
		texts := make([]string, len(out.Rows))
		for i, row := range out.Rows {
			texts[i] = row.String()
		}
		slices.Sort(texts)
		if len(texts) > 0 {
			fmt.Fprintf(&r, "# %s\n%s", owner, strings.Join(texts, ""))
		}
		for _, problem := range out.Problems {
			fmt.Fprintf(&p, "%s: %s: %s\n", owner, problem.Reason, problem.Text)
		}
	}
	return r.String(), p.String()
}
