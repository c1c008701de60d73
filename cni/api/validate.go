package api

import (
	"path"
	"strings"
	"unicode"
)

// maxIfName is IFNAMSIZ less the final zero octet.
const maxIfName = 15

// Validate says what is wrong with the request; nil when it is safe to act on.
func (r *Request) Validate() error {
	if r.Version != Version {
		return Errorf(CodeIncompatibleVersion, "the request has protocol version %d, this daemon speaks %d", r.Version, Version)
	}
	if t := r.Timeout(); t <= 0 || t > MaxTimeout {
		return Errorf(CodeConfig, "timeout %d ms is not between 1 ms and %d ms", r.TimeoutMillis, MaxTimeout.Milliseconds())
	}
	switch r.Command {
	case Status:
		return nil
	case GC:
		return r.validateGC()
	case Del:
		return r.validateAttachment()
	case Add, Check:
		if err := r.validateAttachment(); err != nil {
			return err
		}
		return r.validatePod()
	default:
		return Errorf(CodeEnvironment, "unknown command %q", r.Command)
	}
}

func (r *Request) validateGC() error {
	if r.Network == "" {
		return Errorf(CodeConfig, "missing network name")
	}
	for _, a := range r.Valid {
		if err := a.validate(); err != nil {
			return err
		}
	}
	return nil
}

func (a Attachment) validate() error {
	if !validID(a.ContainerID) {
		return Errorf(CodeEnvironment, "container id %q is not made of letters, digits, '_', '.' and '-', beginning with a letter or digit", a.ContainerID)
	}
	return validIfName(a.IfName)
}

// validateAttachment is for the commands about one interface. A DEL may come without a namespace: it is gone then.
func (r *Request) validateAttachment() error {
	if err := (Attachment{r.ContainerID, r.IfName}).validate(); err != nil {
		return err
	}
	if r.NetNS == "" && r.Command == Del {
		return nil
	}
	if !path.IsAbs(r.NetNS) || strings.ContainsRune(r.NetNS, 0) {
		return Errorf(CodeEnvironment, "netns %q is not an absolute path", r.NetNS)
	}
	return nil
}

func (r *Request) validatePod() error {
	if !validName(r.PodName) {
		return Errorf(CodeEnvironment, "K8S_POD_NAME %q in CNI_ARGS is not the name of a Pod", r.PodName)
	}
	if !validName(r.PodNamespace) || strings.Contains(r.PodNamespace, ".") {
		return Errorf(CodeEnvironment, "K8S_POD_NAMESPACE %q in CNI_ARGS is not the name of a namespace", r.PodNamespace)
	}
	if r.Command == Add && !validID(r.PodUID) {
		return Errorf(CodeEnvironment, "K8S_POD_UID %q in CNI_ARGS is not the UID of a Pod", r.PodUID)
	}
	if r.Provider != "" && r.Provider != "ovn" {
		return Errorf(CodeUnsupportedField, `unsupported field "provider": %q; only "ovn", the Pod's primary network, is supported`, r.Provider)
	}
	for _, route := range r.Routes {
		if err := route.validate(); err != nil {
			return err
		}
	}
	return nil
}

func (r Route) validate() error {
	if !r.Dst.IsValid() {
		return Errorf(CodeConfig, "a route has no destination")
	}
	if r.Dst != r.Dst.Masked() {
		return Errorf(CodeConfig, "route %s: the destination has host bits, write %s", r.Dst, r.Dst.Masked())
	}
	if r.GW.IsValid() && r.GW.Is4() != r.Dst.Addr().Is4() {
		return Errorf(CodeConfig, "route %s: gateway %s is of the other address family", r.Dst, r.GW)
	}
	if r.GW.Zone() != "" || r.GW.IsUnspecified() || r.GW.IsMulticast() {
		return Errorf(CodeConfig, "route %s: %s cannot be a gateway", r.Dst, r.GW)
	}
	return nil
}

// validID is the character set that CNI allows for container ids, bounded.
func validID(id string) bool {
	if id == "" || len(id) > 253 {
		return false
	}
	for i, c := range []byte(id) {
		alnum := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alnum && (i == 0 || c != '_' && c != '.' && c != '-') {
			return false
		}
	}
	return true
}

// validName is a DNS-1123 subdomain, as for the names of Pods.
func validName(name string) bool {
	if !validID(name) || strings.ContainsAny(name, "_") || strings.ToLower(name) != name {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
	}
	return true
}

// validIfName follows dev_valid_name() of the kernel.
func validIfName(name string) error {
	bad := func(c rune) bool { return c == '/' || c == ':' || c == 0 || unicode.IsSpace(c) }
	if name == "" || len(name) > maxIfName || name == "." || name == ".." || strings.ContainsFunc(name, bad) {
		return Errorf(CodeEnvironment, "%q cannot be the name of a network interface", name)
	}
	return nil
}
