package cluster

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/heddle-net/heddle/e2e/sandbox/build"
	"github.com/heddle-net/heddle/e2e/sandbox/progress"
)

//go:embed demo.yaml
var demoObjects string

const demo = "demo" // namespace, Subnet and DaemonSet

// Demo gives a namespace a Subnet of its own, starts a Pod on each node, pings from the first to the others, and asks them by a Service.
func (c *Cluster) Demo(ctx context.Context, p *progress.Printer) error {
	err := p.Step("a Subnet for a namespace, a Pod on each node", func(func(string)) error { return c.startDemo(ctx) })
	if err != nil {
		return err
	}
	pods, err := c.demoPods(ctx)
	if err != nil {
		return err
	}
	p.Print("\n  The Subnet demo, 10.66.0.0/24 and fd00:10:66::/112, is the network of the namespace demo:\n")
	for _, pod := range pods {
		p.Print("    %s on %s has %s\n", pod.Name, pod.Spec.NodeName, strings.Join(addressesOf(pod), " and "))
	}
	for _, to := range pods[1:] {
		what := fmt.Sprintf("ping from the Pod on %s to the one on %s", pods[0].Spec.NodeName, to.Spec.NodeName)
		for _, address := range addressesOf(to) {
			if err := c.demoPing(ctx, p, what, pods[0].Name, address); err != nil {
				return err
			}
		}
	}
	if err := c.demoService(ctx, p, pods[0]); err != nil {
		return err
	}
	outside, err := c.Addresses(outsidePrefix + "1")
	if err != nil {
		return err
	}
	what := "ping from the Pod on " + pods[0].Spec.NodeName + " to a host outside of the cluster"
	return c.demoPing(ctx, p, what, pods[0].Name, outside[0].String())
}

func addressesOf(pod corev1.Pod) []string {
	var list []string
	for _, ip := range pod.Status.PodIPs {
		list = append(list, ip.IP)
	}
	return list
}

func (c *Cluster) demoPing(ctx context.Context, p *progress.Printer, what, pod, address string) error {
	said, err := c.Kubectl(ctx, "", "-n", demo, "exec", pod, "--", "ping", "-c", "3", "-i", "0.2", "-w", "10", address)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	p.Print("\n  %s:\n%s", what, indent(said, "    "))
	return nil
}

// demoService asks for the names of the Pods behind the Service, by its name.
func (c *Cluster) demoService(ctx context.Context, p *progress.Printer, from corev1.Pod) error {
	const ask = "for n in $(seq 20); do curl -s -S -m 10 --retry 5 --retry-connrefused http://" + demo + "/hostname; echo; done | sort | uniq -c"
	what := fmt.Sprintf("the Service http://%s, 20 times from the Pod on %s", demo, from.Spec.NodeName)
	said, err := c.Kubectl(ctx, "", "-n", demo, "exec", from.Name, "--", "sh", "-c", ask)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	p.Print("\n  %s:\n%s", what, indent(said, "    "))
	return nil
}

func (c *Cluster) startDemo(ctx context.Context) error {
	ctx, cancel := limited(ctx)
	defer cancel()
	if _, err := c.Kubectl(ctx, demoObjects, "apply", "-f", "-"); err != nil {
		return err
	}
	if _, err := c.Kubectl(ctx, "", "-n", demo, "rollout", "status", "daemonset/"+demo); err != nil {
		return errors.Join(err, c.whyPods(demo))
	}
	return nil
}

func (c *Cluster) demoPods(ctx context.Context) ([]corev1.Pod, error) {
	client, err := c.client()
	if err != nil {
		return nil, err
	}
	list, err := client.CoreV1().Pods(demo).List(ctx, metav1.ListOptions{LabelSelector: "app=" + demo})
	if err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	if len(list.Items) == 0 {
		return nil, errors.New("demo: there are no Pods")
	}
	return list.Items, nil
}

// Kubectl runs kubectl as the administrator and returns what it writes; an error holds that too.
func (c *Cluster) Kubectl(ctx context.Context, stdin string, args ...string) (string, error) {
	kubectl, err := build.Program("kubectl")
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, kubectl, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.Kubeconfig())
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &out
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(out.Bytes()))
	}
	return out.String(), nil
}

func indent(text, by string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		if strings.TrimSpace(line) != "" {
			out.WriteString(by + line)
		}
	}
	return out.String()
}
