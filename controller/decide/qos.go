package decide

import (
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/heddle-net/heddle/crds/v1"
)

const reasonInvalidQoS = "InvalidQoS"

// qosNotes tell by Events which annotations about traffic cannot be read, of Pods, Namespaces and Subnets. The nodes' daemons follow those
// that can.
type qosNotes struct {
	events events.EventRecorder

	mu   sync.Mutex
	said map[types.UID]string
}

// look is called for each new version of an object. One that is deleted has nothing to be told, and is forgotten.
func (n *qosNotes) look(obj client.Object) {
	_, wrong := v1.ParseQoS(obj.GetAnnotations())
	text := strings.Join(wrong, "; ")
	if obj.GetDeletionTimestamp() != nil {
		text = ""
	}
	if n.news(obj.GetUID(), text) {
		n.events.Eventf(obj, nil, corev1.EventTypeWarning, reasonInvalidQoS, "ReadAnnotations", "without effect: %s", text)
	}
}

// news remembers a text and tells whether it is to be said.
func (n *qosNotes) news(uid types.UID, text string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	again := n.said[uid] == text
	if text == "" {
		delete(n.said, uid)
		return false
	}
	n.said[uid] = text
	return !again
}
