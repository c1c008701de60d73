package pki

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"testing"
)

func TestIssuedPairIsValidForItsHosts(t *testing.T) {
	a, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Issue(Request{Name: "server", CommonName: "server", Hosts: []string{"192.0.2.1", "server.test"}}); err != nil {
		t.Fatal(err)
	}
	for host, valid := range map[string]bool{"192.0.2.1": true, "server.test": true, "other.test": false} {
		if err := verify(t, a, host); (err == nil) != valid {
			t.Errorf("certificate for %s: %v, want success %v", host, err, valid)
		}
	}
}

func TestOpenAgainKeepsTheAuthority(t *testing.T) {
	dir := t.TempDir()
	first, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	second, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !first.cert.Equal(second.cert) {
		t.Error("the second Open made another authority")
	}
}

func TestKeyPairStays(t *testing.T) {
	a, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var keys [2]string
	for i := range keys {
		if err := a.KeyPair("tokens"); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(a.KeyFile("tokens"))
		if err != nil {
			t.Fatal(err)
		}
		keys[i] = string(data)
	}
	if keys[0] != keys[1] {
		t.Error("the second KeyPair replaced the first")
	}
}

// verify checks the pair as a TLS client does that connects to a host.
func verify(t *testing.T, a *Authority, host string) error {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(a.CertFile("server"), a.KeyFile("server"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	_, err = pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: host})
	return err
}
