package matrices

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Lists and mappings whose keys belong to others: flags of vllm, environment variables, request fields.

func (r *reader) strings(path string, n *node, into *[]string) bool {
	if n.kind == scalar { // one is as good as a list of one
		n = &node{kind: list, items: []*node{n}, at: n.at}
	}
	if n.kind == list && len(n.items) == 0 && about(path).none {
		*into = []string{}
		return true
	}
	if n.kind != list || len(n.items) == 0 {
		r.fault(n.at, path, fmt.Sprintf("%s: must be a list with something in it", path))
		return false
	}
	good := true
	for i, item := range n.items {
		var text string
		good = scalarInto(r, fmt.Sprintf("%s[%d]", path, i), item, &text, one) && good
		*into = append(*into, text)
	}
	return good
}

// one refuses what looks like several values in one: "0,1" would count as a single GPU.
func one(text string) (string, error) {
	if text == "" || strings.ContainsAny(text, ", ") {
		return "", fmt.Errorf("%q is not one value (write several as a list, such as [0, 1])", text)
	}
	return text, nil
}

func asWritten(text string) (string, error) { return text, nil }

func (r *reader) stringMap(path string, n *node, into *map[string]string) bool {
	if n.kind != mapping {
		r.fault(n.at, path, fmt.Sprintf("%s: must be a mapping", path))
		return false
	}
	*into = map[string]string{}
	good := true
	for _, k := range n.keys {
		if k.value.kind == null && k.value.text != "" {
			continue // taken away
		}
		if k.name == "" || strings.ContainsAny(k.name, "=\x00") {
			r.fault(k.at, path+"."+k.name, fmt.Sprintf("%s: %q cannot be a name", path, k.name))
			good = false
			continue
		}
		var text string
		good = scalarInto(r, path+"."+k.name, k.value, &text, asWritten) && good
		(*into)[k.name] = text
	}
	return good
}

func (r *reader) anyMap(path string, n *node, into *map[string]any) bool {
	if n.kind != mapping {
		r.fault(n.at, path, fmt.Sprintf("%s: must be a mapping", path))
		return false
	}
	*into = map[string]any{}
	for _, k := range n.keys {
		if path == "server.args" && !r.written(path+"."+k.name, k) {
			continue // a flag has no null; JSON has
		}
		(*into)[k.name] = plain(k.value)
	}
	return true
}

// plain gives a value as JSON would have it.
func plain(n *node) any {
	switch n.kind {
	case mapping:
		m := map[string]any{}
		for _, k := range n.keys {
			m[k.name] = plain(k.value)
		}
		return m
	case list:
		items := make([]any, 0, len(n.items))
		for _, item := range n.items {
			items = append(items, plain(item))
		}
		return items
	case null:
		return nil
	}
	if n.quoted {
		return n.text
	}
	if word := strings.ToLower(n.text); word == "true" || word == "false" {
		return word == "true"
	}
	// A number that a float64 does not hold exactly stays as it was written.
	if v, err := strconv.ParseFloat(n.text, 64); err == nil && math.Abs(v) <= 1<<53 {
		return v
	}
	return n.text
}
