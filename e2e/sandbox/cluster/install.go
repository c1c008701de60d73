package cluster

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
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
		"--set-string=network.serviceCidr=" + ServiceCIDRv4 + `\,` + ServiceCIDRv6, // helm splits at a comma
	}, more...)
	cmd := exec.CommandContext(ctx, helm, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.Kubeconfig())
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("helm %v: %w\n%s", args, err, said)
	}
	return nil
}
