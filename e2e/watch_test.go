package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

// await watches an object until nothing is missing. It reads the object into obj, and tells how long it took. missing is called
// with obj when there is one.
func await[T client.Object](t testing.TB, e *env, obj T, missing func(T) string) time.Duration {
	t.Helper()
	return e.follow(t, obj, func(found client.Object) string {
		if found == nil {
			return "it does not exist"
		}
		return missing(found.(T))
	})
}

// awaitGone waits for the end of an object.
func (e *env) awaitGone(t testing.TB, obj client.Object) time.Duration {
	t.Helper()
	return e.follow(t, obj, func(found client.Object) string {
		if found == nil {
			return ""
		}
		return fmt.Sprintf("it exists, finalizers %v", found.GetFinalizers())
	})
}

func (e *env) follow(t testing.TB, obj client.Object, missing func(client.Object) string) time.Duration {
	t.Helper()
	began := time.Now()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), timeLimit) // cleanups wait too
	defer cancel()
	last := "it was never seen"
	err := e.watch(ctx, obj, func(found client.Object) bool {
		last = missing(found)
		return last == ""
	})
	if err != nil {
		t.Fatalf("%s %s after %v: %s (%v)", kindOf(e, obj), client.ObjectKeyFromObject(obj), time.Since(began).Round(time.Second), last, err)
	}
	return time.Since(began)
}

// awaitEvent waits for a Warning about an object of that name, whose text has all those parts.
func (e *env) awaitEvent(t testing.TB, namespace, name, reason string, parts ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeLimit)
	defer cancel()
	var texts []string
	about := []client.ListOption{client.InNamespace(namespace), client.MatchingFields{"involvedObject.name": name}}
	err := e.watchAll(ctx, &corev1.Event{}, about, func(found client.Object) bool {
		event, _ := found.(*corev1.Event)
		if event == nil {
			return false
		}
		texts = append(texts, event.Reason+": "+event.Message)
		missing := func(part string) bool { return !strings.Contains(event.Message, part) }
		return event.Type == corev1.EventTypeWarning && event.Reason == reason && !slices.ContainsFunc(parts, missing)
	})
	if err != nil {
		t.Fatalf("no Warning %s about %s that says %q (%v), but %q", reason, name, parts, err, texts)
	}
	return texts[len(texts)-1]
}

func kindOf(e *env, obj client.Object) string {
	gvk, _ := apiutil.GVKForObject(obj, e.client.Scheme()) // empty for what the scheme does not know
	return gvk.Kind
}

// watch shows an object to done as it is and after each change, nil when it does not exist, until done says so.
func (e *env) watch(ctx context.Context, obj client.Object, done func(client.Object) bool) error {
	one := []client.ListOption{client.InNamespace(obj.GetNamespace()), client.MatchingFields{"metadata.name": obj.GetName()}}
	return e.watchAll(ctx, obj, one, func(found client.Object) bool {
		if found != nil {
			copyInto(obj, found)
		}
		return done(found)
	})
}

// watchAll does so for all objects of obj's kind that the options select. nil means that there is none, or one less.
func (e *env) watchAll(ctx context.Context, obj client.Object, options []client.ListOption, done func(client.Object) bool) error {
	gvk, err := apiutil.GVKForObject(obj, e.client.Scheme())
	if err != nil {
		return err
	}
	gvk.Kind += "List"
	for {
		made, err := e.client.Scheme().New(gvk)
		if err != nil {
			return err
		}
		list := made.(client.ObjectList)
		if err := e.client.List(ctx, list, options...); err != nil {
			return err
		}
		if ended, err := present(list, done); ended || err != nil {
			return err
		}
		if ended, err := e.changes(ctx, list, done, options); ended || err != nil {
			return err
		}
	}
}

func present(list client.ObjectList, done func(client.Object) bool) (bool, error) {
	items, err := meta.ExtractList(list)
	if err != nil {
		return false, err
	}
	for _, item := range items {
		if done(item.(client.Object)) {
			return true, nil
		}
	}
	return len(items) == 0 && done(nil), nil
}

// changes ends without an error when the watch was cut, as every watch is some day.
func (e *env) changes(ctx context.Context, list client.ObjectList, done func(client.Object) bool, options []client.ListOption) (bool, error) {
	from := append(slices.Clone(options), &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: list.GetResourceVersion()}})
	w, err := e.client.Watch(ctx, list, from...)
	if err != nil {
		return false, err
	}
	defer w.Stop()
	for {
		select {
		case event, open := <-w.ResultChan():
			if !open || event.Type == watch.Error {
				return false, ctx.Err()
			}
			found, _ := event.Object.(client.Object)
			if event.Type == watch.Deleted {
				found = nil
			}
			if done(found) {
				return true, nil
			}
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// copyInto copies what was found into the object that the test holds.
func copyInto(obj, found client.Object) {
	data, err := runtime.DefaultUnstructuredConverter.ToUnstructured(found)
	if err == nil {
		err = runtime.DefaultUnstructuredConverter.FromUnstructured(data, obj)
	}
	if err != nil {
		panic(fmt.Sprintf("copy %T: %v", found, err)) // both are of the same type
	}
}
