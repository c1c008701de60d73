package cni

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/version"

	"github.com/heddle-net/heddle/cni/api"
)

// DefaultSocket is where the daemon listens unless the configuration says otherwise.
const DefaultSocket = "/run/heddle/daemon.sock"

// config is the network configuration. The keys are Kube-OVN's; timeout is Heddle's own.
type config struct {
	types.PluginConf
	ServerSocket string      `json:"server_socket"`
	Provider     string      `json:"provider"`
	Routes       []api.Route `json:"routes"`
	// Timeout of one operation, in seconds.
	Timeout int64 `json:"timeout"`
}

// known are the keys that have an effect, and those that a runtime adds on its own account.
var known = []string{
	"cniVersion", "cniVersions", "name", "type", "disableCheck", "disableGC", "prevResult", "args",
	"server_socket", "provider", "routes", "dns", "timeout",
}

// unsupported are keys that Kube-OVN or CNI define and that do nothing here: they may be there, but not say anything.
var unsupported = []string{
	"capabilities", "runtimeConfig", "ipam", "ipMasq", "deviceID", "vf_driver",
	"vhost_user_socket_volume_name", "vhost_user_socket_name", "vhost_user_socket_consumption",
}

// parse reads a configuration. A key that would be ignored is an error: what a user writes has an effect or is refused.
func parse(stdin []byte) (*config, error) {
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(stdin, &keys); err != nil {
		return nil, api.Errorf(api.CodeDecoding, "decode the network configuration: %v", err)
	}
	for key, value := range keys {
		if slices.Contains(known, key) || strings.HasPrefix(key, "cni.dev/") {
			continue
		}
		if !slices.Contains(unsupported, key) || !empty(value) {
			return nil, api.Errorf(api.CodeUnsupportedField, "unsupported field %q: %s", key, value)
		}
	}
	c := &config{}
	if err := json.Unmarshal(stdin, c); err != nil {
		return nil, api.Errorf(api.CodeConfig, "decode the network configuration: %v", err)
	}
	if c.ServerSocket == "" {
		c.ServerSocket = DefaultSocket
	}
	if !strings.HasPrefix(c.ServerSocket, "/") {
		return nil, api.Errorf(api.CodeConfig, `"server_socket": %q is not an absolute path`, c.ServerSocket)
	}
	if c.Timeout < 0 || c.Timeout > int64(api.MaxTimeout.Seconds()) {
		return nil, api.Errorf(api.CodeConfig, `"timeout": %d is not between 1 and %d seconds`, c.Timeout, int64(api.MaxTimeout.Seconds()))
	}
	if err := version.ParsePrevResult(&c.PluginConf); err != nil {
		return nil, api.Errorf(api.CodeDecoding, "decode prevResult: %v", err)
	}
	return c, nil
}

func empty(value json.RawMessage) bool {
	return slices.Contains([]string{"null", `""`, "{}", "[]", "false"}, string(value))
}
