package dns

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/dns/dnsmessage"
)

const childEnv = "HEDDLE_TEST_DNS_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		fmt.Println(child())
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// child is the process that is killed: it holds all answers of hd0 for ever, and says so.
func child() error {
	g := New(Config{Servers: trusted, Limit: forever, Log: logr.Discard(), Hold: func(Record) <-chan struct{} {
		fmt.Println("held")
		return make(chan struct{})
	}})
	go func() {
		<-g.SetLinks([]string{"hd0"})
		fmt.Println("ready")
	}()
	return g.Run(context.Background())
}

func TestAnswersFlowWhenTheProcessIsKilled(t *testing.T) {
	r := newRig(t)
	before := r.state()
	child := exec.Command("/proc/self/exe")
	child.Env = append(os.Environ(), childEnv+"=1")
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	r.in(r.node, child.Start)
	t.Cleanup(func() { _ = child.Process.Kill() })
	lines := bufio.NewScanner(out)
	says := func(want string) {
		t.Helper()
		if !lines.Scan() || lines.Text() != want {
			t.Fatalf("the child says %q, want %q", lines.Text(), want)
		}
	}
	says("ready")
	c := r.dial(0, "udp", "10.0.0.1:53")
	c.send(question(1, "a.example.", dnsmessage.TypeA))
	says("held")
	c.empty()
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()
	again := question(2, "a.example.", dnsmessage.TypeA)
	c.send(again)
	c.expect(again)
	if strings.Contains(r.state(), "table") {
		t.Errorf("the table is left:\n%s", r.state())
	}

	g := r.gate(forever) // takes over from it
	r.set(g, "hd0")
	r.held(0)
	r.set(g)
	if diff := cmp.Diff(before, r.state()); diff != "" {
		t.Errorf("something is left (-before +now):\n%s", diff)
	}
}
