package state

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/heddle-net/heddle/ovs/nb"
)

// Named ports of containers are kept as labels of the Pod that no object can have (two slashes), so that selectors choose by
// them like by any label: a number is the Pods that have the port under that name.
const portPrefix = "port/"

// PortLabel is the key of a named port; the value is its number.
func PortLabel(protocol, name string) string { return portPrefix + protocol + "/" + name }

// portNumbers counts the Pods that give a number to a named port, in their Namespace and, under "", in all.
type portNumbers map[portName]map[string]int

type portName struct{ namespace, label string }

// PortNumbers lists the numbers that Pods in a Namespace give to a named port; in all Namespaces when it is "".
func (v *View) PortNumbers(namespace, protocol, name string) []uint16 {
	port := portName{namespace, PortLabel(protocol, name)}
	v.record(port.read())
	numbers := make([]uint16, 0, len(v.store.numbers[port]))
	for text := range maps.Keys(v.store.numbers[port]) {
		if n, err := strconv.ParseUint(text, 10, 16); err == nil {
			numbers = append(numbers, uint16(n))
		}
	}
	slices.Sort(numbers)
	return numbers
}

func (p portName) read() read { return read{namedPorts, 0, p.namespace + " " + p.label} }

// renumber follows a Pod, and returns who has read a list of numbers that is another one now.
func (s *Store) renumber(old, now *Pod) (readers []nb.Owner) {
	if old != nil && now != nil && old.Labels == now.Labels {
		return nil
	}
	changed := make(map[nb.Owner]bool)
	s.countPorts(now, 1, changed) // first, so that a number that stays is never gone
	s.countPorts(old, -1, changed)
	return slices.Collect(maps.Keys(changed))
}

func (s *Store) countPorts(pod *Pod, by int, changed map[nb.Owner]bool) {
	if pod == nil {
		return
	}
	for label, number := range pod.Labels.All() {
		if strings.HasPrefix(label, portPrefix) && strings.Count(label, "/") == 2 {
			s.count(portName{pod.Namespace, label}, number, by, changed)
			s.count(portName{"", label}, number, by, changed)
		}
	}
}

func (s *Store) count(port portName, number string, by int, changed map[nb.Owner]bool) {
	if s.numbers[port] == nil {
		s.numbers[port] = make(map[string]int)
	}
	before := s.numbers[port][number]
	s.numbers[port][number] = before + by
	if before+by == 0 {
		delete(s.numbers[port], number)
	}
	if len(s.numbers[port]) == 0 {
		delete(s.numbers, port)
	}
	if before == 0 || before+by == 0 {
		s.readersOf(port.read(), changed)
	}
}
