package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	watchtools "k8s.io/client-go/tools/watch"

	"github.com/heddle-net/heddle/e2e/sandbox/build"
)

// AddNode starts the next node, loads the images that the others have, and returns its name when it is registered. It is Ready
// once the network runs on it: see WaitReady.
func (c *Cluster) AddNode(ctx context.Context) (string, error) {
	name := c.next(nodePrefix)
	return name, c.addNode(ctx, name)
}

func (c *Cluster) addNode(ctx context.Context, name string) error {
	plugins, err := build.Plugins(ctx, c.Repository, func(string) {})
	if err != nil {
		return err
	}
	if err := c.startNode(name, plugins); err != nil {
		return err
	}
	if err := c.LoadImages(ctx, name, c.Images...); err != nil {
		return err
	}
	return c.awaitNode(ctx, name, "registered", func(*corev1.Node) bool { return true })
}

// RemoveNode takes a node's power away and deletes its Node object.
func (c *Cluster) RemoveNode(ctx context.Context, name string) error {
	m, err := c.Machine(name)
	if err != nil {
		return err
	}
	if err := m.Remove(); err != nil {
		return err
	}
	client, err := c.client()
	if err != nil {
		return err
	}
	if err := client.CoreV1().Nodes().Delete(ctx, name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("remove node %s: %w", name, err)
	}
	return nil
}

// WaitReady returns when all nodes are Ready, or says which are not and why.
func (c *Cluster) WaitReady(ctx context.Context, note func(string)) error {
	for _, name := range c.Nodes() {
		note(name)
		if err := c.awaitNode(ctx, name, "Ready", isReady); err != nil {
			return err
		}
	}
	return nil
}

func isReady(n *corev1.Node) bool {
	ready := readyCondition(n)
	return ready != nil && ready.Status == corev1.ConditionTrue
}

func readyCondition(n *corev1.Node) *corev1.NodeCondition {
	for i := range n.Status.Conditions {
		if n.Status.Conditions[i].Type == corev1.NodeReady {
			return &n.Status.Conditions[i]
		}
	}
	return nil
}

func (c *Cluster) awaitNode(ctx context.Context, name, state string, reached func(*corev1.Node) bool) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	var last *corev1.Node
	err = await(ctx, client, name, func(n *corev1.Node) bool {
		last = n
		return reached(n)
	})
	if err != nil {
		return fmt.Errorf("node %s is not %s: %w%s; its logs are in %s", name, state, err, whyNotReady(last), c.logDir(name))
	}
	return nil
}

func whyNotReady(n *corev1.Node) string {
	if n == nil {
		return ""
	}
	if ready := readyCondition(n); ready != nil && ready.Status != corev1.ConditionTrue {
		return " (" + strings.TrimSpace(ready.Message) + ")"
	}
	return ""
}

// await watches a Node until it is as wanted, or ctx ends. It lists before: a watch that asks for the state of the moment waits for the
// API server's cache to be as new, of which etcd 3.4 tells it a minute late.
func await(ctx context.Context, client kubernetes.Interface, name string, wanted func(*corev1.Node) bool) error {
	for {
		options := metav1.ListOptions{FieldSelector: "metadata.name=" + name}
		list, err := client.CoreV1().Nodes().List(ctx, options)
		if err != nil {
			return err
		}
		if len(list.Items) == 1 && wanted(&list.Items[0]) {
			return nil
		}
		options.ResourceVersion = list.ResourceVersion
		w, err := client.CoreV1().Nodes().Watch(ctx, options)
		if err != nil {
			return err
		}
		_, err = watchtools.UntilWithoutRetry(ctx, w, func(e watch.Event) (bool, error) {
			n, isNode := e.Object.(*corev1.Node)
			return isNode && e.Type != watch.Deleted && wanted(n), nil
		})
		if cause := context.Cause(ctx); err != nil && cause != nil {
			return cause
		}
		if !errors.Is(err, watchtools.ErrWatchClosed) {
			return err
		}
	}
}

func (c *Cluster) client() (*kubernetes.Clientset, error) {
	config, err := c.Config()
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(config)
}

// LoadImages loads image archives on a node, but those that it has.
func (c *Cluster) LoadImages(ctx context.Context, node string, archives ...string) error {
	m, err := c.Machine(node)
	if err != nil {
		return err
	}
	for _, archive := range archives {
		if err := loadOnce(ctx, m, archive); err != nil {
			return fmt.Errorf("node %s: load image %s: %w", node, archive, err)
		}
	}
	return nil
}

// Kill kills the processes of a program in a machine, in its containers too, and returns when they are gone. What
// is a service of the machine (kubelet, containerd, kube-apiserver, etcd, …) starts again by itself. Where a machine runs more of that
// name, having are parts of the command line to tell them apart: Kill(node, "ovsdb-server", "ovnnb").
func (c *Cluster) Kill(machine, program string, having ...string) error {
	m, err := c.Machine(machine)
	if err != nil {
		return err
	}
	n, err := m.Kill(program, having...)
	if err == nil && n == 0 {
		err = fmt.Errorf("%s runs no %s", machine, program)
	}
	return err
}

// RestartAPIServer kills kube-apiserver and returns when it is usable again.
func (c *Cluster) RestartAPIServer(ctx context.Context) error {
	if err := c.Kill(control, "kube-apiserver"); err != nil {
		return err
	}
	return c.WaitAPIServer(ctx)
}

// Run runs a command in a machine's namespaces and returns what it writes.
func (c *Cluster) Run(ctx context.Context, machine string, args ...string) (string, error) {
	m, err := c.Machine(machine)
	if err != nil {
		return "", err
	}
	if !m.Alive() {
		return "", errors.New("machine " + machine + " does not run")
	}
	return m.Run(ctx, args...)
}
