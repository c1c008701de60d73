package cluster

import (
	"context"
	_ "embed"
	"errors"
	"strings"

	"github.com/heddle-net/heddle/e2e/sandbox/image"
)

//go:embed dns.yaml
var dnsObjects string

// startDNS starts the cluster's DNS server behind the Service kube-dns, whose addresses kubelet tells Pods. It is a Pod, so it needs
// the network to run.
func (u *up) startDNS(ctx context.Context, _ func(string)) error {
	ctx, cancel := limited(ctx)
	defer cancel()
	objects := strings.NewReplacer("$IMAGE", image.CoreDNSName, "$IPV4", clusterDNSv4, "$IPV6", clusterDNSv6).Replace(dnsObjects)
	if _, err := u.Kubectl(ctx, objects, "apply", "-f", "-"); err != nil {
		return err
	}
	if _, err := u.Kubectl(ctx, "", "-n", "kube-system", "rollout", "status", "deployment/coredns"); err != nil {
		return errors.Join(err, u.whyPods("kube-system"))
	}
	return nil
}
