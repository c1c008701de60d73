package port

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/go-logr/logr"

	"github.com/heddle-net/heddle/cni/api"
	v1 "github.com/heddle-net/heddle/crds/v1"
	"github.com/heddle-net/heddle/ovs/vswitch"
)

// Keys of an interface's external_ids. Those of Kube-OVN keep its names, because its tools and dashboards read them.
const (
	keyPodName      = "pod_name"
	keyPodNamespace = "pod_namespace"
	keyPodNetNS     = "pod_netns"
	keyIP           = "ip"
	keyContainer    = "container_id"
	keyIfName       = "cni_ifname"
	keyNetwork      = "cni_network"
)

// The parts of an operation that Config.Observe is told of.
const (
	PartWaitPod   = "wait-pod"
	PartNetNS     = "netns"
	PartOVSDB     = "ovsdb"
	PartInstalled = "ovn-installed"
)

// Names of the nodes' ends of veths begin with hostPrefix and have all characters that a link's name may have.
const (
	hostPrefix = "hd"
	maxIfName  = 15
)

// cleanTimeout bounds the way back of a failed ADD, whose own deadline may have passed.
const cleanTimeout = 5 * time.Second

// Config is what a Manager works with.
type Config struct {
	OVS *vswitch.Client
	// Bridge is the integration bridge: br-int.
	Bridge string
	// Pods are this node's Pods by "namespace/name", Subnets all Subnets by name.
	Pods    *Pods
	Subnets *Table[Subnet]
	// Namespaces are what those with such annotations ask for their Pods.
	Namespaces *Table[v1.QoS]
	// MTU of a Pod whose Subnet has none; it may wait for what it depends on.
	MTU func(context.Context) (int, error)
	// SoftwareChecksums switches transmit checksum offload off on both ends of each veth: the user-space datapath
	// forwards packets without finishing their checksums.
	SoftwareChecksums bool
	// Shaped, when set, is told of each Pod whose traffic Reshape has looked at in the kernel, and once of an error that lasts.
	Shaped func(Pod, error)
	// Observe, when set, is told how long each part of an operation took.
	Observe func(verb, part string, took time.Duration)
	Log     logr.Logger
}

// Manager does the CNI verbs. Its methods may run at the same time.
type Manager struct {
	cfg        Config
	home       os.FileInfo // the node's network namespace
	containers locks
	pods       locks
	shapes     shapes
}

// New makes a Manager for the network namespace that the process is in.
func New(cfg Config) (*Manager, error) {
	// Not /proc/self: that is the main thread, which may be on a visit to a Pod's namespace.
	home, err := os.Stat("/proc/thread-self/ns/net")
	if err != nil {
		return nil, fmt.Errorf("find the node's network namespace: %w", err)
	}
	if cfg.Observe == nil {
		cfg.Observe = func(string, string, time.Duration) {}
	}
	if cfg.Shaped == nil {
		cfg.Shaped = func(Pod, error) {}
	}
	return &Manager{cfg: cfg, home: home}, nil
}

// observe is deferred with time.Now() as its last argument.
func (m *Manager) observe(verb, part string, since time.Time) {
	m.cfg.Observe(verb, part, time.Since(since))
}

// HostName is the name of the node's end of the veth and of the OVS port. A container id is longer than the 15 characters that
// a name may have, and its first characters need not differ, so it is a hash: 52 bits are enough for a node's containers.
func HostName(containerID, ifName string) string {
	sum := sha256.Sum256([]byte(containerID + "/" + ifName))
	return hostPrefix + hex.EncodeToString(sum[:])[:maxIfName-len(hostPrefix)]
}

// IsHostName tells whether a name can be one of HostName's.
func IsHostName(name string) bool {
	return len(name) == maxIfName && strings.HasPrefix(name, hostPrefix)
}

// of selects the interfaces of one attachment.
func of(containerID, ifName string) func(*vswitch.Interface) bool {
	return func(i *vswitch.Interface) bool {
		return i.Ours() && i.ExternalIDs[keyContainer] == containerID && i.ExternalIDs[keyIfName] == ifName
	}
}

// ofContainers selects the interfaces of all attachments.
func ofContainers(i *vswitch.Interface) bool { return i.Ours() && i.ExternalIDs[keyContainer] != "" }

// again is an error after which the same request may succeed.
func again(format string, args ...any) error {
	return api.Errorf(api.CodeTryAgain, format, args...)
}

// lockContainer keeps the verbs of one attachment apart: a DEL waits until a broken-off ADD has cleaned up.
func (m *Manager) lockContainer(ctx context.Context, r *api.Request) (func(), error) {
	unlock, err := m.containers.lock(ctx, r.ContainerID+"/"+r.IfName)
	if err != nil {
		return nil, again("another operation on container %s goes on: %v", r.ContainerID, err)
	}
	return unlock, nil
}
