package kernel

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// up is the first word of the guest's init.
const up = "guest: up "

// errNotUp says that the guest ended, or was ended, before that.
var errNotUp = errors.New("the guest did not come up")

// bootTime is what a guest has to come up in. In software it takes some 10 s on an idle machine.
const bootTime = 3 * time.Minute

// software is emulation. The guest's clock counts its instructions, a nanosecond each, and jumps over the time in which it has nothing to
// do: deadlines of tests mean the same on a machine that is slow or busy.
var software = []string{"-accel", "tcg", "-icount", "shift=0,sleep=off"}

// accelerators are tried in turn. There are machines whose KVM is there and boots nothing.
func accelerators() [][]string {
	f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return [][]string{software}
	}
	_ = f.Close()
	return [][]string{{"-accel", "kvm"}, software}
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
	for _, accelerator := range accelerators() {
		if err = g.bootBy(ctx, accelerator, initramfs, log, line); !errors.Is(err, errNotUp) {
			return err
		}
		fmt.Fprintf(log, "%v: %v\n", accelerator, err)
	}
	return err
}

func (g *guest) bootBy(ctx context.Context, accelerator []string, initramfs string, log io.Writer, line func(string)) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	results, far, err := os.Pipe()
	if err != nil {
		return err
	}
	defer results.Close()
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64", append(slices.Clone(accelerator), "-cpu", processor, "-smp", processors, "-m", "3072",
		"-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio", "-serial", "file:/dev/fd/3",
		"-kernel", g.linux.image(), "-initrd", initramfs, "-append", parameters)...)
	cmd.ExtraFiles = []*os.File{far}
	cmd.Stdout, cmd.Stderr = log, log
	err = cmd.Start()
	_ = far.Close()
	if err != nil {
		return err
	}
	early := time.AfterFunc(bootTime, stop)
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
