package verdict

import (
	"fmt"
	"strings"

	"golang.org/x/tools/txtar"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"
	"sigs.k8s.io/yaml"

	v1 "github.com/heddle-net/heddle/crds/v1"
)

// Format prints a case to be kept: the comment, then the cluster as the section NAME.yaml of a txtar file.
func (c *Cluster) Format(name, comment string) ([]byte, error) {
	var documents []string
	for _, o := range c.objects() {
		text, err := document(o)
		if err != nil {
			return nil, fmt.Errorf("print the cluster: %w", err)
		}
		documents = append(documents, text)
	}
	return txtar.Format(&txtar.Archive{
		Comment: []byte(strings.TrimSpace(comment) + "\n\n"),
		Files:   []txtar.File{{Name: name + ".yaml", Data: []byte(strings.Join(documents, "---\n"))}},
	}), nil
}

// document leaves out what Go's types print though nobody has set it.
func document(object any) (string, error) {
	text, err := yaml.Marshal(object)
	if err != nil {
		return "", err
	}
	fields := make(map[string]any)
	if err := yaml.Unmarshal(text, &fields); err != nil {
		return "", err
	}
	if kind := fields["kind"]; kind == "SecurityGroup" || kind == "Subnet" {
		delete(fields, "status")
	}
	if status, ok := fields["status"].(map[string]any); ok {
		for _, key := range []string{"conditions", "daemonEndpoints", "nodeInfo"} {
			delete(status, key)
		}
		if len(status) == 0 {
			delete(fields, "status")
		}
	}
	text, err = yaml.Marshal(fields)
	return string(text), err
}

// objects are all of them, each with its kind.
func (c *Cluster) objects() []any {
	var all []any
	all = appendAs(all, c.Namespaces, corev1.SchemeGroupVersion.String(), "Namespace", func(o *corev1.Namespace) *metav1.TypeMeta { return &o.TypeMeta })
	all = appendAs(all, c.Nodes, corev1.SchemeGroupVersion.String(), "Node", func(o *corev1.Node) *metav1.TypeMeta { return &o.TypeMeta })
	all = appendAs(all, c.Pods, corev1.SchemeGroupVersion.String(), "Pod", func(o *corev1.Pod) *metav1.TypeMeta { return &o.TypeMeta })
	all = appendAs(all, c.NetworkPolicies, networkingv1.SchemeGroupVersion.String(), "NetworkPolicy", func(o *networkingv1.NetworkPolicy) *metav1.TypeMeta { return &o.TypeMeta })
	all = appendAs(all, c.AdminNetworkPolicies, v1alpha1.GroupVersion.String(), "AdminNetworkPolicy", func(o *v1alpha1.AdminNetworkPolicy) *metav1.TypeMeta { return &o.TypeMeta })
	all = appendAs(all, c.BaselineAdminNetworkPolicies, v1alpha1.GroupVersion.String(), "BaselineAdminNetworkPolicy", func(o *v1alpha1.BaselineAdminNetworkPolicy) *metav1.TypeMeta { return &o.TypeMeta })
	all = appendAs(all, c.ClusterNetworkPolicies, v1alpha2.GroupVersion.String(), "ClusterNetworkPolicy", func(o *v1alpha2.ClusterNetworkPolicy) *metav1.TypeMeta { return &o.TypeMeta })
	all = appendAs(all, c.SecurityGroups, v1.GroupVersion.String(), "SecurityGroup", func(o *v1.SecurityGroup) *metav1.TypeMeta { return &o.TypeMeta })
	return appendAs(all, c.Subnets, v1.GroupVersion.String(), "Subnet", func(o *v1.Subnet) *metav1.TypeMeta { return &o.TypeMeta })
}

func appendAs[T interface{ DeepCopy() T }](all []any, list []T, version, kind string, meta func(T) *metav1.TypeMeta) []any {
	for _, o := range clones(list) {
		*meta(o) = metav1.TypeMeta{APIVersion: version, Kind: kind}
		all = append(all, o)
	}
	return all
}

// Parse reads YAML documents of the kinds that a Cluster has; a field that the API does not have is an error.
func Parse(text string) (*Cluster, error) {
	c := &Cluster{}
	for document := range strings.SplitSeq(text, "---\n") {
		var kind metav1.TypeMeta
		if err := yaml.Unmarshal([]byte(document), &kind); err != nil {
			return nil, fmt.Errorf("read a document: %w in\n%s", err, document)
		}
		if err := c.add(kind.Kind, []byte(document)); err != nil {
			return nil, fmt.Errorf("read a %s: %w in\n%s", kind.Kind, err, document)
		}
	}
	return c, c.Check()
}

func (c *Cluster) add(kind string, document []byte) error {
	switch kind {
	case "":
		return nil
	case "Namespace":
		return add(&c.Namespaces, document)
	case "Node":
		return add(&c.Nodes, document)
	case "Pod":
		return add(&c.Pods, document)
	case "NetworkPolicy":
		return add(&c.NetworkPolicies, document)
	case "AdminNetworkPolicy":
		return add(&c.AdminNetworkPolicies, document)
	case "BaselineAdminNetworkPolicy":
		return add(&c.BaselineAdminNetworkPolicies, document)
	case "ClusterNetworkPolicy":
		return add(&c.ClusterNetworkPolicies, document)
	case "SecurityGroup":
		return add(&c.SecurityGroups, document)
	case "Subnet":
		return add(&c.Subnets, document)
	}
	return fmt.Errorf("a Cluster has no such kind")
}

func add[T any](list *[]*T, document []byte) error {
	o := new(T)
	*list = append(*list, o)
	return yaml.UnmarshalStrict(document, o)
}
