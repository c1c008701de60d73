package daemon

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Names on the node.
const (
	pluginName   = "heddle"
	conflistName = "01-heddle.conflist"
)

// installPlugin puts the CNI plugin of this daemon where the container runtime looks for it.
func installPlugin(cfg Config) error {
	binary, err := os.ReadFile(cfg.CNIBinary)
	if err != nil {
		return fmt.Errorf("install the CNI plugin: %w", err)
	}
	if err := replace(filepath.Join(cfg.CNIBinDir, pluginName), binary, 0o755); err != nil {
		return fmt.Errorf("install the CNI plugin: %w", err)
	}
	return nil
}

// installConflist tells the container runtime that this node has a network. It comes last: kubelet reports the node as ready
// once it is there. It tells whether portmap is in the chain.
func installConflist(cfg Config) (portmap bool, err error) {
	// A chain with a plugin that is not installed fails for every Pod.
	if _, err := os.Stat(filepath.Join(cfg.CNIBinDir, "portmap")); err == nil {
		portmap = true
	}
	text, err := conflist(cfg, portmap)
	if err != nil {
		return portmap, fmt.Errorf("write the CNI configuration: %w", err)
	}
	if err := replace(filepath.Join(cfg.CNIConfDir, conflistName), text, 0o600); err != nil {
		return portmap, fmt.Errorf("write the CNI configuration: %w", err)
	}
	return portmap, nil
}

func conflist(cfg Config, portmap bool) ([]byte, error) {
	plugins := []map[string]any{{"type": pluginName, "server_socket": cfg.Socket}}
	if portmap {
		plugins = append(plugins, map[string]any{"type": "portmap", "capabilities": map[string]bool{"portMappings": true}})
	}
	text, err := json.MarshalIndent(map[string]any{"cniVersion": cfg.CNIVersion, "name": pluginName, "plugins": plugins}, "", "  ")
	return append(text, '\n'), err
}

// replace writes a file in one step, so that nobody reads half of it, and not at all when it is as wanted. The temporary name
// begins with a dot and has no extension that a runtime looks for.
func replace(path string, content []byte, mode fs.FileMode) (err error) {
	if have, err := os.ReadFile(path); err == nil && bytes.Equal(have, content) {
		return os.Chmod(path, mode)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(content)
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// uninstall removes what the two functions above install. Absent is fine.
func uninstall(cfg Config) error {
	var all []error
	for _, path := range []string{filepath.Join(cfg.CNIConfDir, conflistName), filepath.Join(cfg.CNIBinDir, pluginName)} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			all = append(all, err)
		}
	}
	return errors.Join(all...)
}
