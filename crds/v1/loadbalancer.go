package v1

import (
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// ProviderL2 is the provider of Subnets whose addresses are those of the nodes' own network: pools for Services of type LoadBalancer.
const ProviderL2 = "l2.heddle.dev"

// LoadBalancerClassL2 is the spec.loadBalancerClass of Services that get addresses from such a pool.
const LoadBalancerClassL2 = "heddle.dev/l2"

// AnnotationServicePool names, on a Service, the pool. A Service without a class asks for an address by it.
const AnnotationServicePool = AnnotationPrefix + "service_external_ip_from_subnet"

// AsksForAddress tells whether a Service gets its addresses from a pool of ours, and from which one; "" leaves the choice to us. Services
// of another class are others'.
func AsksForAddress(s *corev1.Service) (pool string, ok bool) {
	if s.Spec.Type != corev1.ServiceTypeLoadBalancer {
		return "", false
	}
	pool = s.Annotations[AnnotationServicePool]
	if class := s.Spec.LoadBalancerClass; class != nil {
		return pool, *class == LoadBalancerClassL2
	}
	return pool, pool != ""
}

// balancerPrefix starts the names of the IP objects of Services.
const balancerPrefix = "lb-"

// BalancerIP is the name of the IP object that records the addresses of a Service: lb-<length of the Namespace's name>-<namespace>-<service>.
// Names of Namespaces and Services have no dots but may have any hyphens: the length tells where one ends, and without a dot it
// is never the name of a Pod's IP object.
func BalancerIP(namespace, service string) string {
	return fmt.Sprintf("%s%d-%s-%s", balancerPrefix, len(namespace), namespace, service)
}

// ServiceOfIP reads the name that BalancerIP makes; ok is false for every other name.
func ServiceOfIP(ip string) (namespace, service string, ok bool) {
	length, rest, _ := strings.Cut(strings.TrimPrefix(ip, balancerPrefix), "-")
	n, err := strconv.Atoi(length)
	if err != nil || n < 1 || n > len(rest)-2 || rest[n] != '-' {
		return "", "", false
	}
	namespace, service = rest[:n], rest[n+1:]
	return namespace, service, BalancerIP(namespace, service) == ip && !strings.Contains(ip, ".")
}
