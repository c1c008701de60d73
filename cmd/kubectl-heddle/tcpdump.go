package main

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/streaming/pkg/httpstream"
)

// daemonLabels select the Pods of Heddle's daemon, one on each node, whose image has tcpdump.
const daemonLabels = "app.kubernetes.io/name=heddle,app.kubernetes.io/component=daemon"

// farewell is how long the other side has for its last words, after Ctrl-C.
const farewell = 5 * time.Second

// capture runs on the Pod's node.
//
//go:embed tcpdump.sh
var capture string

func tcpdump(c *cluster) *cobra.Command {
	return &cobra.Command{
		Use:   "tcpdump POD [-- ARGUMENTS OF TCPDUMP]",
		Short: "Show the packets of a Pod",
		Long: `Show the packets that a Pod sends and is sent, as tcpdump sees them at the Pod's link on its node. Nothing has to be installed in the Pod or
here. It ends with Ctrl-C, or as the arguments say; nothing stays behind on the node.

The arguments are those of tcpdump(1), but for files: -w takes nothing but -, which writes the packets here.`,
		Example: `  kubectl heddle tcpdump web -n shop -- -n port 80
  kubectl heddle tcpdump web -n shop -- -c 100 -w - > web.pcap`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: c.podNames(true),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := check(args[1:]); err != nil {
				return err
			}
			config, client, namespace, err := c.connect()
			if err != nil {
				return err
			}
			daemon, err := daemonOf(cmd.Context(), client, *c.system, namespace, args[0])
			if err != nil {
				return err
			}
			port := args[0] + "." + namespace
			return run(cmd.Context(), config, client, daemon, append([]string{"bash", "-c", capture, "tcpdump", port}, args[1:]...))
		},
	}
}

// daemonOf finds Heddle's daemon on the node of a Pod.
func daemonOf(ctx context.Context, client kubernetes.Interface, system, namespace, name string) (*corev1.Pod, error) {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	pod, err := podOf(ctx, client, namespace, name)
	if err != nil {
		return nil, err
	}
	node := pod.Spec.NodeName
	if node == "" {
		return nil, fmt.Errorf("pod %s/%s has no node yet", namespace, name)
	}
	list, err := client.CoreV1().Pods(system).List(ctx, metav1.ListOptions{LabelSelector: daemonLabels, FieldSelector: "spec.nodeName=" + node})
	if err != nil {
		return nil, fmt.Errorf("find the daemon of node %s: %w", node, err)
	}
	for i := range list.Items {
		if list.Items[i].Status.Phase == corev1.PodRunning {
			return &list.Items[i], nil
		}
	}
	return nil, fmt.Errorf("namespace %s has no daemon of Heddle that runs on node %s (flag --heddle-namespace)", system, node)
}

// run runs a command in the daemon until it ends, or until ctx does and it has said its last words. The command's standard input is open for
// as long: its end tells the other side that nobody looks any more, however this process ends.
func run(ctx context.Context, config *rest.Config, client kubernetes.Interface, in *corev1.Pod, command []string) error {
	executor, err := executorOf(config, client, in, command)
	if err != nil {
		return err
	}
	open, end := io.Pipe()
	defer end.Close()
	stream, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		_ = end.Close()
		time.AfterFunc(farewell, cancel)
	})()
	err = executor.StreamWithContext(stream, remotecommand.StreamOptions{Stdin: open, Stdout: os.Stdout, Stderr: os.Stderr})
	if err != nil {
		return fmt.Errorf("exec in pod %s/%s: %w", in.Namespace, in.Name, err)
	}
	return nil
}

// executorOf does as kubectl: by WebSockets, and by SPDY where something in between has none.
func executorOf(config *rest.Config, client kubernetes.Interface, in *corev1.Pod, command []string) (remotecommand.Executor, error) {
	url := client.CoreV1().RESTClient().Post().Resource("pods").Namespace(in.Namespace).Name(in.Name).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{Container: "daemon", Command: command, Stdin: true, Stdout: true, Stderr: true}, scheme.ParameterCodec).URL()
	websocket, err := remotecommand.NewWebSocketExecutor(config, "GET", url.String())
	if err != nil {
		return nil, err
	}
	spdy, err := remotecommand.NewSPDYExecutor(config, "POST", url)
	if err != nil {
		return nil, err
	}
	return remotecommand.NewFallbackExecutor(websocket, spdy, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	})
}
