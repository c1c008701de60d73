package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// Check is what a load balancer asks a node for: whether it has endpoints of a Service whose policy is Local.
type Check struct {
	Port            uint16
	Namespace, Name string
	Local           int // endpoints on this node that are ready
}

// checkOf is the zero Check for a Service without a health check.
func (p place) checkOf(s *corev1.Service, list []*discoveryv1.EndpointSlice) Check {
	wanted := s.Spec.Type == corev1.ServiceTypeLoadBalancer && s.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
	if !wanted || s.Spec.HealthCheckNodePort == 0 {
		return Check{}
	}
	here := map[netip.Addr]bool{}
	for _, port := range s.Spec.Ports {
		for _, v4 := range []bool{true, false} {
			for _, e := range endpointsOf(list, port, v4) {
				if e.ready && e.node == p.node {
					here[e.at.Addr()] = true
				}
			}
		}
	}
	return Check{Port: uint16(s.Spec.HealthCheckNodePort), Namespace: s.Namespace, Name: s.Name, Local: len(here)}
}

// Health serves the health checks of load balancers, with the answers of kube-proxy: 200 while the node has an endpoint that
// is ready, else 503, and a body in JSON.
type Health struct {
	Checks func() []Check
	Wake   <-chan struct{} // a value after a change of Checks
	Ready  func() error    // why the node's network does not work
	Log    logr.Logger

	running map[uint16]*checkServer
}

// Run serves until ctx is done. A port that somebody else has is logged, and tried again at the next change.
func (h *Health) Run(ctx context.Context) error {
	h.running = map[uint16]*checkServer{}
	defer func() { h.sync(nil) }()
	for {
		h.sync(h.Checks())
		select {
		case <-h.Wake:
		case <-ctx.Done():
			return nil
		}
	}
}

func (h *Health) sync(checks []Check) {
	wanted := map[uint16]bool{}
	for _, c := range checks {
		wanted[c.Port] = true
		if s := h.running[c.Port]; s != nil {
			s.check.Store(&c)
			continue
		}
		s, err := h.listen(c)
		if err != nil {
			h.Log.Error(err, "cannot answer the health checks of a Service", "service", c.Namespace+"/"+c.Name)
			continue
		}
		h.running[c.Port] = s
	}
	for port, s := range h.running {
		if !wanted[port] {
			s.stop()
			delete(h.running, port)
		}
	}
}

// checkServer serves one port.
type checkServer struct {
	check   atomic.Pointer[Check]
	ready   func() error
	server  *http.Server
	serving sync.WaitGroup
}

func (h *Health) listen(c Check) (*checkServer, error) {
	l, err := net.Listen("tcp", net.JoinHostPort("", strconv.Itoa(int(c.Port))))
	if err != nil {
		return nil, fmt.Errorf("health check: %w", err)
	}
	s := &checkServer{ready: h.Ready}
	s.check.Store(&c)
	s.server = &http.Server{Handler: s, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}
	s.serving.Go(func() {
		if err := s.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			h.Log.Error(err, "the health checks of a Service ended", "port", c.Port)
		}
	})
	return s, nil
}

func (s *checkServer) stop() {
	_ = s.server.Close()
	s.serving.Wait()
}

// answer is the body, by kube-proxy's names.
type answer struct {
	Service struct {
		Namespace string `json:"namespace"`
		Name      string `json:"name"`
	} `json:"service"`
	LocalEndpoints      int  `json:"localEndpoints"`
	ServiceProxyHealthy bool `json:"serviceProxyHealthy"`
}

// ServeHTTP answers every path.
func (s *checkServer) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	c := s.check.Load()
	a := answer{LocalEndpoints: c.Local, ServiceProxyHealthy: s.ready() == nil}
	a.Service.Namespace, a.Service.Name = c.Namespace, c.Name
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("X-Load-Balancing-Endpoint-Weight", strconv.Itoa(c.Local))
	if c.Local == 0 || !a.ServiceProxyHealthy {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(a) // the asker is gone
}
