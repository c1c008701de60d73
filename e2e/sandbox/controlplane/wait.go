package controlplane

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"k8s.io/client-go/rest"

	"github.com/heddle-net/heddle/e2e/sandbox/process"
)

// probeInterval is how often a starting kube-apiserver is asked: it has no way to tell others that its
// start-up hooks are through, its READY=1 for systemd comes before them.
const probeInterval = 25 * time.Millisecond

// ready are the paths that answer 200 OK once the control plane is usable: the start-up hooks have
// made the RBAC roles, and the namespace that most tests use is there.
var ready = []string{"/readyz", "/api/v1/namespaces/default"}

// wait returns when the control plane answers, a program of it has ended, or ctx is over.
func (c *ControlPlane) wait(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var watches sync.WaitGroup
	for _, p := range c.procs {
		watches.Go(func() { watchExit(ctx, p, cancel) })
	}
	err := WaitReady(ctx, c.config)
	cancel(nil)
	watches.Wait()
	return err
}

// watchExit cancels with the process's end as the cause, unless ctx ends first.
func watchExit(ctx context.Context, p *process.Process, cancel context.CancelCauseFunc) {
	select {
	case <-p.Exited():
		cancel(p.Err())
	case <-ctx.Done():
	}
}

// WaitReady returns when the kube-apiserver of that config is usable, or with the cause of ctx's end.
func WaitReady(ctx context.Context, config *rest.Config) error {
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return fmt.Errorf("kube-apiserver: %w", err)
	}
	defer client.CloseIdleConnections()
	tick := time.NewTicker(probeInterval)
	defer tick.Stop()
	for _, path := range ready {
		for !answers(ctx, client, config.Host+path) {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return fmt.Errorf("kube-apiserver is not ready: %w", context.Cause(ctx))
			}
		}
	}
	return nil
}

func answers(ctx context.Context, client *http.Client, url string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	response, err := client.Do(request)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	return response.StatusCode == http.StatusOK
}
