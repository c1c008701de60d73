package crds_test

import (
	"math/big"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"

	v1 "github.com/heddle-net/heddle/crds/v1"
)

// TestTyped takes Go objects, as the controller writes them, through the codec of a client and the API server's status
// update and back: nothing is refused, nothing is lost.
func TestTyped(t *testing.T) {
	servers := newServers(t)
	codec := newCodec(t)
	now := metav1.Time{Time: time.Unix(1_800_000_000, 0)}
	ready := []v1.Condition{{
		Type: v1.ConditionReady, Status: corev1.ConditionTrue, Reason: "InForce",
		LastUpdateTime: now, LastTransitionTime: now, ObservedGeneration: 3,
	}}
	meta := metav1.ObjectMeta{
		Name: "team-a", UID: "2c1a", ResourceVersion: "1", Generation: 1,
		Finalizers: []string{v1.Finalizer}, Labels: map[string]string{v1.LabelSubnet: "team-a"},
	}
	large, _ := new(big.Int).SetString("18446744073709551616", 10)
	for kind, object := range map[string]runtime.Object{
		"Subnet": &v1.Subnet{
			ObjectMeta: meta,
			Spec: v1.SubnetSpec{
				CIDRBlock: "10.66.0.0/16,fd00:10:66::/64", Provider: v1.ProviderOVN, GatewayType: v1.GatewayTypeDistributed,
				Mtu: 1400, Namespaces: []string{"blue"},
			},
			Status: v1.SubnetStatus{V4UsingIPs: v1.NewBigInt(3), V6AvailableIPs: v1.BigIntFrom(large), Conditions: ready},
		},
		"Vpc": &v1.Vpc{
			ObjectMeta: meta,
			Status:     v1.VpcStatus{Standby: true, Router: v1.DefaultVpc, Subnets: []string{"join"}, VpcPeerings: []string{}, Conditions: ready},
		},
		"SwitchLBRule": &v1.SwitchLBRule{
			ObjectMeta: meta,
			Spec: v1.SwitchLBRuleSpec{
				VIP: "10.66.0.99,fd00:10:66::99", Namespace: "blue", Endpoints: []string{"10.66.0.7"}, SessionAffinity: "ClientIP",
				Ports: []v1.SwitchLBRulePort{{Name: "http", Port: 80, TargetPort: 8080, Protocol: "TCP"}},
			},
			Status: v1.SwitchLBRuleStatus{Ports: "80/TCP", Service: "blue/slr-team-a", Conditions: ready},
		},
		"SecurityGroup": &v1.SecurityGroup{
			ObjectMeta: meta,
			Spec: v1.SecurityGroupSpec{
				IngressRules: []v1.SecurityGroupRule{{
					IPVersion: v1.SecurityGroupIPv4, Protocol: v1.SecurityGroupTCP, Priority: 1, RemoteType: v1.SecurityGroupRemoteAddress, RemoteAddress: "10.16.0.0/16",
					LocalAddress: "10.16.0.7", PortRangeMin: 80, PortRangeMax: 443, SourcePortRangeMin: 1, SourcePortRangeMax: 1023, Policy: v1.SecurityGroupPass,
				}},
				EgressRules: []v1.SecurityGroupRule{{
					IPVersion: v1.SecurityGroupIPv6, Protocol: v1.SecurityGroupAll, Priority: 16384, RemoteType: v1.SecurityGroupRemoteGroup, RemoteSecurityGroup: "db",
					Policy: v1.SecurityGroupDrop,
				}},
				AllowSameGroupTraffic: true,
			},
			Status: v1.SecurityGroupStatus{PortGroup: "pg_1", IngressMd5: "1", EgressMd5: "2", IngressLastSyncSuccess: true, Conditions: ready},
		},
		"DNSNameResolver": &v1.DNSNameResolver{
			ObjectMeta: meta,
			Spec:       v1.DNSNameResolverSpec{Name: "*.example.org."},
			Status: v1.DNSNameResolverStatus{ResolvedNames: []v1.DNSNameResolverResolvedName{{
				DNSName: "www.example.org.", ResolutionFailures: 1,
				ResolvedAddresses: []v1.DNSNameResolverResolvedAddress{{IP: "192.0.2.7", TTLSeconds: 30, LastLookupTime: metav1.NewTime(time.Unix(1700000000, 0))}},
			}}},
		},
		"IP": &v1.IP{
			ObjectMeta: meta,
			Spec: v1.IPSpec{
				PodName: "web-0", Namespace: "blue", Subnet: "team-a", IPAddress: "10.66.0.7", V4IPAddress: "10.66.0.7",
				MacAddress: "0a:58:0a:42:00:07", AttachIPs: []string{}, AttachMacs: []string{}, AttachSubnets: []string{},
			},
		},
	} {
		got := roundTrip(t, servers[kind], codec, object)
		object.GetObjectKind().SetGroupVersionKind(v1.GroupVersion.WithKind(kind))
		if diff := cmp.Diff(object, got); diff != "" {
			t.Errorf("%s: -sent +read\n%s", kind, diff)
		}
	}
}

// TestEmpty shows that objects which set only what is required are accepted as Go writes them, empty strings included.
func TestEmpty(t *testing.T) {
	servers := newServers(t)
	codec := newCodec(t)
	meta := metav1.ObjectMeta{Name: "empty"}
	for kind, object := range map[string]runtime.Object{
		"Subnet":        &v1.Subnet{ObjectMeta: meta, Spec: v1.SubnetSpec{CIDRBlock: "10.66.0.0/16"}},
		"Vpc":           &v1.Vpc{ObjectMeta: meta},
		"IP":            &v1.IP{ObjectMeta: meta, Spec: v1.IPSpec{Subnet: "ovn-default", V4IPAddress: "10.16.0.7"}},
		"SecurityGroup": &v1.SecurityGroup{ObjectMeta: meta},
		"SwitchLBRule": &v1.SwitchLBRule{ObjectMeta: meta, Spec: v1.SwitchLBRuleSpec{
			VIP: "10.16.0.99", Namespace: "blue", Selector: []string{"app:web"}, Ports: []v1.SwitchLBRulePort{{Port: 80}},
		}},
	} {
		data, err := runtime.Encode(codec, object)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := servers[kind].create(data); err != nil {
			t.Errorf("%s: %s%s", kind, kubectlText(err), data)
		}
	}
}

func newCodec(t *testing.T) runtime.Codec {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	codecs := serializer.NewCodecFactory(scheme)
	return runtime.NewCodec(codecs.LegacyCodec(v1.GroupVersion), codecs.UniversalDeserializer())
}

// roundTrip writes an object over itself and reads what is stored.
func roundTrip(t *testing.T, s *server, codec runtime.Codec, object runtime.Object) runtime.Object {
	t.Helper()
	data, err := runtime.Encode(codec, object)
	if err != nil {
		t.Fatal(err)
	}
	strategy := s.status
	if strategy == nil {
		strategy = s.main
	}
	stored, err := s.update(strategy, data, data)
	if err != nil {
		t.Fatalf("%s%s", kubectlText(err), data)
	}
	data, err = stored.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	read, err := runtime.Decode(codec, data)
	if err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	return read
}
