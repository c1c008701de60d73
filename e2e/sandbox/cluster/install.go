package cluster

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// install installs Heddle, or brings the installed one up to date.
func (u *up) install(ctx context.Context, _ func(string)) error {
	ctx, cancel := limited(ctx)
	defer cancel()
	return u.InstallHeddle(ctx, u.helm, u.options.HelmArgs...)
}

// InstallHeddle runs helm with the values that a sandbox needs; more arguments are added behind them.
func (c *Cluster) InstallHeddle(ctx context.Context, helm string, more ...string) error {
	address := c.settings().Address.String()
	args := append([]string{
		"upgrade", "--install", "heddle", filepath.Join(c.Repository, "charts", "heddle"),
		"--namespace=kube-system",
		// No kube-proxy runs, so the Service "kubernetes" has no use before Heddle serves it.
		"--set=apiServer.host=" + address,
		"--set=apiServer.port=" + strconv.Itoa(APIServerPort),
		setCIDR("serviceCidr", ServiceCIDRv4, ServiceCIDRv6),
		setCIDR("defaultSubnet.cidr", podCIDRv4, podCIDRv6),
		setCIDR("joinSubnet.cidr", joinCIDRv4, joinCIDRv6),
		setCIDR("nodeLocalDnsIp", NodeLocalDNSv4, NodeLocalDNSv6),
	}, more...)
	cmd := exec.CommandContext(ctx, helm, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.Kubeconfig())
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("helm %v: %w\n%s", args, err, said)
	}
	return nil
}

// setCIDR is an argument of helm, which splits at a comma.
func setCIDR(value string, cidrs ...string) string {
	return "--set-string=network." + value + "=" + strings.Join(cidrs, `\,`)
}

// IPv4Only are arguments for helm that give Pods of the default Subnet and nodes no IPv6.
func IPv4Only() []string {
	return []string{setCIDR("defaultSubnet.cidr", podCIDRv4), setCIDR("joinSubnet.cidr", joinCIDRv4)}
}
