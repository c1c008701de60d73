package heddle

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// probesPerSecond are the processes that probes of a Pod start when all is well. The runtime needs several more for each.
func probesPerSecond(spec corev1.PodSpec) float64 {
	sum := 0.0
	for _, c := range spec.Containers {
		for _, p := range []*corev1.Probe{c.LivenessProbe, c.ReadinessProbe} {
			if p != nil && p.Exec != nil {
				sum += 1 / float64(p.PeriodSeconds)
			}
		}
	}
	return sum
}

// TestProbesAreCheap: an idle node does not start processes all the time, and a container is ready soon all the same.
func TestProbesAreCheap(t *testing.T) {
	for name, template := range templates(t, render(t, ".", "")) {
		if rate := probesPerSecond(template.Spec); rate > 0.1 {
			t.Errorf("the probes of %s start %.2f processes a second", name, rate)
		}
		for _, c := range template.Spec.Containers {
			exec := c.LivenessProbe.Exec != nil
			switch s := c.StartupProbe; {
			case exec && (s == nil || s.PeriodSeconds > 2):
				t.Errorf("%s/%s: nothing asks soon whether it has started", name, c.Name)
			case exec && s.PeriodSeconds*s.FailureThreshold < 300:
				t.Errorf("%s/%s has %d s to start: a large database takes longer", name, c.Name, s.PeriodSeconds*s.FailureThreshold)
			}
			if l := c.LivenessProbe; l.PeriodSeconds*l.FailureThreshold < 60 {
				t.Errorf("%s/%s is killed after %d s without an answer", name, c.Name, l.PeriodSeconds*l.FailureThreshold)
			}
		}
	}
}

// TestKubectlKnowsTheContainer: `kubectl exec` and `kubectl logs` need no -c, and say nothing about a choice.
func TestKubectlKnowsTheContainer(t *testing.T) {
	for _, values := range []string{"", "teardown: true"} {
		for name, template := range templates(t, render(t, ".", values)) {
			all := slices.Concat(template.Spec.InitContainers, template.Spec.Containers)
			chosen := template.Annotations["kubectl.kubernetes.io/default-container"]
			if len(all) > 1 && !slices.ContainsFunc(template.Spec.Containers, func(c corev1.Container) bool { return c.Name == chosen }) {
				t.Errorf("%s (%s): the default container is %q", name, values, chosen)
			}
		}
	}
}
