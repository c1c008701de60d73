package api

import (
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"time"
)

// Version of the protocol. The daemon installs the plugin that it speaks with, so it refuses every other.
const Version = 1

// The commands of a Request, as in CNI_COMMAND.
const (
	Add    = "ADD"
	Del    = "DEL"
	Check  = "CHECK"
	GC     = "GC"
	Status = "STATUS"
)

// DefaultTimeout bounds one operation where the network configuration says nothing; MaxTimeout is the most it may say.
const (
	DefaultTimeout = time.Minute
	MaxTimeout     = 10 * time.Minute
)

// maxMessage bounds a message: a GC of 10,000 attachments has about 1 MiB.
const maxMessage = 8 << 20

// Request is one CNI operation.
type Request struct {
	Version int    `json:"version"`
	Command string `json:"command"`

	// Network is the name of the network configuration: GC of one network leaves the attachments of others.
	Network     string `json:"network,omitempty"`
	ContainerID string `json:"containerID,omitempty"`
	NetNS       string `json:"netns,omitempty"`
	IfName      string `json:"ifName,omitempty"`

	PodName      string `json:"podName,omitempty"`
	PodNamespace string `json:"podNamespace,omitempty"`
	PodUID       string `json:"podUID,omitempty"`

	Provider string  `json:"provider,omitempty"`
	Routes   []Route `json:"routes,omitempty"`

	// TimeoutMillis bounds the operation from its arrival. 0 = DefaultTimeout.
	TimeoutMillis int64 `json:"timeoutMillis,omitempty"`

	// Prev is the result of the ADD that a CHECK looks at.
	Prev *Result `json:"prev,omitempty"`
	// Valid lists what a GC must keep.
	Valid []Attachment `json:"valid,omitempty"`
}

// Route is an extra route of the Pod. Without a gateway it goes through the Subnet's.
type Route struct {
	Dst netip.Prefix `json:"dst"`
	GW  netip.Addr   `json:"gw,omitzero"`
}

// Attachment is one interface of one container.
type Attachment struct {
	ContainerID string `json:"containerID"`
	IfName      string `json:"ifName"`
}

// Result is what an ADD made.
type Result struct {
	HostInterface string  `json:"hostInterface"`
	HostMAC       string  `json:"hostMAC"`
	MAC           string  `json:"mac"`
	MTU           int     `json:"mtu"`
	IPs           []IP    `json:"ips"`
	Routes        []Route `json:"routes"`
}

// IP is one address of the Pod with its Subnet's prefix length and gateway.
type IP struct {
	Address netip.Prefix `json:"address"`
	Gateway netip.Addr   `json:"gateway,omitzero"`
}

// Response answers a Request: an error, or a result where the command has one.
type Response struct {
	Result *Result `json:"result,omitempty"`
	Error  *Error  `json:"error,omitempty"`
}

// Timeout of the operation.
func (r *Request) Timeout() time.Duration {
	if r.TimeoutMillis == 0 {
		return DefaultTimeout
	}
	return time.Duration(r.TimeoutMillis) * time.Millisecond
}

// Read decodes one message; what follows it is left unread.
func Read(r io.Reader, message any) error {
	d := json.NewDecoder(io.LimitReader(r, maxMessage))
	if err := d.Decode(message); err != nil {
		return Errorf(CodeDecoding, "decode the message: %v", err)
	}
	return nil
}

// Write encodes one message.
func Write(w io.Writer, message any) error {
	if err := json.NewEncoder(w).Encode(message); err != nil {
		return fmt.Errorf("encode the message: %w", err)
	}
	return nil
}
