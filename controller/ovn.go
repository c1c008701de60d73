package controller

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"

	discoveryv1 "k8s.io/api/discovery/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/heddle-net/heddle/ovs/endpoint"
)

// Database says where one of OVN's databases is.
type Database struct {
	// Addr is a list of unix:/path, tcp:host:port or ssl:host:port, separated by commas. It wins over Service.
	Addr string
	// Service is the namespace/name of a headless Service. Its EndpointSlices are read from the API server each time a
	// connection is made: neither DNS nor ClusterIPs work before the network does.
	Service string
	// CAFile, CertFile and KeyFile are PEM files, read anew for each connection, so that renewed ones count at once.
	CAFile, CertFile, KeyFile string
}

// serverName is the DNS name in the certificates of OVN's database servers.
const serverName = "heddle-ovn"

// endpoints finds the database.
func (d Database) endpoints(ctx context.Context, reader client.Reader) ([]string, error) {
	if d.Addr != "" {
		return strings.Split(d.Addr, ","), nil
	}
	namespace, name, ok := strings.Cut(d.Service, "/")
	if !ok {
		return nil, fmt.Errorf("%q is not the namespace/name of a Service", d.Service)
	}
	var slices discoveryv1.EndpointSliceList
	err := reader.List(ctx, &slices, client.InNamespace(namespace), client.MatchingLabels{discoveryv1.LabelServiceName: name})
	if err != nil {
		return nil, fmt.Errorf("read the endpoints of Service %s: %w", d.Service, err)
	}
	found := endpoint.Of(slices.Items)
	if len(found) == 0 {
		return nil, fmt.Errorf("the Service %s has no endpoints yet", d.Service)
	}
	return found, nil
}

// tls returns nil when no files are given. Both ends verify the other.
func (d Database) tls() (*tls.Config, error) {
	if d.CAFile == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(d.CAFile)
	if err != nil {
		return nil, fmt.Errorf("read the CA: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", d.CAFile)
	}
	cert, err := tls.LoadX509KeyPair(d.CertFile, d.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("read the client certificate: %w", err)
	}
	return &tls.Config{
		RootCAs: roots, Certificates: []tls.Certificate{cert}, ServerName: serverName, MinVersion: tls.VersionTLS12,
	}, nil
}
