package cluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// Preflight says in one sentence why no sandbox can run here.
func Preflight() error {
	if runtime.GOOS != "linux" {
		return fmt.Errorf("the sandbox takes Linux, this is %s", runtime.GOOS)
	}
	if os.Geteuid() != 0 {
		return errors.New("the sandbox makes network namespaces and mounts, which takes root: run it with sudo")
	}
	cmd := exec.Command("true")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("this system does not let root make network, mount and process namespaces (a container without privileges?): %w", err)
	}
	return nil
}
