package service

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
)

// TestHealth asks as a load balancer does, while endpoints come and go.
func TestHealth(t *testing.T) {
	port := freePort(t)
	wake := make(chan struct{}, 1)
	x := newIndex(func() { wake <- struct{}{} })
	fill(t, x, fmt.Sprintf(`
metadata: {namespace: default, name: web}
spec: {type: LoadBalancer, clusterIPs: [10.96.0.10], ports: [{port: 80, nodePort: 30080}], externalTrafficPolicy: Local, healthCheckNodePort: %d}
`, port))
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	h := &Health{Checks: x.Checks, Wake: wake, Ready: func() error { return nil }, Log: logr.Discard()}
	go func() { ended <- h.Run(ctx) }()
	url := fmt.Sprintf("http://127.0.0.1:%d/healthz", port)
	until(t, url, 503, `{"service":{"namespace":"default","name":"web"},"localEndpoints":0,"serviceProxyHealthy":true}`)
	fill(t, x, strings.TrimPrefix(slice("{addresses: [10.16.0.5], nodeName: n1}, {addresses: [10.16.0.6], nodeName: n2}"), "---\n"))
	until(t, url, 200, `{"service":{"namespace":"default","name":"web"},"localEndpoints":1,"serviceProxyHealthy":true}`)
	fill(t, x, strings.TrimPrefix(slice("{addresses: [10.16.0.5], nodeName: n1, conditions: {ready: false, serving: true, terminating: true}}"), "---\n"))
	until(t, url, 503, `{"service":{"namespace":"default","name":"web"},"localEndpoints":0,"serviceProxyHealthy":true}`)
	x.DeleteService("default/web")
	until(t, url, 0, "")
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	n, _ := strconv.Atoi(port)
	return n
}

// until asks until the answer is as wanted; code 0 = nobody answers. Only the answer itself tells.
func until(t *testing.T, url string, code int, body string) {
	t.Helper()
	end := time.Now().Add(10 * time.Second)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for {
		got, text := 0, ""
		if r, err := client.Get(url); err == nil {
			b, _ := io.ReadAll(r.Body)
			r.Body.Close()
			got, text = r.StatusCode, strings.TrimSpace(string(b))
		}
		if got == code && text == body {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: %d %s, want %d %s", url, got, text, code, body)
		}
	}
}
