package v1

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"

	"k8s.io/utils/ptr"
)

// TestUnsupported sets one field after the other: each is either supported or named by Unsupported, so that a new
// field cannot be forgotten.
func TestUnsupported(t *testing.T) {
	supported := []string{
		"cidrBlock", "gateway", "excludeIps", "protocol", "default", "mtu", "vpc", "namespaces", "namespaceSelectors",
		"natOutgoing", "disableGatewayCheck", "disableInterConnection", "enableLb", "private", "allowSubnets", "allowEWTraffic", "acls",
	}
	specs := map[string]json.RawMessage{
		"u2oFeatures": json.RawMessage(`{"overlayOnlyRouting":true}`),
		"bfdPort":     json.RawMessage(`{"enabled":true}`),
	}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[SubnetSpec]()) {
		if field.Anonymous {
			continue
		}
		var spec SubnetSpec
		name := set(t, &spec, field, specs)
		check(t, name, spec.Unsupported(), !slices.Contains(supported, name))
	}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[VpcSpec]()) {
		var spec VpcSpec
		name := set(t, &spec, field, specs)
		check(t, name, spec.Unsupported(), true)
	}
}

// TestUnsupportedValues is about fields of which only some values are supported.
func TestUnsupportedValues(t *testing.T) {
	for _, test := range []struct {
		spec SubnetSpec
		want []string
	}{
		{SubnetSpec{}, nil},
		{SubnetSpec{Provider: "ovn", GatewayType: "distributed", Protocol: "Dual"}, nil},
		{SubnetSpec{Provider: "l2.heddle.dev"}, nil},
		{SubnetSpec{Provider: "net1.default.ovn"}, []string{"provider"}},
		{SubnetSpec{GatewayType: "centralized"}, []string{"gatewayType"}},
		{SubnetSpec{Protocol: "Mac"}, []string{"protocol"}},
		{SubnetSpec{SubnetLinkSpec: SubnetLinkSpec{EnableLb: ptr.To(true), U2OFeatures: &U2OFeatures{}}}, nil},
		{SubnetSpec{Provider: "l2.heddle.dev", SubnetSecuritySpec: SubnetSecuritySpec{Private: true, AllowSubnets: []string{"10.17.0.0/16"}}}, []string{"private", "allowSubnets"}},
	} {
		if got := test.spec.Unsupported(); !slices.Equal(got, test.want) {
			t.Errorf("%+v: got %q, want %q", test.spec, got, test.want)
		}
	}
	if got := (&VpcSpec{BFDPort: &BFDPort{IP: "10.255.255.255"}}).Unsupported(); got != nil {
		t.Errorf("a BFD port that is not enabled: got %q", got)
	}
}

// set gives a field of the spec some value through JSON and returns the field's json name.
func set(t *testing.T, spec any, field reflect.StructField, special map[string]json.RawMessage) string {
	t.Helper()
	name := jsonName(field)
	value, ok := special[name]
	if !ok {
		value = someJSON(field.Type)
	}
	data, err := json.Marshal(map[string]json.RawMessage{name: value})
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, spec); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return name
}

func someJSON(typ reflect.Type) json.RawMessage {
	switch typ.Kind() {
	case reflect.Pointer:
		return someJSON(typ.Elem())
	case reflect.Slice:
		return json.RawMessage("[" + string(someJSON(typ.Elem())) + "]")
	case reflect.Struct:
		return json.RawMessage("{}")
	case reflect.Bool:
		return json.RawMessage("true")
	case reflect.String:
		return json.RawMessage(`"some"`)
	default:
		return json.RawMessage("1000")
	}
}

func check(t *testing.T, name string, got []string, unsupported bool) {
	t.Helper()
	if unsupported && !slices.Equal(got, []string{name}) {
		t.Errorf("%s is set: Unsupported gives %q", name, got)
	}
	if !unsupported && got != nil {
		t.Errorf("%s is set and supported: Unsupported gives %q", name, got)
	}
}
