package controlplane

import (
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Server is the URL of kube-apiserver.
func (s *Settings) Server() string {
	return "https://" + net.JoinHostPort(s.Address.String(), strconv.Itoa(int(s.Port)))
}

// Kubeconfig is the path of the administrator's kubeconfig.
func (s *Settings) Kubeconfig() string { return s.kubeconfig("admin") }

func (s *Settings) kubeconfig(user string) string {
	return filepath.Join(s.Dir, user+".kubeconfig")
}

func (s *Settings) writeKubeconfigs() error {
	for _, user := range []string{"admin", "controller-manager", "scheduler"} {
		if err := s.WriteKubeconfig(s.kubeconfig(user), s.Server(), user); err != nil {
			return err
		}
	}
	return nil
}

// WriteKubeconfig writes a kubeconfig for a user who has a certificate of that name. The
// certificates are inside, so that the file can be used anywhere.
func (s *Settings) WriteKubeconfig(path, server, user string) error {
	config := clientcmdapi.NewConfig()
	config.Clusters["sandbox"] = &clientcmdapi.Cluster{
		Server:               server,
		CertificateAuthority: s.authority.CertFile("ca"),
	}
	config.AuthInfos[user] = &clientcmdapi.AuthInfo{
		ClientCertificate: s.authority.CertFile(user),
		ClientKey:         s.authority.KeyFile(user),
	}
	config.Contexts["sandbox"] = &clientcmdapi.Context{Cluster: "sandbox", AuthInfo: user}
	config.CurrentContext = "sandbox"
	if err := clientcmdapi.FlattenConfig(config); err != nil {
		return fmt.Errorf("kubeconfig %s: %w", path, err)
	}
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		return fmt.Errorf("kubeconfig %s: %w", path, err)
	}
	return nil
}

// restConfig is the administrator's, without client-go's limit of 5 requests a second.
func (s *Settings) restConfig() (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", s.Kubeconfig())
	if err != nil {
		return nil, fmt.Errorf("kubeconfig %s: %w", s.Kubeconfig(), err)
	}
	config.QPS = -1
	return config, nil
}

func join(list []string) string { return strings.Join(list, ",") }
