package cluster

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func (c *Cluster) logDir(machine string) string { return filepath.Join(c.machineDir(machine), "log") }

// whyPods names the Pods of a namespace that are not ready, with the reason and the log to look at. It is asked after a step has
// failed, so it takes a time limit of its own.
func (c *Cluster) whyPods(namespace string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	client, err := c.client()
	if err != nil {
		return err
	}
	pods, err := client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	var reasons []error
	for _, pod := range pods.Items {
		if reason := whyPod(&pod); reason != "" {
			log := filepath.Join(c.logDir(pod.Spec.NodeName), "pods", fmt.Sprintf("%s_%s_%s", pod.Namespace, pod.Name, pod.UID))
			reasons = append(reasons, fmt.Errorf("pod %s/%s: %s; see %s", pod.Namespace, pod.Name, reason, log))
		}
	}
	return errors.Join(reasons...)
}

// whyPod is empty for a Pod that is ready or done.
func whyPod(pod *corev1.Pod) string {
	if pod.Status.Phase == corev1.PodSucceeded {
		return ""
	}
	for _, s := range append(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses...) {
		if reason := whyContainer(&s); reason != "" {
			return reason
		}
	}
	for _, condition := range pod.Status.Conditions {
		if condition.Status != corev1.ConditionTrue && condition.Message != "" {
			return condition.Message
		}
	}
	return ""
}

func whyContainer(s *corev1.ContainerStatus) string {
	switch {
	case s.Ready || (s.State.Terminated != nil && s.State.Terminated.ExitCode == 0):
		return ""
	case s.State.Waiting != nil:
		return fmt.Sprintf("container %s: %s %s", s.Name, s.State.Waiting.Reason, s.State.Waiting.Message)
	case s.State.Terminated != nil:
		return fmt.Sprintf("container %s ended with exit status %d", s.Name, s.State.Terminated.ExitCode)
	}
	return fmt.Sprintf("container %s is not ready", s.Name)
}
