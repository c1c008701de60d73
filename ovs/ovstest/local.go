package ovstest

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// localize writes into SB what flows mean on a chassis, with ovn-northd halted, and returns what undoes it.
func (n *Northd) localize(chassis string) (restore func()) {
	n.tb.Helper()
	n.northd("pause")
	l, before := n.located(chassis), n.flows()
	n.setMatches(before, l.match)
	return func() {
		n.tb.Helper()
		n.setMatches(before, func(f flow) string { return f.Match })
		n.northd("resume")
	}
}

// located is what SB says of where things are.
type located struct {
	chassis   string
	ports     map[string][]string          // by the chassis where they are bound
	variables map[string]map[string]string // of each chassis
}

func (n *Northd) located(chassis string) located {
	n.tb.Helper()
	l := located{chassis, make(map[string][]string), make(map[string]map[string]string)}
	names := make(map[string]string) // by UUID
	for _, row := range selected[struct {
		UUID [2]string `json:"_uuid"`
		Name string    `json:"name"`
	}](n, "Chassis", "_uuid", "name") {
		names[row.UUID[1]] = row.Name
	}
	for _, row := range selected[struct {
		Port    string `json:"logical_port"`
		Chassis []any  `json:"chassis"` // empty, or a reference
	}](n, "Port_Binding", "logical_port", "chassis") {
		if uuid, ok := row.Chassis[1].(string); ok {
			l.ports[names[uuid]] = append(l.ports[names[uuid]], row.Port)
		}
	}
	for _, row := range selected[struct {
		Chassis   string `json:"chassis"`
		Variables ovsMap `json:"variables"`
	}](n, "Chassis_Template_Var", "chassis", "variables") {
		l.variables[row.Chassis] = row.Variables
	}
	return l
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

// selected are some columns of all rows of a table in SB.
func selected[T any](n *Northd, table string, columns ...string) []T {
	n.tb.Helper()
	query, err := json.Marshal([]any{"OVN_Southbound", map[string]any{"op": "select", "table": table, "where": []any{}, "columns": columns}})
	if err != nil {
		n.tb.Fatal(err)
	}
	var reply []struct{ Rows []T }
	if err := json.Unmarshal([]byte(n.SB.Transact(string(query))), &reply); err != nil {
		n.tb.Fatal(err)
	}
	return reply[0].Rows
}

var (
	residentTerm = regexp.MustCompile(`is_chassis_resident\("([^"]*)"\)`)
	variableTerm = regexp.MustCompile(`([^\s()]+ == )\^(\w+)`)
)

// match is that of a flow on the chassis.
func (l located) match(f flow) string {
	local := residentTerm.ReplaceAllStringFunc(f.Match, func(term string) string {
		if slices.Contains(l.ports[l.chassis], residentTerm.FindStringSubmatch(term)[1]) {
			return "1"
		}
		return "0"
	})
	return variableTerm.ReplaceAllStringFunc(local, func(term string) string { return l.expand(f.Pipeline, term) })
}

// expand gives a variable its value. In the egress pipeline of a switch that is the value on the chassis of the port by which the
// packet leaves: this is where it is used. Where there is no value the condition is false, as with a flow that is left out.
func (l located) expand(pipeline, term string) string {
	parts := variableTerm.FindStringSubmatch(term)
	if pipeline == "ingress" {
		if value, ok := l.variables[l.chassis][parts[2]]; ok {
			return parts[1] + value
		}
		return "0"
	}
	terms := []string{"0"}
	for chassis, variables := range l.variables {
		if value, ok := variables[parts[2]]; ok && len(l.ports[chassis]) > 0 {
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

// flows lists the logical flows that mean something else on each chassis.
func (n *Northd) flows() []flow {
	n.tb.Helper()
	return slices.DeleteFunc(selected[flow](n, "Logical_Flow", "_uuid", "match", "pipeline"), func(f flow) bool {
		return !residentTerm.MatchString(f.Match) && !variableTerm.MatchString(f.Match)
	})
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
