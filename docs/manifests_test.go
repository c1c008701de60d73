package docs_test

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apiextensions-apiserver/pkg/registry/customresource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured/unstructuredscheme"
	"k8s.io/apimachinery/pkg/runtime/schema"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/yaml"

	"github.com/heddle-net/heddle/crds"
	"github.com/heddle-net/heddle/docs"
)

// builtin are the kinds of Kubernetes that pages use.
var builtin = map[string]func() any{
	"Namespace":     func() any { return &corev1.Namespace{} },
	"Pod":           func() any { return &corev1.Pod{} },
	"Deployment":    func() any { return &appsv1.Deployment{} },
	"DaemonSet":     func() any { return &appsv1.DaemonSet{} },
	"Service":       func() any { return &corev1.Service{} },
	"EndpointSlice": func() any { return &discoveryv1.EndpointSlice{} },
	"ServiceCIDR":   func() any { return &networkingv1.ServiceCIDR{} },
	"NetworkPolicy": func() any { return &networkingv1.NetworkPolicy{} },

	"ClusterRole":        func() any { return &rbacv1.ClusterRole{} },
	"ClusterRoleBinding": func() any { return &rbacv1.ClusterRoleBinding{} },
	"Role":               func() any { return &rbacv1.Role{} },
	"RoleBinding":        func() any { return &rbacv1.RoleBinding{} },
}

// TestManifests shows that every manifest is accepted as its kind, without a field that the kind does not have.
func TestManifests(t *testing.T) {
	kinds := definitions(t)
	seen := 0
	for _, page := range pages(t) {
		for _, b := range page.Blocks {
			if b.Info != docs.Manifest {
				continue
			}
			for _, document := range strings.Split(b.Text, "\n---\n") {
				seen++
				if err := check(kinds, []byte(document)); err != nil {
					t.Errorf("%s:%d: %v", page.Path, b.Line, err)
				}
			}
		}
	}
	if seen < 15 {
		t.Errorf("found %d manifests", seen)
	}
}

// TestManifestsCanFail shows that the check above sees what is wrong.
func TestManifestsCanFail(t *testing.T) {
	kinds := definitions(t)
	const subnet = "apiVersion: kubeovn.io/v1\nkind: Subnet\nmetadata: {name: blue}\nspec: "
	for _, bad := range []string{
		subnet + "{cidrBlok: 10.0.0.0/24}", subnet + "{cidrBlock: 10.0.0.0/33}", subnet + "{cidrBlock: 10.0.0.0/24, gateway: 10.1.0.1}",
		"apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {container: []}", "apiVersion: v1\nkind: Loom",
	} {
		if check(kinds, []byte(bad)) == nil {
			t.Errorf("accepted:\n%s", bad)
		}
	}
}

// definition is what the API server makes of a CustomResourceDefinition.
type definition struct {
	schema   *structuralschema.Structural
	strategy rest.RESTCreateStrategy
}

func definitions(t *testing.T) map[string]definition {
	t.Helper()
	files, err := fs.Glob(crds.FS, "*/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	kinds := make(map[string]definition)
	for _, file := range files {
		data, err := crds.FS.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var crd apiextensionsv1.CustomResourceDefinition
		if err := yaml.UnmarshalStrict(data, &crd); err != nil {
			t.Fatal(err)
		}
		if kinds[crd.Spec.Names.Kind], err = define(&crd); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
	}
	return kinds
}

func define(crd *apiextensionsv1.CustomResourceDefinition) (d definition, err error) {
	props := &apiextensions.JSONSchemaProps{}
	version := crd.Spec.Versions[0]
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(version.Schema.OpenAPIV3Schema, props, nil); err != nil {
		return d, err
	}
	if d.schema, err = structuralschema.NewStructural(props); err != nil {
		return d, err
	}
	validator, _, err := validation.NewSchemaValidator(props)
	if err != nil {
		return d, err
	}
	gvk := schema.GroupVersionKind{Group: crd.Spec.Group, Version: version.Name, Kind: crd.Spec.Names.Kind}
	d.strategy = customresource.NewStrategy(unstructuredscheme.NewUnstructuredObjectTyper(), false, gvk, validator, nil, d.schema, nil, nil, nil)
	return d, nil
}

func check(kinds map[string]definition, document []byte) error {
	asJSON, err := yaml.YAMLToJSONStrict(document)
	if err != nil {
		return err
	}
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON(asJSON); err != nil {
		return err
	}
	if blank := builtin[object.GetKind()]; blank != nil {
		return yaml.UnmarshalStrict(document, blank())
	}
	d, ok := kinds[object.GetKind()]
	if !ok {
		return fmt.Errorf("no kind %q is known here", object.GetKind())
	}
	track := structuralschema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}
	if unknown := pruning.PruneWithOptions(object.Object, d.schema, true, track); len(unknown) > 0 {
		return fmt.Errorf("unknown fields %q", unknown)
	}
	defaulting.Default(object.Object, d.schema)
	rest.FillObjectMetaSystemFields(object)
	return rest.BeforeCreate(d.strategy, genericapirequest.WithNamespace(genericapirequest.NewContext(), ""), object)
}

// TestPagesShareNothing: pages are done at the same time, and each cleans up behind itself, so that no two may make the same object.
func TestPagesShareNothing(t *testing.T) {
	made := map[string]string{}
	for _, page := range pages(t) {
		for _, b := range page.Blocks {
			if b.Info != docs.Manifest {
				continue
			}
			for document := range strings.SplitSeq(b.Text, "\n---\n") {
				var obj struct{ Kind, Metadata any }
				if err := yaml.Unmarshal([]byte(document), &obj); err != nil {
					t.Fatalf("%s:%d: %v", page.Path, b.Line, err)
				}
				m, _ := obj.Metadata.(map[string]any)
				key := fmt.Sprint(obj.Kind, " ", m["namespace"], "/", m["name"])
				if other := made[key]; other != "" && other != page.Path {
					t.Errorf("%s and %s both make %s", other, page.Path, key)
				}
				made[key] = page.Path
			}
		}
	}
}
