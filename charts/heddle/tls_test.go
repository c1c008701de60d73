package heddle

import (
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// secrets are the Secrets of a rendering by name.
func secrets(t *testing.T, rendered string) map[string]*corev1.Secret {
	t.Helper()
	found := map[string]*corev1.Secret{}
	for _, object := range objects(t, rendered) {
		if s, ok := object.(*corev1.Secret); ok {
			found[s.Name] = s
		}
	}
	return found
}

// leaf checks that the certificate in a Secret is whole and returns it.
func leaf(t *testing.T, s *corev1.Secret) *x509.Certificate {
	t.Helper()
	pair, err := tls.X509KeyPair(s.Data["tls.crt"], s.Data["tls.key"])
	if err != nil {
		t.Fatalf("%s: %v", s.Name, err)
	}
	return pair.Leaf
}

func TestCertificateServesAndDials(t *testing.T) {
	found := secrets(t, render(t, ".", "tls: {validityDays: 100}"))
	cert := leaf(t, found["heddle-ovn-tls"])
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(found["heddle-ovn-tls"].Data["ca.crt"]) {
		t.Fatal("no CA in the Secret")
	}
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		if _, err := cert.Verify(x509.VerifyOptions{DNSName: "heddle-ovn", Roots: roots, KeyUsages: []x509.ExtKeyUsage{usage}}); err != nil {
			t.Errorf("usage %v: %v", usage, err)
		}
	}
	if days := time.Until(cert.NotAfter).Hours() / 24; days < 99 || days > 101 {
		t.Errorf("valid for %.1f days, want 100", days)
	}
	if ca := leaf(t, found["heddle-ovn-ca"]); ca.CheckSignatureFrom(ca) != nil || cert.CheckSignatureFrom(ca) != nil {
		t.Error("the CA that is kept did not sign the certificate")
	}
}

// TestNobodyMountsTheCAKey: it is for the next certificate only.
func TestNobodyMountsTheCAKey(t *testing.T) {
	for name, template := range templates(t, render(t, ".", "")) {
		for _, v := range template.Spec.Volumes {
			if v.Secret != nil && v.Secret.SecretName != "heddle-ovn-tls" {
				t.Errorf("%s mounts %s", name, v.Secret.SecretName)
			}
		}
	}
}

func TestOwnSecretIsUsed(t *testing.T) {
	rendered := render(t, ".", "tls: {existingSecret: mine}")
	if found := secrets(t, rendered); len(found) > 0 {
		t.Errorf("the chart makes %d Secrets besides the user's own", len(found))
	}
	for name, template := range templates(t, rendered) {
		for _, v := range template.Spec.Volumes {
			if v.Secret != nil && v.Secret.SecretName != "mine" {
				t.Errorf("%s mounts %s", name, v.Secret.SecretName)
			}
		}
	}
}
