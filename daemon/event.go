package daemon

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// eventAbout is an Event about a namespaced object of the core group, without its type, reason and message.
func eventAbout(kind, namespace, name, uid, node string) *corev1.Event {
	now := metav1.Now()
	return &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf("%s.%x", name, now.UnixNano())},
		InvolvedObject: corev1.ObjectReference{APIVersion: "v1", Kind: kind, Namespace: namespace, Name: name, UID: types.UID(uid)},
		Source:         corev1.EventSource{Component: "heddle-daemon", Host: node}, ReportingController: "heddle-daemon", ReportingInstance: node,
		FirstTimestamp: now, LastTimestamp: now, Count: 1,
	}
}

func (k *kube) postEvent(ctx context.Context, event *corev1.Event) error {
	ctx, cancel := context.WithTimeout(ctx, eventTimeout)
	defer cancel()
	about := event.InvolvedObject
	if err := k.core.Post().Namespace(about.Namespace).Resource("events").Body(event).Do(ctx).Error(); err != nil {
		return fmt.Errorf("event about %s %s/%s: %w", about.Kind, about.Namespace, about.Name, err)
	}
	return nil
}
