package cluster

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/heddle-net/heddle/e2e/sandbox/machine"
)

const containerdSocket = "/run/containerd/containerd.sock"

// loadOnce imports an archive that has changed since it was imported last. A file in the machine's folder tells, by size and time.
func loadOnce(ctx context.Context, m *machine.Machine, archive string) error {
	info, err := os.Stat(archive)
	if err != nil {
		return err
	}
	mark := filepath.Join(m.Config.Dir, filepath.Base(archive)+".loaded")
	version := fmt.Sprintf("%s %d %v\n", archive, info.Size(), info.ModTime())
	if loaded, err := os.ReadFile(mark); err == nil && string(loaded) == version {
		return nil
	}
	if err := load(ctx, m, archive); err != nil {
		return err
	}
	return os.WriteFile(mark, []byte(version), 0o600)
}

// load imports one archive into the node's containerd, in the namespace that kubelet looks in.
func load(ctx context.Context, m *machine.Machine, archive string) error {
	file, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := awaitSocket(ctx, m.Path(containerdSocket)); err != nil {
		return fmt.Errorf("%w; see %s/containerd.log", err, m.Config.LogDir())
	}
	var said bytes.Buffer
	cmd := m.Command(ctx, "ctr", "--address", containerdSocket, "--namespace", "k8s.io", "images", "import", "-")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = file, &said, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(said.Bytes()))
	}
	return nil
}
