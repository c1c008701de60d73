package crds_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/install"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apiextensions-apiserver/pkg/registry/customresource"
	"k8s.io/apiextensions-apiserver/pkg/registry/customresourcedefinition"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured/unstructuredscheme"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/yaml"

	"github.com/heddle-net/heddle/crds"
)

// server is the API server's own code for one CustomResourceDefinition, from decoding to validation; only
// storage is missing.
type server struct {
	crd    *apiextensions.CustomResourceDefinition
	schema *structuralschema.Structural
	main   rest.RESTCreateUpdateStrategy
	status rest.RESTUpdateStrategy
}

// newServers gives a server for each manifest, by kind.
func newServers(t testing.TB) map[string]*server {
	t.Helper()
	files, err := crds.FS.ReadDir("manifests")
	if err != nil {
		t.Fatal(err)
	}
	servers := map[string]*server{}
	for _, file := range files {
		data, err := crds.FS.ReadFile("manifests/" + file.Name())
		if err != nil {
			t.Fatal(err)
		}
		s, err := newServer(data)
		if err != nil {
			t.Fatalf("%s: %v", file.Name(), err)
		}
		servers[s.crd.Spec.Names.Kind] = s
	}
	return servers
}

// newServer creates the CustomResourceDefinition as the API server would, with all that it refuses (schemas that are
// not structural, CEL that does not compile or may cost too much), and prepares for its objects.
func newServer(manifest []byte) (*server, error) {
	crd, err := createCRD(manifest)
	if err != nil {
		return nil, err
	}
	schemas := crd.Spec.Validation.OpenAPIV3Schema
	structural, err := structuralschema.NewStructural(schemas)
	if err != nil {
		return nil, err
	}
	validator, _, err := validation.NewSchemaValidator(schemas)
	if err != nil {
		return nil, err
	}
	s := &server{crd: crd, schema: structural}
	return s, s.addStrategies(validator)
}

func (s *server) addStrategies(validator validation.SchemaValidator) error {
	spec := s.crd.Spec
	kind := schema.GroupVersionKind{Group: spec.Group, Version: spec.Versions[0].Name, Kind: spec.Names.Kind}
	typer := unstructuredscheme.NewUnstructuredObjectTyper()
	if spec.Subresources == nil || spec.Subresources.Status == nil {
		s.main = customresource.NewStrategy(typer, false, kind, validator, nil, s.schema, nil, nil, nil)
		return nil
	}
	status := spec.Validation.OpenAPIV3Schema.Properties["status"]
	statusValidator, _, err := validation.NewSchemaValidator(&status)
	if err != nil {
		return err
	}
	strategy := customresource.NewStrategy(typer, false, kind, validator, statusValidator, s.schema, spec.Subresources.Status, nil, nil)
	s.main, s.status = strategy, customresource.NewStatusStrategy(strategy)
	return nil
}

// createCRD takes a manifest through the API server's create path for CustomResourceDefinitions.
func createCRD(manifest []byte) (*apiextensions.CustomResourceDefinition, error) {
	scheme := runtime.NewScheme()
	install.Install(scheme)
	versioned := &apiextensionsv1.CustomResourceDefinition{}
	if err := yaml.UnmarshalStrict(manifest, versioned); err != nil {
		return nil, err
	}
	scheme.Default(versioned)
	crd := &apiextensions.CustomResourceDefinition{}
	if err := scheme.Convert(versioned, crd, nil); err != nil {
		return nil, err
	}
	rest.FillObjectMetaSystemFields(crd)
	return crd, rest.BeforeCreate(customresourcedefinition.NewStrategy(scheme), requestContext(), crd)
}

// decode reads an object as a request of kubectl is read: unknown fields are an error, nulls go, defaults come.
func (s *server) decode(data []byte) (*unstructured.Unstructured, error) {
	asJSON, err := yaml.YAMLToJSON(data)
	if err != nil {
		return nil, err
	}
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON(asJSON); err != nil {
		return nil, err
	}
	tracked := structuralschema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}
	if unknown := pruning.PruneWithOptions(object.Object, s.schema, true, tracked); len(unknown) > 0 {
		kind := object.GetKind()
		return nil, apierrors.NewBadRequest(fmt.Sprintf("%s in version %q cannot be handled as a %s: strict decoding error: unknown field %q",
			kind, object.GroupVersionKind().Version, kind, strings.Join(unknown, `", "`)))
	}
	defaulting.PruneNonNullableNullsWithoutDefaults(object.Object, s.schema)
	defaulting.Default(object.Object, s.schema)
	return object, nil
}

// create gives the object as it would be stored.
func (s *server) create(data []byte) (*unstructured.Unstructured, error) {
	object, err := s.decode(data)
	if err != nil {
		return nil, err
	}
	rest.FillObjectMetaSystemFields(object)
	return object, rest.BeforeCreate(s.main, requestContext(), object)
}

// update gives the object as it would be stored in place of old, which the API server may have accepted under other
// rules: it is not validated.
func (s *server) update(strategy rest.RESTUpdateStrategy, old, data []byte) (*unstructured.Unstructured, error) {
	before, err := s.decode(old)
	if err != nil {
		return nil, fmt.Errorf("old object: %w", err)
	}
	after, err := s.decode(data)
	if err != nil {
		return nil, err
	}
	for _, object := range []*unstructured.Unstructured{before, after} {
		object.SetResourceVersion("1")
		object.SetUID("2c1a")
	}
	return after, rest.BeforeUpdate(strategy, requestContext(), after, before)
}

func requestContext() context.Context {
	return genericapirequest.WithNamespace(genericapirequest.NewContext(), "")
}

// kubectlText is what kubectl prints for an error of the API server, without the name of the file that the object came
// from, and in a fixed order: the API server goes through the fields of an object in that of a map.
func kubectlText(err error) string {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil {
		return fmt.Sprintf("Error from server (BadRequest): %v\n", err)
	}
	details := status.Status().Details
	var lines []string
	for _, cause := range details.Causes {
		lines = append(lines, cause.Field+": "+cause.Message)
	}
	separator := " "
	if len(lines) > 1 {
		separator = "\n* "
	}
	slices.Sort(lines)
	return fmt.Sprintf("The %s %q is invalid:%s%s\n", details.Kind, details.Name, separator, strings.Join(lines, "\n* "))
}
