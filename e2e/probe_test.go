package e2e

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
)

// end is one who asks and answers: a Pod with agnhost, in its own network or in its node's.
type end struct {
	pod       *corev1.Pod
	port      int
	addresses []netip.Addr
	source    []netip.Addr // what the others see
}

func (x end) name() string {
	if x.pod.Spec.HostNetwork {
		return "node " + x.pod.Spec.NodeName
	}
	return x.pod.Name
}

// hostname is what agnhost answers when asked for its own.
func (x end) hostname() string {
	if x.pod.Spec.HostNetwork {
		return x.pod.Spec.NodeName
	}
	return x.pod.Name
}

func podEnd(p *corev1.Pod) end {
	return end{pod: p, port: podPort, addresses: addresses(p), source: addresses(p)}
}

// question is one cell of the truth table.
type question struct {
	from, to int
	protocol string
}

var protocols = []string{"tcp", "udp", "icmp"}

// reach asks everybody to reach everybody, in one family, until all succeed or the time is over. Then it prints who did not
// reach whom. Two nodes do not reach each other through Heddle, so they are not asked.
func (e *env) reach(t *testing.T, ends []end, v6 bool) {
	t.Helper()
	began := time.Now()
	var all []question
	for from, a := range ends {
		for to, b := range ends {
			nodes := a.pod.Spec.HostNetwork && b.pod.Spec.HostNetwork
			if from == to || nodes || !ofFamily(a.source, v6).IsValid() || !ofFamily(b.addresses, v6).IsValid() {
				continue
			}
			for _, p := range protocols {
				all = append(all, question{from, to, p})
			}
		}
	}
	if len(all) == 0 {
		t.Fatal("nobody can be asked")
	}
	open, rounds := all, 0
	var answers map[question]string
	for deadline := began.Add(timeLimit); len(open) > 0 && (rounds == 0 || time.Now().Before(deadline)); rounds++ {
		answers = e.ask(t, ends, open, v6)
		open = slices.DeleteFunc(slices.Clone(open), func(q question) bool { return answers[q] == "" })
		if len(open) > 0 && rounds == 0 {
			t.Logf("%d of %d not in the first round, the first: %s to %s by %s: %s", len(open), len(all),
				ends[open[0].from].name(), ends[open[0].to].name(), open[0].protocol, answers[open[0]])
		}
	}
	if len(open) > 0 {
		t.Errorf("%d of %d do not work after %v:\n%s", len(open), len(all), time.Since(began).Round(time.Second), truthTable(ends, all, open, answers))
		return
	}
	t.Logf("%d of %d work, in %v and %d round(s)", len(all), len(all), time.Since(began).Round(time.Millisecond), rounds)
}

// ask puts all questions of one source in one script, and returns what is wrong with each answer.
func (e *env) ask(t *testing.T, ends []end, questions []question, v6 bool) map[question]string {
	t.Helper()
	said := make([]string, len(ends))
	var group errgroup.Group
	group.SetLimit(3) // each runs a process for each of its questions
	for i, from := range ends {
		script := probeScript(ends, questions, i, v6)
		if script == "" {
			continue
		}
		group.Go(func() error {
			ctx, cancel := context.WithTimeout(t.Context(), timeLimit)
			defer cancel()
			var err error
			said[i], err = e.Kubectl(ctx, "", "-n", from.pod.Namespace, "exec", from.pod.Name, "--", "sh", "-c", script)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	return judge(ends, questions, said, v6)
}

// probeScript prints a line for each question, its number first.
func probeScript(ends []end, questions []question, from int, v6 bool) string {
	var script strings.Builder
	for n, q := range questions {
		if q.from != from {
			continue
		}
		to := ends[q.to]
		address := ofFamily(to.addresses, v6)
		target := net.JoinHostPort(address.String(), strconv.Itoa(to.port))
		var command string
		switch q.protocol {
		case "tcp":
			command = fmt.Sprintf(`curl -g -s -S -m 2 -w ' ' http://%[1]s/hostname http://%[1]s/clientip`, target)
		case "udp":
			command = fmt.Sprintf(`curl -g -s -S -m 2 'http://127.0.0.1:%d/dial?protocol=udp&request=hostname&tries=1&host=%s&port=%d'`,
				ends[from].port, address, to.port)
		case "icmp":
			command = fmt.Sprintf(`ping -n -q -c 1 -W 5 %s >/dev/null && echo ok`, address)
		}
		fmt.Fprintf(&script, "(said=$(%s 2>&1 | tr '\\n' ' '); echo \"%d $said\") &\n", command, n)
	}
	if script.Len() == 0 {
		return ""
	}
	return script.String() + "wait\n"
}

func judge(ends []end, questions []question, said []string, v6 bool) map[question]string {
	wrong := make(map[question]string, len(questions))
	for _, q := range questions {
		wrong[q] = "nothing was said"
	}
	for line := range strings.Lines(strings.Join(said, "")) {
		number, answer, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, err := strconv.Atoi(number)
		if err != nil || n >= len(questions) {
			continue
		}
		q := questions[n]
		wrong[q] = wrongAnswer(q.protocol, strings.TrimSpace(answer), ends[q.to].hostname(), ofFamily(ends[q.from].source, v6))
	}
	return wrong
}

// wrongAnswer is empty for the right answer of the right one, who saw the right source.
func wrongAnswer(protocol, answer, hostname string, source netip.Addr) string {
	switch protocol {
	case "icmp":
		if answer == "ok" {
			return ""
		}
	case "udp":
		if answer == fmt.Sprintf(`{"responses":[%q]}`, hostname) {
			return ""
		}
	case "tcp":
		who, seen, _ := strings.Cut(answer, " ")
		if from, err := netip.ParseAddrPort(seen); err == nil && who == hostname && from.Addr().Unmap() == source {
			return ""
		}
	}
	return fmt.Sprintf("answer %q, want one of %s who sees %s", answer, hostname, source)
}

// truthTable shows a letter for what works, a dot for what does not: "TUI" is all of TCP, UDP and ICMP.
func truthTable(ends []end, asked, open []question, answers map[question]string) string {
	var out strings.Builder
	t := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "from \\ to")
	for _, x := range ends {
		fmt.Fprint(t, "\t", x.name())
	}
	for from, x := range ends {
		fmt.Fprintf(t, "\n%s (%s)", x.name(), x.pod.Spec.NodeName)
		for to := range ends {
			fmt.Fprint(t, "\t", cell(from, to, asked, open))
		}
	}
	fmt.Fprintln(t)
	_ = t.Flush() // into memory
	for _, q := range open[:min(len(open), 8)] {
		fmt.Fprintf(&out, "%s to %s by %s: %s\n", ends[q.from].name(), ends[q.to].name(), q.protocol, answers[q])
	}
	return out.String()
}

func cell(from, to int, asked, open []question) string {
	text := ""
	for _, p := range protocols {
		q := question{from, to, p}
		switch {
		case !slices.Contains(asked, q):
			text += " "
		case slices.Contains(open, q):
			text += "."
		default:
			text += strings.ToUpper(p[:1])
		}
	}
	return text
}
