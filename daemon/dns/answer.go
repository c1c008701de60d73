package dns

import (
	"net/netip"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// Record is what a name was answered.
type Record struct {
	Name      string // the question's, in lower case, with the dot at its end
	Addresses []Address
}

// Address is one that the name of the question has, or what its CNAMEs in the same answer lead to.
type Address struct {
	IP  netip.Addr    // an IPv4-mapped one is an IPv4 one: that is what a connection to it uses
	TTL time.Duration // the smallest on the way to it
}

// Parse reads a DNS message. It is false unless this is an answer without error to one question for addresses, and has some.
func Parse(payload []byte) (Record, bool) {
	var p dnsmessage.Parser
	header, err := p.Start(payload)
	if err != nil || !header.Response || header.OpCode != 0 || header.RCode != dnsmessage.RCodeSuccess {
		return Record{}, false
	}
	questions, err := p.AllQuestions()
	if err != nil || len(questions) != 1 || !forAddresses(questions[0]) {
		return Record{}, false
	}
	s := section{map[string]alias{}, map[string][]Address{}}
	if !s.read(&p) {
		return Record{}, false
	}
	name := lower(questions[0].Name)
	addresses := s.follow(name)
	if len(addresses) == 0 {
		return Record{}, false
	}
	return Record{Name: name, Addresses: addresses}, true
}

func forAddresses(q dnsmessage.Question) bool {
	return q.Class == dnsmessage.ClassINET && (q.Type == dnsmessage.TypeA || q.Type == dnsmessage.TypeAAAA)
}

// section is what the answers of a message say, by the names that they are about.
type section struct {
	aliases   map[string]alias
	addresses map[string][]Address
}

type alias struct {
	to  string
	ttl time.Duration
}

func (s section) read(p *dnsmessage.Parser) bool {
	for {
		h, err := p.AnswerHeader()
		if err != nil {
			return err == dnsmessage.ErrSectionDone //nolint:errorlint // the parser returns it bare
		}
		if err := s.add(p, h); err != nil {
			return false
		}
	}
}

// add takes one record.
func (s section) add(p *dnsmessage.Parser, h dnsmessage.ResourceHeader) error {
	name, ttl := lower(h.Name), lifetime(h.TTL)
	switch {
	case h.Class != dnsmessage.ClassINET:
		return p.SkipAnswer()
	case h.Type == dnsmessage.TypeA:
		r, err := p.AResource()
		s.addresses[name] = append(s.addresses[name], Address{netip.AddrFrom4(r.A), ttl})
		return err
	case h.Type == dnsmessage.TypeAAAA:
		r, err := p.AAAAResource()
		s.addresses[name] = append(s.addresses[name], Address{netip.AddrFrom16(r.AAAA).Unmap(), ttl})
		return err
	case h.Type == dnsmessage.TypeCNAME:
		r, err := p.CNAMEResource()
		if _, ok := s.aliases[name]; !ok {
			s.aliases[name] = alias{lower(r.CNAME), ttl}
		}
		return err
	}
	return p.SkipAnswer()
}

// follow collects the addresses from a name on. An alias is used once, so loops end.
func (s section) follow(name string) []Address {
	var out []Address
	shortest := lifetime(longest)
	for {
		for _, a := range s.addresses[name] {
			out = append(out, Address{a.IP, min(a.TTL, shortest)})
		}
		next, ok := s.aliases[name]
		if !ok {
			return out
		}
		delete(s.aliases, name)
		delete(s.addresses, name)
		name, shortest = next.to, min(next.ttl, shortest)
	}
}

// longest is the greatest TTL; a greater number means zero (RFC 2181, section 8).
const longest = 1<<31 - 1

func lifetime(ttl uint32) time.Duration {
	if ttl > longest {
		return 0
	}
	return time.Duration(ttl) * time.Second
}

// lower is for ASCII only: other octets of a name have no case (RFC 4343).
func lower(n dnsmessage.Name) string {
	b := []byte(n.String())
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
