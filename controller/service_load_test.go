package controller_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"

	"github.com/heddle-net/heddle/controller/state"
	"github.com/heddle-net/heddle/ovs/nb"
	"github.com/heddle-net/heddle/ovs/nb/db"
)

// endpointsEach is how many endpoints each Service has.
const endpointsEach = 10

// services are Services with EndpointSlices written by hand: nobody else is there to write them.
type services struct {
	*load
	api       kubernetes.Interface
	protocols []corev1.Protocol
	slices    []*discoveryv1.EndpointSlice // as the API server has them
}

func (l *load) services(n int, protocols ...corev1.Protocol) *services {
	l.Helper()
	config := l.plane.Config()
	config.QPS, config.ContentType = -1, "application/vnd.kubernetes.protobuf"
	api, err := kubernetes.NewForConfig(config)
	l.must(err)
	return &services{load: l, api: api, protocols: protocols, slices: make([]*discoveryv1.EndpointSlice, n)}
}

func serviceName(i int) string { return fmt.Sprintf("service-%04d", i) }

func (s *services) service(i int) *corev1.Service {
	obj := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: serviceName(i)}}
	for _, p := range s.protocols {
		obj.Spec.Ports = append(obj.Spec.Ports, corev1.ServicePort{Name: portName(p), Port: 80, TargetPort: intstr.FromInt(8080), Protocol: p})
	}
	return obj
}

func portName(p corev1.Protocol) string { return strings.ToLower(string(p)) }

func (s *services) slice(i int) *discoveryv1.EndpointSlice {
	obj := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "default", Name: serviceName(i) + "-1", Labels: map[string]string{discoveryv1.LabelServiceName: serviceName(i)}},
		AddressType: discoveryv1.AddressTypeIPv4,
	}
	for _, p := range s.protocols {
		obj.Ports = append(obj.Ports, discoveryv1.EndpointPort{Name: ptr.To(portName(p)), Port: ptr.To[int32](8080), Protocol: ptr.To(p)})
	}
	for e := range endpointsEach {
		number := i*endpointsEach + e
		obj.Endpoints = append(obj.Endpoints, discoveryv1.Endpoint{Addresses: []string{fmt.Sprintf("10.16.%d.%d", number/200, 10+number%200)}})
	}
	return obj
}

// createAll posts each Service and then its slice, in the order in which Kubernetes makes them.
func (s *services) createAll() {
	s.Helper()
	s.each(len(s.slices), creators, 0, func(i int) error {
		if _, err := s.api.CoreV1().Services("default").Create(s.Context(), s.service(i), metav1.CreateOptions{}); err != nil {
			return err
		}
		made, err := s.api.DiscoveryV1().EndpointSlices("default").Create(s.Context(), s.slice(i), metav1.CreateOptions{})
		s.slices[i] = made
		return err
	})
}

// replaceOne gives each Service another endpoint in the place of its last one.
func (s *services) replaceOne() {
	s.Helper()
	s.each(len(s.slices), creators, 0, func(i int) error {
		obj := s.slices[i].DeepCopy()
		obj.Endpoints[endpointsEach-1].Addresses = []string{fmt.Sprintf("10.17.%d.%d", i/200, 10+i%200)}
		made, err := s.api.DiscoveryV1().EndpointSlices("default").Update(s.Context(), obj, metav1.UpdateOptions{})
		s.slices[i] = made
		return err
	})
}

// deleteAll deletes each Service and then its slice, as Kubernetes does.
func (s *services) deleteAll() {
	s.Helper()
	s.each(len(s.slices), creators, 0, func(i int) error {
		if err := s.api.CoreV1().Services("default").Delete(s.Context(), serviceName(i), metav1.DeleteOptions{}); err != nil {
			return err
		}
		return s.api.DiscoveryV1().EndpointSlices("default").Delete(s.Context(), s.slices[i].Name, metav1.DeleteOptions{})
	})
}

// waitEndpoints returns when the database has the endpoints of all Services.
func (s *services) waitEndpoints() {
	s.Helper()
	left := len(s.slices)
	s.northboundIs(func() string {
		for left > 0 && s.balanced(left-1) {
			left--
		}
		return missing(left, "Services are not in the database as they should be")
	})
}

// waitNone returns when the database has no Service of ours any more.
func (s *services) waitNone() {
	s.Helper()
	s.northboundIs(func() string {
		left := 0
		for _, o := range s.northbound.Owners() {
			if o.Kind == state.KindService && strings.HasPrefix(o.Key, "default/service-") {
				left++
			}
		}
		return missing(left, "Services are in the database still")
	})
}

func missing(n int, what string) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%d %s", n, what)
}

func (s *services) balanced(i int) bool {
	var want []string
	for _, e := range s.slices[i].Endpoints {
		want = append(want, e.Addresses[0]+":8080")
	}
	slices.Sort(want)
	rows := s.northbound.Owned(nb.Owner{Kind: state.KindService, Key: "default/" + serviceName(i)})
	for _, row := range rows {
		balancer, ok := s.northbound.Row(row).(*db.LoadBalancer)
		if !ok || len(balancer.Vips) != 1 {
			return false
		}
		for _, endpoints := range balancer.Vips {
			if endpoints != strings.Join(want, ",") {
				return false
			}
		}
	}
	return len(rows) == len(s.protocols)
}

// phase is what a change of all Services has cost.
type phase struct {
	own, writes counters
	used        usage
	posted, lag time.Duration // until the API server's last answer, and from then on until all is in the database
}

// during measures from the first request until the database has everything.
func (s *services) during(ask, wait func()) phase {
	s.Helper()
	s.northboundIs(func() string { return "" }) // connect
	own, writes, used, repairs := s.mustOwn(), s.apiWrites(), s.usage(), s.repairs()
	began := time.Now()
	ask()
	answered := time.Now()
	wait()
	p := phase{posted: answered.Sub(began), lag: time.Since(answered)}
	s.waitIdle()
	p.own, p.writes, p.used = s.mustOwn().since(own), s.apiWrites().since(writes), s.usage().since(used)
	p.writes["POST events"] -= s.repairs() - repairs
	return p
}

// repairs counts Events of the API server's own, about ClusterIPs that it was slow to record.
func (s *services) repairs() (n float64) {
	s.Helper()
	var events corev1.EventList
	s.must(s.client.List(s.Context(), &events))
	for _, e := range events.Items {
		if e.Source.Component+e.ReportingController == "ipallocator-repair-controller" {
			n++
		}
	}
	return n
}

// ofOthers are the writes that the load itself makes, and the API server for its ClusterIPs; and the status of Subnets, which is
// written once more when the rig has begun.
var ofOthers = []string{"services", "endpointslices", "ipaddresses", "subnets/status"}

// ownWrites lists what somebody else has written, which can only be the controller.
func (p phase) ownWrites() (list []string) {
	for what, n := range p.writes {
		_, resource, _ := strings.Cut(what, " ")
		if n > 0 && !slices.Contains(ofOthers, resource) {
			list = append(list, fmt.Sprintf("%s %.0f", what, n))
		}
	}
	return list
}
