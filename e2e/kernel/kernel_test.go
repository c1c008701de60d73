package kernel

import (
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/heddle-net/heddle/e2e/sandbox/build"
)

// suites are the packages whose tests run on the kernel's datapath. To add one is a line here; see doc.go.
var suites = []suite{
	{pkg: "ovs/ovstest/node"},
	// All but these, which are about OpenFlow flows, or which are to the datapath what TestPolicyPackets is. Some tests run with the machine's
	// OVN and with the image's, which are the same here.
	{pkg: "controller/packets", skip: "^Test(FlowsAddUp|FlowsOfCutConnections|SecurityGroupPackets|PrivateSubnetPackets|DomainPackets)$|/^machine$"},
	{pkg: "daemon/host", run: "^(TestPackets|TestServiceSCTP|TestKernelDatapath)$"},
	{pkg: "daemon/shape"},
	{pkg: "daemon", run: "^(TestTraffic|TestCutter|TestDatapathStays|TestShape|TestRates|TestNetem)$"},
}

var (
	packagesFlag = flag.String("guest.packages", "", "regular expression of the packages to run, all by default")
	runFlag      = flag.String("guest.run", "", "-run of the test binaries in the guest")
)

// deadline bounds the guest from power on to power off, which takes about two minutes.
const deadline = 20 * time.Minute

func TestKernel(t *testing.T) {
	for _, program := range []string{"qemu-system-x86_64", "mmdebstrap"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%v: run `make deps`", err)
		}
	}
	g := newGuest(t)
	if err := g.compile(t.Context()); err != nil {
		t.Fatal(err)
	}
	initramfs, err := g.initramfs()
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(g.root, "dist/kernel.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	var r results
	if err := g.boot(ctx, initramfs, log, r.line); err != nil || !r.ended {
		t.Errorf("the guest did not come to its end: %v\n%s", err, tail(t, log.Name()))
	}
	for _, s := range g.tests {
		t.Run(s.pkg, func(t *testing.T) { report(t, r.of(s.pkg)) })
	}
	if r.nothing() {
		t.Error("no test ran at all")
	}
}

func newGuest(t *testing.T) *guest {
	t.Helper()
	root, err := build.Root()
	if err != nil {
		t.Fatal(err)
	}
	suite, err := release(root)
	if err != nil {
		t.Fatalf("%v: run `make dist/root`", err)
	}
	g := &guest{root: root, work: t.TempDir()}
	if g.linux, err = debianLinux(t.Context(), suite); err != nil {
		t.Fatal(err)
	}
	t.Logf("Linux %s", g.linux.version)
	for _, s := range suites {
		if !regexp.MustCompile(*packagesFlag).MatchString(s.pkg) {
			continue
		}
		if *runFlag != "" {
			s.run = *runFlag
		}
		g.tests = append(g.tests, s)
	}
	return g
}

// report says what happened to a package.
func report(t *testing.T, o *output) {
	if o == nil {
		t.Fatal("it did not run")
	}
	whole, err := o.tests()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s on this machine's clock", o.took.Round(time.Second))
	for _, s := range whole.sub {
		t.Run(s.name, func(t *testing.T) { repeat(t, s) })
	}
	if why := o.wrong(whole); why != "" && (*runFlag == "" || why != noTest) {
		t.Errorf("%s\n%s", why, whole.text.String())
	}
}

// repeat is a test of the guest once more, by its result.
func repeat(t *testing.T, was *test) {
	t.Log(was.text.String())
	for _, s := range was.sub {
		t.Run(s.name, func(t *testing.T) { repeat(t, s) })
	}
	if why := was.wrong(); why != "" {
		t.Error(why)
	}
}

// tail is the end of a file.
func tail(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(text), "\n")
	return strings.Join(lines[max(0, len(lines)-60):], "")
}
