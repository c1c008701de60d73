package state

import (
	"iter"
	"maps"
	"slices"
	"strings"
	"unique"
)

// Labels are the labels of an object. Objects with the same ones share a single copy of them, as the Pods of a Deployment do:
// a Labels is one pointer, and == compares them.
type Labels struct {
	text unique.Handle[string] // key NUL value NUL …, by key; neither has a NUL. The zero Handle is no labels.
}

// LabelsOf returns the labels of a map.
func LabelsOf(labels map[string]string) Labels {
	if len(labels) == 0 {
		return Labels{}
	}
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		b.WriteString(key)
		b.WriteByte(0)
		b.WriteString(labels[key])
		b.WriteByte(0)
	}
	return Labels{unique.Make(b.String())}
}

// All yields keys and values, in order of the keys.
func (l Labels) All() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		if l == (Labels{}) {
			return
		}
		for rest := l.text.Value(); rest != ""; {
			var key, value string
			key, rest, _ = strings.Cut(rest, "\x00")
			value, rest, _ = strings.Cut(rest, "\x00")
			if !yield(key, value) {
				return
			}
		}
	}
}

// String prints key=value, comma separated.
func (l Labels) String() string {
	var texts []string
	for key, value := range l.All() {
		texts = append(texts, key+"="+value)
	}
	return strings.Join(texts, ",")
}

// Get returns the value of a key.
func (l Labels) Get(key string) (value string, ok bool) {
	for k, v := range l.All() {
		if k == key {
			return v, true
		}
	}
	return "", false
}
