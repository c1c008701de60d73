package ovstest

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// What a flow means depends on the node: which ports are there, and what variables are worth. ovn-trace takes every port for resident,
// and leaves out flows with variables. So flows are rewritten for it: the node that a packet starts on is the packet's mark, which
// nothing else here uses.

// locate rewrites the flows in SB, with ovn-northd halted. It returns the marks of the chassis, and what undoes it.
func (n *Northd) locate() (marks map[string]int, restore func()) {
	n.tb.Helper()
	n.northd("pause")
	l, before := n.located()
	n.setMatches(before, l.match)
	return l.marks, func() {
		n.tb.Helper()
		n.setMatches(before, func(f flow) string { return f.Match })
		n.northd("resume")
	}
}

// located is what SB says of where things are.
type located struct {
	marks     map[string]int
	chassis   map[string]string            // of ports that are bound
	ports     map[string][]string          // by the chassis where they are bound
	variables map[string]map[string]string // of each chassis
}

// located asks SB, and returns the flows that may mean something else on each chassis.
func (n *Northd) located() (located, []flow) {
	n.tb.Helper()
	var (
		chassis []struct {
			UUID [2]string `json:"_uuid"`
			Name string    `json:"name"`
		}
		ports []struct {
			Port    string `json:"logical_port"`
			Chassis []any  `json:"chassis"` // empty, or a reference
		}
		variables []struct {
			Chassis   string `json:"chassis"`
			Variables ovsMap `json:"variables"`
		}
		flows []flow
	)
	n.read(selection{"Chassis", []string{"_uuid", "name"}, &chassis}, selection{"Port_Binding", []string{"logical_port", "chassis"}, &ports},
		selection{"Chassis_Template_Var", []string{"chassis", "variables"}, &variables}, selection{"Logical_Flow", []string{"_uuid", "match", "pipeline"}, &flows})
	l := located{make(map[string]int), make(map[string]string), make(map[string][]string), make(map[string]map[string]string)}
	names := make(map[any]string) // by UUID
	for _, row := range chassis {
		names[row.UUID[1]] = row.Name
		l.marks[row.Name] = len(l.marks) + 1
	}
	for _, row := range ports {
		if uuid, ok := row.Chassis[1].(string); ok {
			l.chassis[row.Port] = names[uuid]
			l.ports[names[uuid]] = append(l.ports[names[uuid]], row.Port)
		}
	}
	for _, row := range variables {
		l.variables[row.Chassis] = row.Variables
	}
	return l, slices.DeleteFunc(flows, func(f flow) bool { return !residentTerm.MatchString(f.Match) && !variableTerm.MatchString(f.Match) })
}

// ovsMap is a map in OVSDB's notation (RFC 7047, section 5.1).
type ovsMap map[string]string

// UnmarshalJSON reads ["map", [[key, value], …]].
func (m *ovsMap) UnmarshalJSON(text []byte) error {
	var pairs [][2]string
	if err := json.Unmarshal(text, &[2]any{new(string), &pairs}); err != nil {
		return err
	}
	*m = make(ovsMap)
	for _, pair := range pairs {
		(*m)[pair[0]] = pair[1]
	}
	return nil
}

// selection is some columns of all rows of a table, and where they go.
type selection struct {
	table   string
	columns []string
	rows    any
}

// read does so in one transaction with SB.
func (n *Northd) read(selections ...selection) {
	n.tb.Helper()
	query := []any{"OVN_Southbound"}
	for _, s := range selections {
		query = append(query, map[string]any{"op": "select", "table": s.table, "where": []any{}, "columns": s.columns})
	}
	text, err := json.Marshal(query)
	if err != nil {
		n.tb.Fatal(err)
	}
	var reply []struct{ Rows json.RawMessage }
	if err := json.Unmarshal([]byte(n.SB.Transact(string(text))), &reply); err != nil {
		n.tb.Fatal(err)
	}
	for i, s := range selections {
		if err := json.Unmarshal(reply[i].Rows, s.rows); err != nil {
			n.tb.Fatal(err)
		}
	}
}

var (
	residentTerm = regexp.MustCompile(`is_chassis_resident\("([^"]*)"\)`)
	variableTerm = regexp.MustCompile(`([^\s()]+ == )\^(\w+)`)
)

// match is that of a flow on all chassis.
func (l located) match(f flow) string {
	local := residentTerm.ReplaceAllStringFunc(f.Match, func(term string) string {
		if chassis, bound := l.chassis[residentTerm.FindStringSubmatch(term)[1]]; bound {
			return "(" + l.from(chassis) + ")"
		}
		return "0"
	})
	return variableTerm.ReplaceAllStringFunc(local, func(term string) string { return l.expand(f.Pipeline, term) })
}

// from matches what starts on a chassis.
func (l located) from(chassis string) string { return fmt.Sprintf("pkt.mark == %d", l.marks[chassis]) }

// expand gives a variable its values. In the egress pipeline of a switch that is the one on the chassis of the port by which the packet
// leaves: this is where it is used. Where there is no value the condition is false, as with a flow that is left out.
func (l located) expand(pipeline, term string) string {
	parts := variableTerm.FindStringSubmatch(term)
	terms := []string{"0"}
	for chassis, variables := range l.variables {
		value, ok := variables[parts[2]]
		switch {
		case !ok:
		case pipeline == "ingress":
			terms = append(terms, fmt.Sprintf("%s && %s%s", l.from(chassis), parts[1], value))
		case len(l.ports[chassis]) > 0:
			terms = append(terms, fmt.Sprintf(`outport == {"%s"} && %s%s`, strings.Join(l.ports[chassis], `", "`), parts[1], value))
		}
	}
	return "((" + strings.Join(terms, ") || (") + "))"
}

type flow struct {
	UUID     []string `json:"_uuid"`
	Match    string   `json:"match"`
	Pipeline string   `json:"pipeline"`
}

func (n *Northd) setMatches(flows []flow, match func(flow) string) {
	n.tb.Helper()
	ops := []any{"OVN_Southbound"}
	for _, f := range flows {
		ops = append(ops, map[string]any{
			"op": "update", "table": "Logical_Flow", "where": []any{[]any{"_uuid", "==", f.UUID}}, "row": map[string]string{"match": match(f)},
		})
	}
	text, err := json.Marshal(ops)
	if err != nil {
		n.tb.Fatal(err)
	}
	n.SB.Transact(string(text))
}
