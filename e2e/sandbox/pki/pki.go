package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

const validity = 365 * 24 * time.Hour

// Authority signs the certificates of one cluster and keeps them in one folder.
type Authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Request describes one certificate. It is valid for both ends of a connection.
type Request struct {
	Name          string   // of the two files
	CommonName    string   // the user, for a client of Kubernetes
	Organizations []string // the user's groups
	Hosts         []string // addresses and DNS names, for a server
}

// Open reads the authority of a folder, or makes one where there is none.
func Open(dir string) (*Authority, error) {
	a, err := read(dir)
	if errors.Is(err, fs.ErrNotExist) {
		a, err = create(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("certificate authority in %s: %w", dir, err)
	}
	return a, nil
}

// CertFile is the path of a certificate of the folder; "ca" is the authority's own.
func (a *Authority) CertFile(name string) string { return filepath.Join(a.dir, name+".crt") }

// KeyFile is the path of the private key that belongs to CertFile.
func (a *Authority) KeyFile(name string) string { return filepath.Join(a.dir, name+".key") }

// Issue signs a certificate and writes it with its key, over an older pair of that name.
func (a *Authority) Issue(r Request) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("certificate %s: %w", r.Name, err)
	}
	template, err := r.template()
	if err != nil {
		return fmt.Errorf("certificate %s: %w", r.Name, err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return fmt.Errorf("certificate %s: %w", r.Name, err)
	}
	return a.write(r.Name, der, key)
}

// KeyPair writes a private key and its public half as NAME.key and NAME.pub, for
// signatures that no certificate stands behind (service account tokens). A pair
// that is there stays: tokens that it signed must remain valid.
func (a *Authority) KeyPair(name string) error {
	if _, err := os.Stat(a.KeyFile(name)); err == nil {
		return nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("key pair %s: %w", name, err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return fmt.Errorf("key pair %s: %w", name, err)
	}
	if err := writePEM(a.PublicFile(name), "PUBLIC KEY", public); err != nil {
		return err
	}
	return writeKey(a.KeyFile(name), key)
}

// PublicFile is the path of the public half of a KeyPair.
func (a *Authority) PublicFile(name string) string { return filepath.Join(a.dir, name+".pub") }

func (r Request) template() (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: r.CommonName, Organization: r.Organizations},
		NotBefore:    time.Now().Add(-time.Minute),
		NotAfter:     time.Now().Add(validity),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	for _, host := range r.Hosts {
		if ip := net.ParseIP(host); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
			continue
		}
		t.DNSNames = append(t.DNSNames, host)
	}
	return t, nil
}

func create(dir string) (*Authority, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template, err := Request{CommonName: "heddle-sandbox-ca"}.template()
	if err != nil {
		return nil, err
	}
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage |= x509.KeyUsageCertSign
	template.ExtKeyUsage = nil
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	if err := (&Authority{dir: dir}).write("ca", der, key); err != nil {
		return nil, err
	}
	return read(dir)
}

func read(dir string) (*Authority, error) {
	a := &Authority{dir: dir}
	key, err := readPEM(a.KeyFile("ca"))
	if err != nil {
		return nil, err
	}
	if a.key, err = x509.ParseECPrivateKey(key); err != nil {
		return nil, err
	}
	cert, err := readPEM(a.CertFile("ca"))
	if err != nil {
		return nil, err
	}
	a.cert, err = x509.ParseCertificate(cert)
	return a, err
}

// write stores the key last: Open takes an authority whose key is missing as not made yet.
func (a *Authority) write(name string, der []byte, key *ecdsa.PrivateKey) error {
	if err := writePEM(a.CertFile(name), "CERTIFICATE", der); err != nil {
		return err
	}
	return writeKey(a.KeyFile(name), key)
}

func writeKey(path string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return fmt.Errorf("key %s: %w", path, err)
	}
	return writePEM(path, "EC PRIVATE KEY", der)
}

func writePEM(path, kind string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}

func readPEM(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("%s holds no PEM block", path)
	}
	return block.Bytes, nil
}
