package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/heddle-net/heddle/e2e/sandbox/image"
)

// churn creates and deletes Pods in a loop. Each worker has one name, which its Pods have one after the other, as those of
// a StatefulSet; when it is told to rest, it leaves a Pod that runs.
type churn struct {
	*observer
	namespace string
	workers   int

	lives  atomic.Int64 // Pods that were created and are gone again
	cancel context.CancelFunc
	done   sync.WaitGroup
	errs   chan error
}

// start sets the workers going.
func (c *churn) start(ctx context.Context) {
	running, rest := context.WithCancel(ctx)
	c.cancel, c.errs = rest, make(chan error, c.workers)
	for i := range c.workers {
		c.done.Go(func() {
			if err := c.work(ctx, running.Done(), i); err != nil {
				c.errs <- fmt.Errorf("churn-%d: %w", i, err)
			}
		})
	}
}

// rest returns when each worker has a running Pod.
func (c *churn) rest() error {
	c.cancel()
	c.done.Wait()
	select {
	case err := <-c.errs:
		return err
	default:
		return nil
	}
}

// Each life of a worker's Pods in turn ends at another moment.
const (
	endAtOnce    = iota // while the controller and the kubelet begin
	endAllocated        // with addresses, before it runs
	endRunning          // the usual end
	endForced           // the object goes at once, the containers follow
	ends
)

func (c *churn) work(ctx context.Context, rest <-chan struct{}, worker int) error {
	for life := worker; ; life++ {
		pod, err := c.create(ctx, worker)
		if err != nil {
			return err
		}
		end := life % ends
		select {
		case <-rest:
			return c.await(ctx, pod, isRunning)
		default:
		}
		switch end {
		case endAllocated:
			err = c.await(ctx, pod, func(p *corev1.Pod) bool { return len(p.Annotations) > 0 })
		case endRunning, endForced:
			err = c.await(ctx, pod, isRunning)
		}
		if err == nil {
			err = c.remove(ctx, pod, end == endForced)
		}
		if err != nil {
			return err
		}
		c.lives.Add(1)
		c.bump()
	}
}

func isRunning(p *corev1.Pod) bool { return p.Status.Phase == corev1.PodRunning }

// create makes the worker's Pod. One that is there already is either the one before, which goes, or this one: kube-apiserver
// may have died before it answered.
func (c *churn) create(ctx context.Context, worker int) (*corev1.Pod, error) {
	nodes := append(c.sandbox.Nodes(), "") // the last third goes where the scheduler likes
	var pod *corev1.Pod
	var failed error
	err := c.until(ctx, func() string {
		pod = pausePod(c.namespace, fmt.Sprint("churn-", worker), nodes[worker%len(nodes)])
		failed = c.persist(ctx, func() error {
			err := c.kube.Create(ctx, pod)
			if apierrors.IsAlreadyExists(err) {
				return client.IgnoreNotFound(c.kube.Get(ctx, client.ObjectKeyFromObject(pod), pod))
			}
			return err
		})
		if failed == nil && (pod.DeletionTimestamp != nil || pod.UID == "") {
			return "the Pod before is not gone"
		}
		return ""
	})
	return pod, errors.Join(err, failed)
}

// persist tries again when kube-apiserver does not answer, as soon as it does.
func (c *churn) persist(ctx context.Context, call func() error) error {
	for {
		err := call()
		var status apierrors.APIStatus
		if err == nil || errors.As(err, &status) && status.Status().Code < http.StatusInternalServerError && !apierrors.IsTooManyRequests(err) {
			return err
		}
		if err := c.sandbox.WaitAPIServer(ctx); err != nil {
			return err
		}
	}
}

func (c *churn) await(ctx context.Context, pod *corev1.Pod, reached func(*corev1.Pod) bool) error {
	return c.until(ctx, func() string {
		now, err := c.lookUp(ctx, pod)
		switch {
		case err != nil:
			return err.Error()
		case now == nil:
			return "has not been seen"
		case reached(now):
			return ""
		}
		return fmt.Sprintf("is %s on %s: %v", now.Status.Phase, now.Spec.NodeName, now.Status.ContainerStatuses)
	})
}

// lookUp is the Pod as last seen, nil when there is none of that UID.
func (c *churn) lookUp(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error) {
	var now corev1.Pod
	err := c.seen.Get(ctx, client.ObjectKeyFromObject(pod), &now)
	if apierrors.IsNotFound(err) || err == nil && now.UID != pod.UID {
		return nil, nil
	}
	return &now, err
}

// remove deletes the Pod and returns when it is gone.
func (c *churn) remove(ctx context.Context, pod *corev1.Pod, forced bool) error {
	uid := pod.UID
	options := []client.DeleteOption{client.Preconditions{UID: &uid}}
	if forced {
		options = append(options, client.GracePeriodSeconds(0))
	}
	err := c.persist(ctx, func() error {
		err := c.kube.Delete(ctx, pod, options...)
		if apierrors.IsNotFound(err) || apierrors.IsConflict(err) { // gone, or its successor
			return nil
		}
		return err
	})
	if err != nil {
		return err
	}
	return c.until(ctx, func() string {
		now, err := c.lookUp(ctx, pod)
		switch {
		case err != nil:
			return err.Error()
		case now == nil:
			return ""
		}
		return fmt.Sprintf("is not gone: %s on %s", now.Status.Phase, now.Spec.NodeName)
	})
}

// pausePod costs as little as a Pod can.
func pausePod(namespace, name, node string) *corev1.Pod {
	grace := int64(1)
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: corev1.PodSpec{
			NodeName: node, TerminationGracePeriodSeconds: &grace, EnableServiceLinks: new(bool), AutomountServiceAccountToken: new(bool),
			Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
			Containers:  []corev1.Container{{Name: "pause", Image: image.PauseName, ImagePullPolicy: corev1.PullNever}},
		},
	}
}
