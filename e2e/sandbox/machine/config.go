package machine

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/heddle-net/heddle/e2e/sandbox/process"
)

// Config says what a machine is. It is kept as machine.json in the machine's folder.
type Config struct {
	Name     string // host name
	Dir      string // the machine's folder on the host
	Cgroup   string // below every hierarchy's root, without a leading slash
	Binds    []Bind
	Sysctls  []Sysctl
	Services []process.Spec

	// Private files of /proc/sys that are not of the network namespace. The machine's programs may
	// write them; what they write stays in the machine.
	PrivateSysctls []string

	// Forward is an address in the machine's network. Connections to the listener that was handed to
	// Start, which is in the host's network, are passed on to it.
	Forward string
}

// Bind puts a folder of the host at a path in the machine.
type Bind struct {
	Source, Target string
	ReadOnly       bool
}

// Sysctl is set before the machine has links other than lo.
type Sysctl struct{ Key, Value string }

// Names of files and folders in the machine's folder.
const (
	configFile = "machine.json"
	recordFile = "record.json"
	initLog    = "init.log"
)

// LogDir is the folder on the host with the logs of the machine and its services; it is /var/log
// inside.
func (c Config) LogDir() string { return filepath.Join(c.Dir, "log") }

func (c Config) path(name string) string { return filepath.Join(c.Dir, name) }

func (c Config) write() error { return writeJSON(c.path(configFile), c) }

func readConfig(dir string) (Config, error) {
	var c Config
	return c, readJSON(filepath.Join(dir, configFile), &c)
}

func writeJSON(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return replaceFile(path, append(data, '\n'))
}

// replaceFile writes a file that is whole at any time: whoever cleans up after a crash has nothing else to go by.
func replaceFile(path string, data []byte) error {
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func readJSON(path string, v any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}
