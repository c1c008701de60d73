package v1

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
)

// QoS is what annotations ask of a Pod's traffic: of a Pod, or of a Subnet or Namespace for the Pods in it. A nil value asks for nothing, and
// leaves it to what is less specific; 0 asks for the absence of a limit.
//
// Ingress is what comes to the Pod, egress what it sends. Latency, jitter and loss are done to what it sends.
//
// +kubebuilder:object:generate=false
type QoS struct {
	IngressRate, EgressRate   *float64 // Mbit/s, of whole packets (Ethernet)
	IngressBurst, EgressBurst *float64 // Mbit
	Latency, Jitter           *float64 // ms
	Limit                     *float64 // packets that are delayed at once
	Loss                      *float64 // percent
}

// qosKey is one annotation.
type qosKey struct {
	key, unit string
	least     float64 // that is not 0
	most      float64
	whole     bool
	of        func(*QoS) **float64
}

// The rates reach from what a modem does to the fastest links there are; an hour of latency would be a wrong unit.
var qosKeys = []qosKey{
	{key: AnnotationIngressRate, unit: "Mbit/s", least: 0.1, most: 1_000_000, of: func(q *QoS) **float64 { return &q.IngressRate }},
	{key: AnnotationEgressRate, unit: "Mbit/s", least: 0.1, most: 1_000_000, of: func(q *QoS) **float64 { return &q.EgressRate }},
	{key: AnnotationIngressBurst, unit: "Mbit", least: 0.001, most: 10_000, of: func(q *QoS) **float64 { return &q.IngressBurst }},
	{key: AnnotationEgressBurst, unit: "Mbit", least: 0.001, most: 10_000, of: func(q *QoS) **float64 { return &q.EgressBurst }},
	{key: AnnotationLatency, unit: "ms", least: 0.001, most: 60_000, of: func(q *QoS) **float64 { return &q.Latency }},
	{key: AnnotationJitter, unit: "ms", least: 0.001, most: 60_000, of: func(q *QoS) **float64 { return &q.Jitter }},
	{key: AnnotationLimit, unit: "packets", least: 1, most: 1_000_000, whole: true, of: func(q *QoS) **float64 { return &q.Limit }},
	{key: AnnotationLoss, unit: "percent", least: 0.0001, most: 100, of: func(q *QoS) **float64 { return &q.Loss }},
}

// ParseQoS reads the annotations of an object. What is wrong is told, one text for each annotation, and counts as not being there.
func ParseQoS(annotations map[string]string) (q QoS, wrong []string) {
	for _, k := range qosKeys {
		value, ok := annotations[k.key]
		if !ok || value == "" {
			continue
		}
		number, err := k.parse(value)
		if err != nil {
			wrong = append(wrong, fmt.Sprintf("annotation %s: %q %v", k.key, value, err))
			continue
		}
		*k.of(&q) = &number
	}
	return q, wrong
}

// parse takes digits and a decimal point: what strconv knows beyond that (1e3, 0x10, Inf) is more likely a mistake.
func (k qosKey) parse(value string) (float64, error) {
	number, err := strconv.ParseFloat(value, 64)
	switch {
	case err != nil || strings.Trim(value, "0123456789.") != "":
		return 0, fmt.Errorf("is not a number of %s, such as 10", k.unit)
	case k.whole && number != math.Trunc(number):
		return 0, fmt.Errorf("is not a whole number of %s", k.unit)
	case number != 0 && number < k.least:
		return 0, fmt.Errorf("is less than %v %s", k.least, k.unit)
	case number > k.most:
		return 0, fmt.Errorf("is more than %s %s", strconv.FormatFloat(k.most, 'f', -1, 64), k.unit)
	}
	return number, nil
}

// Equal tells whether two ask for the same.
func (q QoS) Equal(other QoS) bool { return reflect.DeepEqual(q, other) }

// Or is q, with what it does not ask for taken from another.
func (q QoS) Or(other QoS) QoS {
	for _, k := range qosKeys {
		if *k.of(&q) == nil {
			*k.of(&q) = *k.of(&other)
		}
	}
	return q
}
