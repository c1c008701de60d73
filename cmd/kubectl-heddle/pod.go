package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// podOf reads a Pod that has a network of its own.
func podOf(ctx context.Context, client kubernetes.Interface, namespace, name string) (*corev1.Pod, error) {
	pod, err := client.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("pod %s/%s: %w", namespace, name, err)
	}
	return pod, connected(pod)
}

// connected says why a Pod has no traffic of its own.
func connected(pod *corev1.Pod) error {
	switch {
	case pod.Spec.HostNetwork:
		return fmt.Errorf("pod %s/%s is in the network of its node: it has no traffic of its own", pod.Namespace, pod.Name)
	case pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed:
		return fmt.Errorf("pod %s/%s has ended", pod.Namespace, pod.Name)
	}
	return nil
}

// podNames completes the name of a Pod, as the first argument only where there is one.
func (c *cluster) podNames(one bool) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(cmd.Context(), answerLimit)
		defer cancel()
		_, client, namespace, err := c.connect()
		if err != nil || one && len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		list, err := client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		var names []string
		for i := range list.Items {
			if connected(&list.Items[i]) == nil {
				names = append(names, list.Items[i].Name)
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}
