package controlplane

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"

	"github.com/heddle-net/heddle/e2e/sandbox/build"
	"github.com/heddle-net/heddle/e2e/sandbox/pki"
	"github.com/heddle-net/heddle/e2e/sandbox/process"
)

// Settings say where the programs of one control plane listen and keep their files.
type Settings struct {
	Dir          string
	Address      netip.Addr // kube-apiserver listens on it; nodes see it in the Service "kubernetes" unless it is loopback
	Port         uint16     // of kube-apiserver
	MoreHosts    []string   // further names and addresses in the server's certificate
	ServiceCIDRs []string   // one, or one of each family
	Controllers  bool       // run kube-controller-manager
	Scheduler    bool       // run kube-scheduler
	ExtraArgs    []string   // of kube-apiserver
	authority    *pki.Authority
}

// Etcd is the one program that Debian brings (package etcd-server).
const Etcd = "/usr/bin/etcd"

// etcd listens on unix sockets in its folder: no port to choose, and nobody else can connect.
// It wants host:port even there, and takes that for the file's name.
const (
	etcdClient = "localhost:2379"
	etcdPeer   = "localhost:2380"
)

// Prepare makes the folder, the certificates and the kubeconfigs that Services need.
func (s *Settings) Prepare() error {
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return fmt.Errorf("control plane: %w", err)
	}
	if err := s.OpenAuthority(); err != nil {
		return err
	}
	authority := s.authority
	if err := authority.KeyPair("service-account"); err != nil {
		return err
	}
	for _, r := range s.certificates() {
		if err := authority.Issue(r); err != nil {
			return fmt.Errorf("control plane: %w", err)
		}
	}
	return s.writeKubeconfigs()
}

// OpenAuthority is all of Prepare that is needed to make certificates for a control plane that runs.
func (s *Settings) OpenAuthority() (err error) {
	if s.authority, err = pki.Open(filepath.Join(s.Dir, "pki")); err != nil {
		return fmt.Errorf("control plane: %w", err)
	}
	return nil
}

// Authority signs everything in this control plane; it is there once Prepare or OpenAuthority was called.
func (s *Settings) Authority() *pki.Authority { return s.authority }

func (s *Settings) certificates() []pki.Request {
	hosts := append([]string{
		s.Address.String(), "127.0.0.1", "localhost",
		"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
	}, s.MoreHosts...)
	for _, cidr := range s.ServiceCIDRs {
		if prefix, err := netip.ParsePrefix(cidr); err == nil {
			hosts = append(hosts, prefix.Masked().Addr().Next().String())
		}
	}
	return []pki.Request{
		{Name: "apiserver", CommonName: "kube-apiserver", Hosts: hosts},
		{Name: "apiserver-kubelet", CommonName: "kube-apiserver-kubelet", Organizations: []string{"system:masters"}},
		{Name: "front-proxy", CommonName: "front-proxy"},
		{Name: "admin", CommonName: "sandbox-admin", Organizations: []string{"system:masters"}},
		{Name: "controller-manager", CommonName: "system:kube-controller-manager"},
		{Name: "scheduler", CommonName: "system:kube-scheduler"},
	}
}

// Services are the programs to run, in the order of their dependencies; each waits for the
// ones before it by itself.
func (s *Settings) Services() ([]process.Spec, error) {
	services := []process.Spec{s.etcd()}
	for _, p := range []struct {
		name string
		args []string
		run  bool
	}{
		{"kube-apiserver", s.apiserverArgs(), true},
		{"kube-controller-manager", s.controllerManagerArgs(), s.Controllers},
		{"kube-scheduler", s.schedulerArgs(), s.Scheduler},
	} {
		if !p.run {
			continue
		}
		program, err := build.Program(p.name)
		if err != nil {
			return nil, err
		}
		services = append(services, s.service(p.name, append([]string{program}, p.args...)))
	}
	return services, nil
}

func (s *Settings) service(name string, args []string) process.Spec {
	return process.Spec{Name: name, Args: args, Dir: s.Dir, Log: filepath.Join(s.Dir, name+".log")}
}

func (s *Settings) etcd() process.Spec {
	const client, peer = "unix://" + etcdClient, "unix://" + etcdPeer
	spec := s.service("etcd", []string{
		Etcd,
		"--data-dir=" + filepath.Join(s.Dir, "etcd"),
		"--listen-client-urls=" + client, "--advertise-client-urls=" + client,
		"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer,
		"--initial-cluster=default=" + peer,
		"--unsafe-no-fsync", // the data is gone with the machine anyway
	})
	spec.Stale = []string{etcdClient, etcdPeer} // it does not bind to a socket that is there
	return spec
}

func (s *Settings) apiserverArgs() []string {
	args := append(s.identityArgs(),
		"--etcd-servers=unix://"+etcdClient,
		"--bind-address="+s.Address.String(),
		"--advertise-address="+s.Address.String(),
		"--secure-port="+strconv.Itoa(int(s.Port)),
		"--permit-port-sharing", // Start holds the port before kube-apiserver has it
		"--service-cluster-ip-range="+join(s.ServiceCIDRs),
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--allow-privileged",
		"--profiling=false",
		// Without it exec and logs look for the node's name in DNS.
		"--kubelet-preferred-address-types=InternalIP",
	)
	if s.Address.IsLoopback() {
		// The API refuses loopback addresses in EndpointSlices.
		args = append(args, "--endpoint-reconciler-type=none")
	}
	if !s.Controllers {
		args = append(args, "--disable-admission-plugins=ServiceAccount")
	}
	return append(args, s.ExtraArgs...)
}

// identityArgs are the flags that name a certificate or a key.
func (s *Settings) identityArgs() []string {
	a := s.authority
	return []string{
		"--cert-dir=" + filepath.Join(s.Dir, "pki"),
		"--tls-cert-file=" + a.CertFile("apiserver"), "--tls-private-key-file=" + a.KeyFile("apiserver"),
		"--client-ca-file=" + a.CertFile("ca"),
		"--kubelet-certificate-authority=" + a.CertFile("ca"),
		"--kubelet-client-certificate=" + a.CertFile("apiserver-kubelet"),
		"--kubelet-client-key=" + a.KeyFile("apiserver-kubelet"),
		"--proxy-client-cert-file=" + a.CertFile("front-proxy"), "--proxy-client-key-file=" + a.KeyFile("front-proxy"),
		"--requestheader-client-ca-file=" + a.CertFile("ca"),
		"--requestheader-allowed-names=front-proxy",
		"--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + a.PublicFile("service-account"),
		"--service-account-signing-key-file=" + a.KeyFile("service-account"),
	}
}

func (s *Settings) controllerManagerArgs() []string {
	a := s.authority
	return []string{
		"--kubeconfig=" + s.kubeconfig("controller-manager"),
		"--use-service-account-credentials",
		"--service-account-private-key-file=" + a.KeyFile("service-account"),
		"--root-ca-file=" + a.CertFile("ca"),
		"--cluster-signing-cert-file=" + a.CertFile("ca"), "--cluster-signing-key-file=" + a.KeyFile("ca"),
		"--leader-elect=false",
		"--secure-port=0",
	}
}

func (s *Settings) schedulerArgs() []string {
	return []string{"--kubeconfig=" + s.kubeconfig("scheduler"), "--leader-elect=false", "--secure-port=0"}
}
