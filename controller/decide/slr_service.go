package decide

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/heddle-net/heddle/controller/compile"
	"github.com/heddle-net/heddle/controller/feed"
	v1 "github.com/heddle-net/heddle/crds/v1"
)

// managedBy marks the EndpointSlices that are written here (label endpointslice.kubernetes.io/managed-by).
const managedBy = "heddle"

// service makes the headless Service that lists the endpoints of a rule: by its selector, Kubernetes itself finds them and says
// which are ready; addresses of the rule's own are put into EndpointSlices. It returns what somebody must mend.
func (r *SwitchLBRules) service(ctx context.Context, rule *v1.SwitchLBRule) (*compile.Problem, error) {
	if err := r.leave(ctx, rule); err != nil {
		return nil, err
	}
	want := serviceOf(rule)
	key := client.ObjectKeyFromObject(want)
	var have corev1.Service
	err := r.client.Get(ctx, key, &have)
	switch {
	case apierrors.IsNotFound(err):
		if err := r.client.Create(ctx, want); err != nil {
			if refusal := refusedByAPI(err, rule.Spec.Namespace); refusal != nil {
				return refusal, nil
			}
			return nil, fmt.Errorf("create Service %s: %w", key, err)
		}
		have = *want
	case err != nil:
		return nil, fmt.Errorf("get Service %s: %w", key, err)
	case !metav1.IsControlledBy(&have, rule):
		return problem(reasonNotOurs, "Service %s is not this rule's: remove it, or give the rule another name", key), nil
	case !sameEndpoints(&have.Spec, &want.Spec): // Kubernetes would leave the endpoints that it has listed before
		return nil, r.deleteService(ctx, &have) // its end brings the rule again
	default:
		if err := r.mend(ctx, &have, want); err != nil {
			return nil, err
		}
	}
	return r.slices(ctx, rule, &have)
}

// leave removes the Service in the Namespace that the rule had before.
func (r *SwitchLBRules) leave(ctx context.Context, rule *v1.SwitchLBRule) error {
	namespace, name, _ := strings.Cut(rule.Status.Service, "/")
	if namespace == "" || namespace == rule.Spec.Namespace {
		return nil
	}
	var old corev1.Service
	err := r.client.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, &old)
	if err != nil || !metav1.IsControlledBy(&old, rule) {
		return client.IgnoreNotFound(err)
	}
	return r.deleteService(ctx, &old)
}

func (r *SwitchLBRules) deleteService(ctx context.Context, obj *corev1.Service) error {
	err := r.client.Delete(ctx, obj, client.Preconditions{UID: &obj.UID})
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("delete Service %s/%s: %w", obj.Namespace, obj.Name, err)
	}
	return nil
}

// mend makes the Service again what it was made as.
func (r *SwitchLBRules) mend(ctx context.Context, have, want *corev1.Service) error {
	fixed := have.DeepCopy()
	fixed.Spec.Selector, fixed.Spec.PublishNotReadyAddresses = want.Spec.Selector, false
	same := slices.EqualFunc(have.Spec.Ports, want.Spec.Ports, func(a, b corev1.ServicePort) bool {
		return a.Name == b.Name && a.Port == b.Port && a.TargetPort == b.TargetPort && a.Protocol == b.Protocol
	})
	if !same {
		fixed.Spec.Ports = want.Spec.Ports
	}
	if apiequality.Semantic.DeepEqual(have, fixed) {
		return nil
	}
	if err := r.client.Update(ctx, fixed); err != nil {
		return fmt.Errorf("update Service %s/%s: %w", fixed.Namespace, fixed.Name, err)
	}
	return nil
}

// sameEndpoints tells whether a Service has always had a selector, or never, and the same families.
func sameEndpoints(have, want *corev1.ServiceSpec) bool {
	if (len(have.Selector) == 0) != (len(want.Selector) == 0) || ptr.Deref(have.IPFamilyPolicy, "") != *want.IPFamilyPolicy {
		return false
	}
	return len(want.IPFamilies) == 0 || slices.Equal(have.IPFamilies, want.IPFamilies)
}

func serviceOf(rule *v1.SwitchLBRule) *corev1.Service {
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: rule.Spec.Namespace, Name: rule.ServiceName(), Labels: map[string]string{labelManagedBy: managedBy},
			OwnerReferences: []metav1.OwnerReference{ownerRef(v1.GroupVersion.String(), "SwitchLBRule", rule)},
		},
		Spec: corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone, Selector: selectorOf(rule)},
	}
	s.Spec.IPFamilyPolicy = ptr.To(corev1.IPFamilyPolicyPreferDualStack)
	if families := ruleFamilies(rule); len(families) == 1 {
		s.Spec.IPFamilyPolicy, s.Spec.IPFamilies = ptr.To(corev1.IPFamilyPolicySingleStack), families
	}
	for _, p := range rule.Spec.Ports {
		s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{
			Name: p.Name, Port: p.Port, TargetPort: intstr.FromInt32(targetPort(p)), Protocol: protocolName(p),
		})
	}
	return s
}

// ownerRef does without blockOwnerDeletion, for which it takes a right on the owner's finalizers.
func ownerRef(version, kind string, owner metav1.Object) metav1.OwnerReference {
	return metav1.OwnerReference{APIVersion: version, Kind: kind, Name: owner.GetName(), UID: owner.GetUID(), Controller: ptr.To(true)}
}

func selectorOf(rule *v1.SwitchLBRule) map[string]string {
	selector := make(map[string]string)
	for _, text := range rule.Spec.Selector {
		key, value, _ := strings.Cut(text, ":")
		selector[strings.TrimSpace(key)] = strings.TrimSpace(value)
	}
	if len(rule.Spec.Endpoints) > 0 || len(selector) == 0 {
		return nil
	}
	return selector
}

func ruleFamilies(rule *v1.SwitchLBRule) (families []corev1.IPFamily) {
	vips, _ := feed.ParseAddrs(rule.Spec.VIP) // the compiler tells what is wrong with it
	for _, vip := range vips {
		families = append(families, familyOf(vip))
	}
	return families
}

func familyOf(addr netip.Addr) corev1.IPFamily {
	if addr.Is4() {
		return corev1.IPv4Protocol
	}
	return corev1.IPv6Protocol
}

func targetPort(p v1.SwitchLBRulePort) int32 { return cmp.Or(p.TargetPort, p.Port) }

func protocolName(p v1.SwitchLBRulePort) corev1.Protocol {
	return corev1.Protocol(cmp.Or(p.Protocol, string(corev1.ProtocolTCP)))
}

// slices writes the rule's own endpoints, an EndpointSlice for each family. They go with the Service.
func (r *SwitchLBRules) slices(ctx context.Context, rule *v1.SwitchLBRule, service *corev1.Service) (*compile.Problem, error) {
	if len(rule.Spec.Endpoints) == 0 {
		return nil, nil
	}
	for _, family := range []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol} {
		refusal, err := r.slice(ctx, sliceOf(rule, service, family))
		if refusal != nil || err != nil {
			return refusal, err
		}
	}
	return nil, nil
}

// slice makes an EndpointSlice what is wanted. It is read from the API server: the cache keeps none.
func (r *SwitchLBRules) slice(ctx context.Context, want *discoveryv1.EndpointSlice) (*compile.Problem, error) {
	key := client.ObjectKeyFromObject(want)
	var have discoveryv1.EndpointSlice
	err := r.client.Get(ctx, key, &have)
	switch {
	case apierrors.IsNotFound(err) && len(want.Endpoints) == 0:
		return nil, nil
	case apierrors.IsNotFound(err):
		err = r.client.Create(ctx, want)
	case err != nil:
	case have.Labels[discoveryv1.LabelManagedBy] != managedBy:
		return problem(reasonNotOurs, "EndpointSlice %s is not this rule's: remove it, or give the rule another name", key), nil
	case len(want.Endpoints) == 0:
		err = client.IgnoreNotFound(r.client.Delete(ctx, &have, client.Preconditions{UID: &have.UID}))
	default:
		fixed := have.DeepCopy()
		fixed.Endpoints, fixed.Ports, fixed.OwnerReferences = want.Endpoints, want.Ports, want.OwnerReferences
		maps.Copy(fixed.Labels, want.Labels)
		if !apiequality.Semantic.DeepEqual(&have, fixed) {
			err = r.client.Update(ctx, fixed)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("write EndpointSlice %s: %w", key, err)
	}
	return nil, nil
}

func sliceOf(rule *v1.SwitchLBRule, service *corev1.Service, family corev1.IPFamily) *discoveryv1.EndpointSlice {
	s := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: service.Namespace, Name: service.Name + "-" + strings.ToLower(string(family)),
			Labels:          map[string]string{discoveryv1.LabelServiceName: service.Name, discoveryv1.LabelManagedBy: managedBy},
			OwnerReferences: []metav1.OwnerReference{ownerRef("v1", "Service", service)},
		},
		AddressType: discoveryv1.AddressType(family),
	}
	for _, p := range rule.Spec.Ports {
		s.Ports = append(s.Ports, discoveryv1.EndpointPort{Name: ptr.To(p.Name), Port: ptr.To(targetPort(p)), Protocol: ptr.To(protocolName(p))})
	}
	for _, text := range rule.Spec.Endpoints {
		if addr, err := netip.ParseAddr(text); err == nil && familyOf(addr) == family {
			s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{
				Addresses: []string{addr.String()}, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true)},
			})
		}
	}
	return s
}
