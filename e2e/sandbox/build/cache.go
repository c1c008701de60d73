package build

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
)

// KubernetesVersion is the release that e2e/sandbox/kube/go.mod requires.
const KubernetesVersion = "v1.36.3"

// CoreDNSVersion is the release that e2e/sandbox/coredns/go.mod requires.
const CoreDNSVersion = "v1.15.0"

// Cache is the folder of everything that is made once, below the user's cache folder.
func Cache() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no cache folder: %w", err)
	}
	return filepath.Join(base, "heddle"), nil
}

// KubernetesDir is the folder of Kubernetes' programs, one per version and architecture.
func KubernetesDir() (string, error) {
	cache, err := Cache()
	if err != nil {
		return "", err
	}
	return filepath.Join(cache, "kube", KubernetesVersion, runtime.GOOS+"-"+runtime.GOARCH), nil
}

// Program is the path of one of Kubernetes' programs, or an error that says how to build it.
func Program(name string) (string, error) {
	dir, err := KubernetesDir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%s %s is not built yet: run `go run ./e2e/sandbox build`", name, KubernetesVersion)
	}
	return path, nil
}

// lock keeps other processes out of a folder of the cache until unlock is called.
func lock(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, ".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return func() { _ = f.Close() }, nil
}
