package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	v1 "github.com/heddle-net/heddle/crds/v1"
	"github.com/heddle-net/heddle/e2e/sandbox/build"
)

// asUser gives a command what a user has: a kubeconfig, and kubectl and its plugin on the PATH.
func (e *env) asUser(t *testing.T, cmd *exec.Cmd) *exec.Cmd {
	t.Helper()
	programs, err := build.KubernetesDir()
	must(t, err)
	root, err := build.Root()
	must(t, err)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+e.Kubeconfig(), "PATH="+strings.Join([]string{root + "/bin", programs, os.Getenv("PATH")}, ":"))
	return cmd
}

// heddle is a call of the plugin by kubectl, which is replaced by it: signals reach the plugin. It ends with the test, or after a while.
func (e *env) heddle(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	kubectl, err := build.Program("kubectl")
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), timeLimit)
	t.Cleanup(cancel)
	return e.asUser(t, exec.CommandContext(ctx, kubectl, append([]string{"heddle"}, args...)...))
}

// says runs the plugin to its end.
func (e *env) says(t *testing.T, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := e.heddle(t, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// looked is a Pod whose packets are looked at.
type looked struct{ limited }

// link is the Pod's on its node.
func (p looked) link(t *testing.T) string {
	t.Helper()
	said := p.e.run(t, p.Spec.NodeName, "ovs-vsctl", "--bare", "--columns=name", "find", "Interface", "external_ids:iface-id="+p.Name+"."+p.Namespace)
	return strings.TrimSpace(said)
}

// traces are what a capture could leave on the node: processes in the daemon's container, also those that nobody has waited for, and the link's
// promiscuity.
func (p looked) traces(t *testing.T) string {
	t.Helper()
	const list = `for p in /proc/[0-9]*; do read -r name <$p/comm && case $name in bash | tcpdump | cat | sleep | setpriv) echo $name ;; esac; done 2>/dev/null`
	processes := p.e.kubectl(t, "-n", "kube-system", "exec", p.e.daemonOn(t, p.Spec.NodeName), "-c", "daemon", "--", "bash", "-c", list)
	var links []struct{ Promiscuity int }
	must(t, json.Unmarshal([]byte(p.e.run(t, p.Spec.NodeName, "ip", "-details", "-json", "link", "show", "dev", p.link(t))), &links))
	return processes + "promiscuity " + strconv.Itoa(links[0].Promiscuity)
}

// untouched waits until the traces are those from before.
func (p looked) untouched(t *testing.T, before string) {
	t.Helper()
	for began := time.Now(); ; {
		have := p.traces(t)
		if have == before {
			return
		}
		if time.Since(began) > timeLimit {
			t.Fatalf("the node had\n%s\nand has\n%s", before, have)
		}
	}
}

// watched starts tcpdump at the Pod, and returns when it listens, with its standard output; the caller waits for its end.
func (p looked) watched(t *testing.T, args ...string) (cmd *exec.Cmd, stdout io.Reader, stderr *bufio.Reader) {
	t.Helper()
	cmd = p.e.heddle(t, append([]string{"tcpdump", p.Name, "-n", p.Namespace, "--"}, args...)...)
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	errs, err := cmd.StderrPipe()
	must(t, err)
	must(t, cmd.Start())
	stderr = bufio.NewReader(errs)
	for said := ""; !strings.Contains(said, "listening on "); {
		line, err := stderr.ReadString('\n')
		said += line
		if err != nil {
			t.Fatalf("tcpdump did not begin: %v\n%s", errors.Join(err, cmd.Wait()), said)
		}
	}
	return cmd, stdout, stderr
}

// ping sends echoes of so many octets.
func (p looked) ping(t *testing.T, address string, count, size int) {
	t.Helper()
	p.e.run(t, p.Spec.NodeName, p.in(t, "ping", "-c", strconv.Itoa(count), "-i", "0.05", "-W", "30", "-s", strconv.Itoa(size), address)...)
}

// twoLooked are a Pod to look at and another one, on the nodes of these numbers.
func twoLooked(t *testing.T, e *env, name, cidr string, here, there int) (web, peer looked) {
	t.Helper()
	ns := e.namespace(t, name, nil)
	e.subnet(t, name, cidr, func(s *v1.SubnetSpec) { s.Namespaces = []string{ns} })
	a, b := pod(ns, "web", e.Nodes()[here]), pod(ns, "peer", e.Nodes()[there])
	e.start(t, a, b)
	return looked{limited{a, e}}, looked{limited{b, e}}
}

// TestPluginTCPDump looks at packets from where there is a kubeconfig, and at the node afterwards, however it ended. It runs alone: it
// looks at all processes of a daemon.
func TestPluginTCPDump(t *testing.T) {
	e := use(t)
	web, peer := twoLooked(t, e, "plugin", "10.154.0.0/24,fd00:10:154::/112", 0, 1)
	before := web.traces(t)

	t.Run("packets are shown, and Ctrl-C ends it", func(t *testing.T) {
		cmd, stdout, stderr := web.watched(t, "-n", "icmp or (icmp6 and ip6[40] >= 128 and ip6[40] <= 129)")
		lines, want := bufio.NewScanner(stdout), []string{}
		for _, address := range addresses(web.Pod) {
			peer.ping(t, address.String(), 1, 56)
			want = append(want, "> "+address.String()+": ICMP", "echo request", address.String()+" > ", "echo reply")
		}
		said := ""
		for range 4 { // two questions and their answers
			lines.Scan()
			said += lines.Text() + "\n"
		}
		for _, part := range want {
			if !strings.Contains(said, part) {
				t.Errorf("%q is not shown in\n%s", part, said)
			}
		}
		must(t, cmd.Process.Signal(os.Interrupt))
		last, err := io.ReadAll(stderr)
		if err := errors.Join(err, cmd.Wait()); err != nil || !strings.Contains(string(last), "4 packets captured") {
			t.Errorf("%v, its last words were\n%s", err, last)
		}
		web.untouched(t, before)
	})
	t.Run("a file of packets", func(t *testing.T) {
		cmd, stdout, _ := web.watched(t, "-c", "3", "-w", "-", "icmp")
		peer.ping(t, addresses(web.Pod)[0].String(), 2, 100)
		file, err := io.ReadAll(stdout)
		must(t, errors.Join(err, cmd.Wait()))
		if sizes := packetsOf(t, file); len(sizes) != 3 || sizes[0] != 14+20+8+100 {
			t.Errorf("packets of %d octets, want three of %d", sizes, 14+20+8+100)
		}
		web.untouched(t, before)
	})
	t.Run("kill -9", func(t *testing.T) {
		cmd, _, _ := web.watched(t, "-n")
		must(t, cmd.Process.Kill())
		_ = cmd.Wait() // it is killed
		web.untouched(t, before)
	})
	t.Run("kill -9, when it has not read for long", func(t *testing.T) {
		cmd, _, _ := web.watched(t, "-w", "-")
		must(t, cmd.Process.Signal(syscall.SIGSTOP))
		// More than what is in between holds.
		e.run(t, peer.Spec.NodeName, peer.in(t, "ping", "-q", "-f", "-c", "20000", "-s", "1300", addresses(web.Pod)[0].String())...)
		must(t, cmd.Process.Kill())
		_ = cmd.Wait()
		web.untouched(t, before)
	})
	t.Run("its shell on the node is killed", func(t *testing.T) {
		cmd, _, _ := web.watched(t, "-n")
		const kill = `for p in /proc/[0-9]*; do read -r name <$p/comm && if [ "$name" = tcpdump ]; then kill -KILL "$(cut -d ' ' -f 4 $p/stat)"; fi; done 2>/dev/null; true`
		e.kubectl(t, "-n", "kube-system", "exec", e.daemonOn(t, web.Spec.NodeName), "-c", "daemon", "--", "bash", "-c", kill)
		if err := cmd.Wait(); err == nil {
			t.Error("it ended as if nothing had happened")
		}
		web.untouched(t, before)
	})
}

// packetsOf reads a file of packets (pcap-savefile(5)) and returns their lengths.
func packetsOf(t *testing.T, file []byte) (sizes []int) {
	t.Helper()
	const header, record = 24, 16
	if len(file) < header || binary.LittleEndian.Uint32(file) != 0xa1b2c3d4 || binary.LittleEndian.Uint32(file[20:]) != 1 {
		t.Fatalf("no file of Ethernet packets: % x", file[:min(len(file), header)])
	}
	for file = file[header:]; len(file) > 0; {
		n := int(binary.LittleEndian.Uint32(file[8:]))
		sizes, file = append(sizes, n), file[record+n:]
	}
	return sizes
}

// TestPluginArguments: they reach tcpdump as they are, its status comes back, and what it cannot do is said in words.
func TestPluginArguments(t *testing.T) {
	t.Parallel()
	e := use(t)
	web, _ := twoLooked(t, e, "plugin-args", "10.155.0.0/24", 0, 0)
	ns := web.Namespace
	host := pod(ns, "host", e.Nodes()[0])
	host.Spec.HostNetwork, host.Spec.Containers = true, []corev1.Container{agnhost(18090)}
	done := pod(ns, "done", e.Nodes()[0])
	done.Spec.RestartPolicy, done.Spec.Containers = corev1.RestartPolicyNever, []corev1.Container{{Name: "done", Image: agnhostImage, Args: []string{"--help"}}}
	e.start(t, host)
	e.post(t, done)
	await(t, e, done, func(p *corev1.Pod) string {
		if p.Status.Phase == corev1.PodSucceeded {
			return ""
		}
		return "it has not ended: " + string(p.Status.Phase)
	})
	const nasty = `$(touch /run/heddle/here); 'touch' "/run/heddle/here" \ * &`
	for _, c := range []struct {
		args   []string
		stderr string
		status int
	}{
		{[]string{"tcpdump", "web", "--", nasty}, "tcpdump: ", 1},
		{[]string{"tcpdump", "web", "--", "-T", nasty}, "tcpdump: unknown packet type '" + nasty + "'", 1},
		{[]string{"tcpdump", "web", "--", "-d", "port", "80"}, "", 0},
		{[]string{"tcpdump", "web", "--", "-nw", "file"}, "option -w cannot be used: nothing is written on the node", 1},
		{[]string{"tcpdump", "nobody"}, `pod ` + ns + `/nobody: pods "nobody" not found`, 1},
		{[]string{"tcpdump", "host"}, "pod " + ns + "/host is in the network of its node", 1},
		{[]string{"tcpdump", "done"}, "pod " + ns + "/done has ended", 1},
		{[]string{"tcpdump", "web", "--heddle-namespace=default"}, "namespace default has no daemon of Heddle that runs on node " + web.Spec.NodeName, 1},
		{[]string{"tcpdump", "web", "--as=nobody"}, `User "nobody" cannot get resource "pods"`, 1},
		{[]string{"mirror", "nobody"}, `pod ` + ns + `/nobody: pods "nobody" not found`, 1},
		{[]string{"mirror", "host"}, "pod " + ns + "/host is in the network of its node", 1},
		{[]string{"mirror", "done"}, "pod " + ns + "/done has ended", 1},
	} {
		_, stderr, status := e.says(t, append([]string{c.args[0], "-n", ns}, c.args[1:]...)...)
		if status != c.status || !strings.Contains(stderr, c.stderr) {
			t.Errorf("%q: status %d, %s\nwant %d, %s", c.args, status, stderr, c.status, c.stderr)
		}
	}
	if out, err := e.Run(t.Context(), web.Spec.NodeName, "ls", "/run/heddle/here"); err == nil {
		t.Error("an argument was run: ", out)
	}
	if names, _, _ := e.says(t, "__complete", "tcpdump", "-n", ns, ""); !strings.Contains(names, "web\n") || strings.Contains(names, "host") {
		t.Errorf("completion offers %q", names)
	}
}

// TestPluginMirror switches copies of a Pod's packets on and off.
func TestPluginMirror(t *testing.T) {
	e := use(t)
	web, peer := twoLooked(t, e, "plugin-mirror", "10.156.0.0/24,fd00:10:156::/112", 1, 1)
	node := web.Spec.NodeName
	turn := func(want string, args ...string) {
		t.Helper()
		out, stderr, status := e.says(t, append([]string{"mirror", "-n", web.Namespace}, args...)...)
		if status != 0 || out != want {
			t.Fatalf("%q: status %d, %q %s, want %q", args, status, out, stderr, want)
		}
	}
	annotated := func(want string) {
		t.Helper()
		if got := e.kubectl(t, "-n", web.Namespace, "get", "pod", "web", "-o", `jsonpath={.metadata.annotations.ovn\.kubernetes\.io/mirror}`); got != want {
			t.Errorf("annotation %q, want %q", got, want)
		}
	}
	turn("pod/web: mirror is off already\n", "web", "--off")
	turn("pod/web: mirror is on: copies of its packets come to link mirror0, or that of mirror.interface, on node "+node+"\n", "web")
	turn("pod/web: mirror is on already: copies of its packets come to link mirror0, or that of mirror.interface, on node "+node+"\n", "web")
	annotated("true")
	e.run(t, node, "ovs-vsctl", "--timeout=90", "wait-until", "Interface", "mirror0", "ofport>0")
	e.filtered(t, node, "mirror0/out", "recirc_id=0")
	counter := e.copies(t, node)
	for i, began := 0, time.Now(); counter("first") == 0; i++ { // until ovs-vswitchd has the mirror
		if time.Since(began) > timeLimit {
			t.Fatal("no packet is copied")
		}
		peer.ping(t, addresses(web.Pod)[0].String(), 1, 56)
	}
	peer.ping(t, addresses(web.Pod)[0].String(), 5, 100)
	peer.ping(t, addresses(web.Pod)[1].String(), 5, 80)
	for began := time.Now(); counter("counted") < 20; { // the last one may come after the answer that it is of
		if time.Since(began) > timeLimit {
			t.Fatalf("%d copies of 10 questions and their answers", counter("counted"))
		}
	}
	if n := counter("counted"); n != 20 {
		t.Errorf("%d copies of 10 questions and their answers", n)
	}
	turn("pod/web: mirror is off\n", "web", "--off")
	annotated("")
	for began := time.Now(); strings.Contains(e.run(t, node, "ip", "-brief", "link")+e.run(t, node, "ovs-vsctl", "list", "Mirror"), "mirror0"); {
		if time.Since(began) > timeLimit {
			t.Fatal("mirror0 stays")
		}
	}
	if rows := e.nbctl(t, "list", "Mirror"); strings.TrimSpace(rows) != "" {
		t.Errorf("left in OVN: %s", rows)
	}
}

var counted = regexp.MustCompile(`packets (\d+)`)

// copies counts ICMP echoes that come to mirror0 of a node: those of 128 octets, and others. The image's nft knows what Heddle has made there.
func (e *env) copies(t *testing.T, node string) func(counter string) int {
	t.Helper()
	nft := []string{"-n", "kube-system", "exec", e.daemonOn(t, node), "-c", "daemon", "--", "nft"}
	e.kubectl(t, append(nft, `add table netdev e2e; add chain netdev e2e in { type filter hook ingress device mirror0 priority 0; };
		add counter netdev e2e counted; add counter netdev e2e first;
		add rule netdev e2e in ip protocol icmp ip length 128 counter name counted;
		add rule netdev e2e in icmpv6 type { echo-request, echo-reply } ip6 length 88 counter name counted;
		add rule netdev e2e in ip protocol icmp ip length 84 counter name first`)...)
	t.Cleanup(func() {
		_, _ = e.Kubectl(context.WithoutCancel(t.Context()), "", append(nft, "delete", "table", "netdev", "e2e")...)
	})
	return func(counter string) int {
		said := counted.FindStringSubmatch(e.kubectl(t, append(nft, "list", "counter", "netdev", "e2e", counter)...))
		n, err := strconv.Atoi(said[1])
		must(t, err)
		return n
	}
}
