package controlplane

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// OlderForTest is the API server as an older one that has no such resource: it is not listed, and asking for it finds nothing. It
// stands on the loopback until the test ends, and needs no credentials.
func OlderForTest(tb testing.TB, c *ControlPlane, resource string) *rest.Config {
	tb.Helper()
	config := c.Config()
	transport, err := rest.TransportFor(config)
	if err != nil {
		tb.Fatal(err)
	}
	target, err := url.Parse(config.Host)
	if err != nil {
		tb.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Transport: transport, FlushInterval: -1, // watches
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			if discovers(r.In.URL.Path) {
				r.Out.Header.Set("Accept", "application/json") // not all groups as one document, as newer servers can
				r.Out.Header.Del("Accept-Encoding")
			}
		},
		ModifyResponse: func(r *http.Response) error { return hide(r, resource) },
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if slices.Contains(strings.Split(r.URL.Path, "/"), resource) {
			http.NotFound(w, r)
			return
		}
		proxy.ServeHTTP(w, r)
	})}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	tb.Cleanup(func() {
		_ = server.Close() // clients may go on watching
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			tb.Error(err)
		}
	})
	return &rest.Config{Host: "http://" + listener.Addr().String()}
}

// discovers tells the lists of groups and of their resources: /api, /apis, /api/v1, /apis/GROUP/VERSION.
func discovers(path string) bool {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	return parts[0] == "api" && len(parts) <= 2 || parts[0] == "apis" && len(parts) <= 3
}

// hide takes a resource out of a list of resources.
func hide(r *http.Response, resource string) error {
	if !discovers(r.Request.URL.Path) || r.StatusCode != http.StatusOK {
		return nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	var list metav1.APIResourceList
	if err := json.Unmarshal(body, &list); err == nil && list.Kind == "APIResourceList" {
		list.APIResources = slices.DeleteFunc(list.APIResources, func(a metav1.APIResource) bool { return strings.Split(a.Name, "/")[0] == resource })
		if body, err = json.Marshal(list); err != nil {
			return err
		}
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	r.Header.Del("Content-Length")
	return nil
}

// KubeconfigForTest writes a file that leads to a server without credentials.
func KubeconfigForTest(tb testing.TB, config *rest.Config) string {
	tb.Helper()
	file := clientcmdapi.NewConfig()
	file.Clusters["c"], file.Contexts["c"], file.CurrentContext = &clientcmdapi.Cluster{Server: config.Host}, &clientcmdapi.Context{Cluster: "c"}, "c"
	path := filepath.Join(tb.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*file, path); err != nil {
		tb.Fatal(err)
	}
	return path
}
