package feed

import (
	"cmp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/heddle-net/heddle/crds/v1"

	"github.com/heddle-net/heddle/controller/state"
)

// SwitchLBRule converts a SwitchLBRule, which serves one VPC.
func SwitchLBRule(obj *v1.SwitchLBRule, vpc string) *state.SwitchLBRule {
	r := &state.SwitchLBRule{
		Name: obj.Name, UID: string(obj.UID), Vpc: vpc, Service: obj.Spec.Namespace + "/" + obj.ServiceName(),
		Affinity: obj.Spec.SessionAffinity == string(corev1.ServiceAffinityClientIP), Created: obj.CreationTimestamp.Time,
		Checked: obj.Annotations[v1.AnnotationHealthCheck] != "false",
	}
	vips, err := ParseAddrs(obj.Spec.VIP)
	if err != nil || len(vips) == 0 {
		r.Invalid = "spec.vip: " + cmp.Or(errText(err), "is empty")
		return r
	}
	r.VIPs = vips
	for _, p := range obj.Spec.Ports {
		if protocol, ok := protocolOf(corev1.Protocol(p.Protocol)); ok {
			r.Ports = append(r.Ports, state.ServicePort{Name: p.Name, Protocol: protocol, Port: uint16(p.Port)})
		}
	}
	return r
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// RuleService converts a Service that belongs to a SwitchLBRule; nil for all others.
func RuleService(obj *corev1.Service) *state.RuleService {
	if owner := RuleOf(obj); owner != nil {
		return &state.RuleService{RuleUID: string(owner.UID)}
	}
	return nil
}

// RuleOf is the SwitchLBRule that an object belongs to, nil when it is none's.
func RuleOf(obj metav1.Object) *metav1.OwnerReference {
	owner := metav1.GetControllerOf(obj)
	if owner == nil || owner.Kind != "SwitchLBRule" || !strings.HasPrefix(owner.APIVersion, v1.GroupName+"/") {
		return nil
	}
	return owner
}
