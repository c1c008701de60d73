package port

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// setSysctl writes a value below /proc/sys of the calling thread's network namespace, unless it has it already. A kernel
// without IPv6 has no such file: that is fine for switching things off.
func setSysctl(name, value string) error {
	have, err := os.ReadFile("/proc/sys/" + name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read sysctl %s: %w", name, err)
	}
	if strings.TrimSpace(string(have)) == value {
		return nil
	}
	if err := os.WriteFile("/proc/sys/"+name, []byte(value), 0); err != nil {
		return fmt.Errorf("set sysctl %s to %s: %w", name, value, err)
	}
	return nil
}

// allowIPv6 switches IPv6 on where the container runtime has switched it off, also for lo, and duplicate address detection off: the
// link-local address, too, is usable at once.
func allowIPv6(ifName string) error {
	if _, err := os.Stat("/proc/sys/net/ipv6"); err != nil {
		return fmt.Errorf("the Pod has an IPv6 address, the kernel has no IPv6: %w", err)
	}
	// ip-sysctl.rst, "disable_ipv6": changing "all" changes every interface that exists.
	for _, dev := range []string{"all", "default", ifName} {
		if err := setSysctl("net/ipv6/conf/"+dev+"/disable_ipv6", "0"); err != nil {
			return err
		}
	}
	return setSysctl("net/ipv6/conf/"+ifName+"/accept_dad", "0")
}
