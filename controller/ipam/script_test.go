package ipam

import (
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "rewrite the results in testdata/*.txtar")

// TestScripts runs the transcripts in testdata. A line "> command" is input, the lines after it are its result. The
// commands are range, pool, reconfigure, acquire, hold, keep, release, lease, holder and status; see script.run.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i, f := range archive.Files {
			t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar")+"/"+f.Name, func(t *testing.T) {
				got := transcript(string(f.Data))
				if !*update && got != string(f.Data) {
					t.Errorf("got:\n%s\nwant:\n%s", got, f.Data)
				}
				archive.Files[i].Data = []byte(got)
			})
		}
		if *update {
			if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func transcript(in string) string {
	var out strings.Builder
	s := script{}
	for line := range strings.Lines(in) {
		line = strings.TrimSuffix(line, "\n")
		if command, ok := strings.CutPrefix(line, "> "); ok {
			fmt.Fprintf(&out, "> %s\n%s\n", command, s.run(command))
		}
	}
	return out.String()
}

type script struct{ pool *Pool }

func (s *script) run(line string) string {
	verb, rest, _ := strings.Cut(line, " ")
	args := strings.Fields(rest)
	switch verb {
	case "range":
		r, err := ParseRange(rest)
		return result(r, err)
	case "pool":
		pool, err := NewPool(parseConfig(args))
		s.pool = pool
		return result("ok", err)
	case "reconfigure":
		return result("ok", s.pool.Reconfigure(parseConfig(args)))
	case "acquire":
		req := parseRequest(args[1:])
		lease, err := s.pool.Acquire(args[0], req)
		return result(show(lease), err)
	case "hold":
		req := parseRequest(args[1:])
		return result("ok", s.pool.Hold(args[0], req.Static, req.MAC))
	case "keep":
		req := parseRequest(args[1:])
		return fmt.Sprint(s.pool.Keep(args[0], req.Static, req.MAC))
	case "release":
		return fmt.Sprint(s.pool.Release(args[0]))
	case "lease":
		lease, held := s.pool.Lease(args[0])
		return fmt.Sprint(held, " ", show(lease))
	case "holder":
		return fmt.Sprintf("%q", s.pool.Holder(netip.MustParseAddr(args[0])))
	case "status":
		status := s.pool.Status()
		return showFamily("v4", status.V4) + "\n" + showFamily("v6", status.V6)
	}
	return "unknown command"
}

func parseConfig(args []string) Config {
	var c Config
	for _, arg := range args {
		key, value, _ := strings.Cut(arg, "=")
		switch key {
		case "cidr":
			p, _ := netip.ParsePrefix(value)
			c.CIDRs = append(c.CIDRs, p)
		case "gateway":
			a, _ := netip.ParseAddr(value)
			c.Gateways = append(c.Gateways, a)
		case "exclude":
			r, _ := ParseRange(value)
			c.Exclude = append(c.Exclude, r)
		case "node":
			c.Nodes = append(c.Nodes, netip.MustParseAddr(value))
		case "excludefromto":
			from, to, _ := strings.Cut(value, ",")
			c.Exclude = append(c.Exclude, Range{netip.MustParseAddr(from), netip.MustParseAddr(to)})
		}
	}
	return c
}

func parseRequest(args []string) Request {
	var req Request
	for _, arg := range args {
		if mac, ok := strings.CutPrefix(arg, "mac="); ok {
			req.MAC = mac
			continue
		}
		switch arg {
		case "IPv4":
			req.Families = append(req.Families, IPv4)
		case "IPv6":
			req.Families = append(req.Families, IPv6)
		default:
			a, _ := netip.ParseAddr(arg)
			req.Static = append(req.Static, a)
		}
	}
	return req
}

func show(l Lease) string {
	var words []string
	for _, a := range l.Addrs() {
		words = append(words, a.String())
	}
	return strings.Join(append(words, l.MAC.String()), " ")
}

func showFamily(name string, s FamilyStatus) string {
	return fmt.Sprintf("%s using %s (%s) available %s (%s)", name, s.Using.Count(), s.Using, s.Available.Count(), s.Available)
}

// result shows the error with its type, which callers match on.
func result(value any, err error) string {
	if err == nil {
		return fmt.Sprint(value)
	}
	for kind, is := range map[string]bool{
		"ConflictError":  errors.As(err, new(*ConflictError)),
		"ExhaustedError": errors.As(err, new(*ExhaustedError)),
		"OutsideError":   errors.As(err, new(*OutsideError)),
		"ReservedError":  errors.As(err, new(*ReservedError)),
		"RequestError":   errors.As(err, new(*RequestError)),
	} {
		if is {
			return kind + ": " + err.Error()
		}
	}
	return "error: " + err.Error()
}
