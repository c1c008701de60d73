package kernel

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// up is the first word of the guest's init.
const up = "guest: up "

// errNotUp says that the guest ended, or was ended, before that.
var errNotUp = errors.New("the guest did not come up")

// accelerator is how qemu runs the guest's instructions, and what the guest has to come up in.
type accelerator struct {
	args []string
	boot time.Duration
}

var hardware = accelerator{[]string{"-accel", "kvm"}, time.Minute}

// software is emulation. The guest's clock counts its instructions, a nanosecond each, and jumps over the time in which it has nothing to
// do: deadlines of tests mean the same on a machine that is slow or busy. It is up in some 10 s on an idle one.
var software = accelerator{[]string{"-accel", "tcg", "-icount", "shift=0,sleep=off"}, 3 * time.Minute}

// accelerators are tried in turn. There are machines whose KVM is there and boots nothing.
func accelerators() []accelerator {
	f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return []accelerator{software}
	}
	_ = f.Close()
	return []accelerator{hardware, software}
}

// processors is one. With two, qemu 7.2 at times shows one of them code that the kernel has changed meanwhile (static keys, which conntrack
// has many of), and the kernel panics of an int3 that nobody set.
const processors = "1"

// processor has what Go and Debian need; more makes emulation slower.
const processor = "qemu64,+ssse3,+sse4.1,+sse4.2,+popcnt"

// parameters are the kernel's (Documentation/admin-guide/kernel-parameters.rst). What only defends costs a quarter of the time.
const parameters = "console=ttyS0 loglevel=5 panic=-1 oops=panic mitigations=off init_on_alloc=0 no5lvl nowatchdog audit=0"

// boot runs the guest until it turns itself off, and gives each line of its second serial port to line. The log gets that and the console.
func (g *guest) boot(ctx context.Context, initramfs string, log io.Writer, line func(string)) error {
	var err error
	for _, by := range accelerators() {
		if err = g.bootBy(ctx, by, initramfs, log, line); !errors.Is(err, errNotUp) {
			return err
		}
		fmt.Fprintf(log, "%v: %v\n", by.args, err)
	}
	return err
}

func (g *guest) bootBy(ctx context.Context, by accelerator, initramfs string, log io.Writer, line func(string)) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	results, far, err := os.Pipe()
	if err != nil {
		return err
	}
	defer results.Close()
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64", append(slices.Clone(by.args), "-cpu", processor, "-smp", processors, "-m", "3072",
		"-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio", "-serial", "file:/dev/fd/3",
		"-kernel", g.linux.image(), "-initrd", initramfs, "-append", parameters)...)
	cmd.ExtraFiles = []*os.File{far}
	// The guest goes with the test, however that ends. The signal comes when the thread ends that has started it, so keep that.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stdout, cmd.Stderr = log, log
	err = cmd.Start()
	_ = far.Close()
	if err != nil {
		return err
	}
	early := time.AfterFunc(by.boot, stop)
	came := false
	for s := bufio.NewScanner(results); s.Scan(); {
		fmt.Fprintln(log, s.Text())
		if strings.HasPrefix(s.Text(), up) {
			came = early.Stop()
		}
		line(s.Text())
	}
	err = cmd.Wait()
	if !came {
		return errors.Join(errNotUp, err)
	}
	return err
}
