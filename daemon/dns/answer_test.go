package dns

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/dns/dnsmessage"
)

// record is a resource record as of a zone file: a name, a TTL, a type and a value.
func record(name string, ttl uint32, kind, value string) dnsmessage.Resource {
	r := dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(name), Class: dnsmessage.ClassINET, TTL: ttl}}
	switch kind {
	case "A":
		r.Body = &dnsmessage.AResource{A: netip.MustParseAddr(value).As4()}
	case "AAAA":
		r.Body = &dnsmessage.AAAAResource{AAAA: netip.MustParseAddr(value).As16()}
	case "CNAME":
		r.Body = &dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName(value)}
	case "TXT":
		r.Body = &dnsmessage.TXTResource{TXT: []string{value}}
	}
	return r
}

// packed is an answer to a question for A records, changed.
func packed(name string, change func(*dnsmessage.Message), answers ...dnsmessage.Resource) []byte {
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{Response: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}},
		Answers:   answers,
	}
	if change != nil {
		change(&m)
	}
	b, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return b
}

func list(addresses ...any) (out []Address) {
	for i := 0; i < len(addresses); i += 2 {
		out = append(out, Address{netip.MustParseAddr(addresses[i].(string)), time.Duration(addresses[i+1].(int)) * time.Second})
	}
	return out
}

func TestParse(t *testing.T) {
	for name, c := range map[string]struct {
		payload []byte
		want    Record
	}{
		"addresses of the name": {
			packed("a.example.", nil, record("a.example.", 30, "A", "192.0.2.1"), record("a.example.", 60, "A", "192.0.2.2")),
			Record{"a.example.", list("192.0.2.1", 30, "192.0.2.2", 60)},
		},
		"IPv6": {
			packed("a.example.", func(m *dnsmessage.Message) { m.Questions[0].Type = dnsmessage.TypeAAAA }, record("a.example.", 30, "AAAA", "2001:db8::1")),
			Record{"a.example.", list("2001:db8::1", 30)},
		},
		"IPv4 in IPv6": {
			packed("a.example.", nil, record("a.example.", 30, "AAAA", "::ffff:192.0.2.1")),
			Record{"a.example.", list("192.0.2.1", 30)},
		},
		"capitals": {
			packed("A.eXample.", nil, record("a.Example.", 30, "CNAME", "B.example."), record("b.exAmple.", 30, "A", "192.0.2.1")),
			Record{"a.example.", list("192.0.2.1", 30)},
		},
		"octets that are capitals elsewhere": {
			packed("\u212a.example.", nil, record("\u212a.example.", 30, "A", "192.0.2.1"), record("k.example.", 30, "A", "192.0.2.2")),
			Record{"\u212a.example.", list("192.0.2.1", 30)},
		},
		"the smallest TTL on the way": {
			packed("a.example.", nil, record("a.example.", 20, "CNAME", "b.example."), record("b.example.", 10, "CNAME", "c.example."),
				record("c.example.", 30, "A", "192.0.2.1"), record("c.example.", 5, "A", "192.0.2.2")),
			Record{"a.example.", list("192.0.2.1", 10, "192.0.2.2", 5)},
		},
		"in any order": {
			packed("a.example.", nil, record("c.example.", 30, "A", "192.0.2.1"), record("b.example.", 30, "CNAME", "c.example."),
				record("a.example.", 30, "CNAME", "b.example.")),
			Record{"a.example.", list("192.0.2.1", 30)},
		},
		"not of other names": {
			packed("a.example.", nil, record("b.example.", 30, "A", "192.0.2.9"), record("a.example.", 30, "A", "192.0.2.1"),
				record("c.example.", 30, "CNAME", "b.example.")),
			Record{"a.example.", list("192.0.2.1", 30)},
		},
		"a loop ends": {
			packed("a.example.", nil, record("a.example.", 30, "CNAME", "b.example."), record("b.example.", 30, "CNAME", "a.example."),
				record("b.example.", 30, "A", "192.0.2.1")),
			Record{"a.example.", list("192.0.2.1", 30)},
		},
		"other records": {
			packed("a.example.", nil, record("a.example.", 30, "TXT", "hello"), record("a.example.", 30, "A", "192.0.2.1")),
			Record{"a.example.", list("192.0.2.1", 30)},
		},
		"a TTL that is none": {
			packed("a.example.", nil, record("a.example.", 1<<31, "A", "192.0.2.1"), record("a.example.", longest, "A", "192.0.2.2")),
			Record{"a.example.", list("192.0.2.1", 0, "192.0.2.2", longest)},
		},
		"the root": {packed(".", nil, record(".", 30, "A", "192.0.2.1")), Record{".", list("192.0.2.1", 30)}},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := Parse(c.payload)
			if diff := cmp.Diff(c.want, got, compareAddrs); diff != "" || !ok {
				t.Errorf("%t (-want +got):\n%s", ok, diff)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	a := record("a.example.", 30, "A", "192.0.2.1")
	whole := packed("a.example.", nil, a)
	for name, payload := range map[string][]byte{
		"nothing":       nil,
		"half of it":    whole[:len(whole)-1],
		"a question":    packed("a.example.", func(m *dnsmessage.Message) { m.Response = false }, a),
		"an error":      packed("a.example.", func(m *dnsmessage.Message) { m.RCode = dnsmessage.RCodeServerFailure }, a),
		"no query":      packed("a.example.", func(m *dnsmessage.Message) { m.OpCode = 5 }, a),
		"other types":   packed("a.example.", func(m *dnsmessage.Message) { m.Questions[0].Type = dnsmessage.TypeALL }, a),
		"other classes": packed("a.example.", func(m *dnsmessage.Message) { m.Questions[0].Class = dnsmessage.ClassCHAOS }, a),
		"no question":   packed("a.example.", func(m *dnsmessage.Message) { m.Questions = nil }, a),
		"two questions": packed("a.example.", func(m *dnsmessage.Message) { m.Questions = append(m.Questions, m.Questions[0]) }, a),
		"no addresses":  packed("a.example.", nil, record("a.example.", 30, "CNAME", "b.example.")),
		"no records":    packed("a.example.", nil),
	} {
		t.Run(name, func(t *testing.T) {
			if got, ok := Parse(payload); ok {
				t.Errorf("%+v", got)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add(packed("A.example.", nil, record("a.example.", 30, "CNAME", "B.example."), record("b.example.", 10, "A", "192.0.2.1")))
	f.Add(packed("a.example.", nil, record("a.example.", 30, "CNAME", "a.example."), record("a.example.", 1<<31, "AAAA", "2001:db8::1")))
	f.Add(packed("a.example.", nil, record("a.example.", 30, "TXT", "hello")))
	f.Fuzz(func(t *testing.T, payload []byte) {
		r, ok := Parse(payload)
		if !ok {
			if r.Name != "" || r.Addresses != nil {
				t.Errorf("refused with %+v", r)
			}
			return
		}
		if !strings.HasSuffix(r.Name, ".") || strings.ContainsAny(r.Name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") {
			t.Errorf("the name is %q", r.Name)
		}
		for _, a := range r.Addresses {
			if !a.IP.IsValid() || a.IP.Is4In6() || a.TTL < 0 || a.TTL > lifetime(longest) {
				t.Errorf("an address is %+v", a)
			}
		}
		if len(r.Addresses) == 0 {
			t.Error("no addresses")
		}
	})
}
