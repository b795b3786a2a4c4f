package matrices

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"lab/internal/lab"
)

// combos.yaml of the vLLM benchmark kit: a running server, lengths, and how many requests at which concurrency. Every
// pair of lengths is measured with every pair of the load, as the kit's script does. In the older form each column is a
// list of its own; the first input goes with the first output, the first concurrency with the first number of prompts.

var (
	combosPairs = []string{"input_output", "concurrency_prompts"}
	combosFlat  = []string{"input_len", "output_len", "concurrency", "prompt"}
	combosKeys  = slices.Concat([]string{"model", "base_url", "tokenizer"}, combosPairs, combosFlat)
)

// isCombos tells the kit's file by its keys, which no experiment has at the top.
func isCombos(root *node) bool {
	if root.get("server") != nil || root.get("sweep") != nil || root.get("load") != nil {
		return false
	}
	return slices.ContainsFunc(combosKeys, func(name string) bool { return root.get(name) != nil })
}

// pair is two numbers that go together.
type pair struct {
	first, second *node
	numbers       [2]int
}

// combos makes the cells of the kit's file, in its order.
func (r *reader) combos(root *node) []plan {
	for _, k := range root.keys {
		if !slices.Contains(combosKeys, k.name) && !strings.HasPrefix(k.name, "x-") {
			r.unknown("", k, "", combosKeys)
		}
	}
	for _, name := range []string{"model", "base_url"} {
		if n := root.get(name); n == nil || n.kind != scalar || n.text == "" {
			at := root.at
			if n != nil {
				at = n.at
			}
			r.fault(at, name, name+" is missing: the kit's file names the model and the running server, such as http://localhost:8000")
		}
	}
	lengths := r.combosPairs(root, "input_output", "[input, output]", "input_len", "output_len")
	loads := r.combosPairs(root, "concurrency_prompts", "[concurrency, prompts]", "concurrency", "prompt")
	if len(r.problems) > 0 {
		return nil
	}
	if len(lengths)*len(loads) > most {
		r.fault(root.at, "", fmt.Sprintf("%d pairs of lengths times %d of the load are more than %d cells", len(lengths), len(loads), most))
		return nil
	}
	var plans []plan
	for _, length := range lengths {
		for _, load := range loads {
			plans = append(plans, combosCell(root, length, load))
		}
	}
	return plans
}

// combosPairs reads a list of pairs, or two lists that are paired here.
func (r *reader) combosPairs(root *node, name, form, first, second string) []pair {
	joint, a, b := root.keyed(name), root.keyed(first), root.keyed(second)
	switch {
	case joint != nil && (a != nil || b != nil):
		r.fault(joint.at, name, fmt.Sprintf("%s stands beside %s and %s, which say the same: leave one form out", name, first, second))
		return nil
	case joint == nil && (a == nil || b == nil):
		r.fault(root.at, name, fmt.Sprintf("%s is missing: a list of pairs %s, or the older lists %s and %s", name, form, first, second))
		return nil
	case joint == nil:
		return r.zipped(a, b)
	}
	if joint.value.kind != list || len(joint.value.items) == 0 {
		r.fault(joint.value.at, name, fmt.Sprintf("%s: must be a list of pairs %s", name, form))
		return nil
	}
	var pairs []pair
	for _, item := range joint.value.items {
		if item.kind != list || len(item.items) != 2 {
			r.fault(item.at, name, fmt.Sprintf("%s: must be a pair %s", name, form))
			continue
		}
		pairs = r.combosPair(pairs, name, name, item.items[0], item.items[1])
	}
	return pairs
}

// zipped pairs two lists of the older form.
func (r *reader) zipped(a, b *entry) []pair {
	columns := [2][]*node{}
	for i, k := range []*entry{a, b} {
		columns[i] = k.value.items
		if k.value.kind == scalar { // one is as good as a list of one
			columns[i] = []*node{k.value}
		}
		if len(columns[i]) == 0 {
			r.fault(k.value.at, k.name, k.name+": must be a list of numbers")
			return nil
		}
	}
	if len(columns[0]) != len(columns[1]) {
		r.fault(b.at, b.name, fmt.Sprintf("%s has %d values and %s has %d: they go in pairs", a.name, len(columns[0]), b.name, len(columns[1])))
		return nil
	}
	var pairs []pair
	for i := range columns[0] {
		pairs = r.combosPair(pairs, a.name, b.name, columns[0][i], columns[1][i])
	}
	return pairs
}

// combosPair adds a pair, which must not be there yet: its result would replace the earlier one.
func (r *reader) combosPair(pairs []pair, nameA, nameB string, a, b *node) []pair {
	p := pair{first: a, second: b}
	good := true
	for i, part := range []struct {
		name string
		n    *node
	}{{nameA, a}, {nameB, b}} {
		if !r.unquoted(part.name, part.n) || !scalarInto(r, part.name, part.n, &p.numbers[i], parseInt) {
			good = false
		} else if p.numbers[i] <= 0 {
			r.fault(part.n.at, part.name, part.name+": must be above zero")
			good = false
		}
	}
	if !good {
		return pairs
	}
	if slices.ContainsFunc(pairs, func(o pair) bool { return o.numbers == p.numbers }) {
		r.fault(a.at, nameA, fmt.Sprintf("%s: the pair %d, %d is there twice", nameA, p.numbers[0], p.numbers[1]))
		return pairs
	}
	return append(pairs, p)
}

// combosCell is a cell as an experiment's text: what `lab bench` would send for the kit's command. Every value keeps the
// place where the kit's file has it.
func combosCell(root *node, length, load pair) plan {
	at := root.at
	word := func(text string) *node { return &node{kind: scalar, text: text, at: at, values: 1} }
	table := func(keys ...entry) *node { return &node{kind: mapping, keys: keys, at: at, values: 1} }
	key := func(name string, value *node) entry { return entry{name: name, at: value.at, value: value} }
	data := []entry{key("kind", word("random")), key("input_tokens", length.first), key("output_tokens", length.second)}
	if t := root.get("tokenizer"); t != nil && t.kind == scalar {
		data = append(data, key("tokenizer", t))
	}
	url := *root.get("base_url")
	url.text = strings.TrimSuffix(strings.TrimRight(url.text, "/"), "/v1") // as `lab bench` takes it
	name := fmt.Sprintf("io%dx%d_mc%d_np%d", length.numbers[0], length.numbers[1], load.numbers[0], load.numbers[1])
	p := plan{name: name, result: "bench_" + name}
	p.root = table(
		key("server", table(key("base_url", &url), key("model", root.get("model")))),
		key("load", table(
			key("rate", word("inf")), key("concurrency", load.first), key("requests", load.second), key("warmup", word("0")),
			key("server_sampling", word("true")), key("body", table(key("ignore_eos", word("true")))),
			key("connect_on_demand", word("true")), key("request_timeout", word("6h")), // all as vllm bench serve has it
			key("dataset", table(data...)),
		)))
	for _, v := range []struct {
		path  string
		value int
	}{
		{"load.dataset.input_tokens", length.numbers[0]}, {"load.dataset.output_tokens", length.numbers[1]},
		{"load.concurrency", load.numbers[0]}, {"load.requests", load.numbers[1]},
	} {
		p.values = append(p.values, lab.Setting{Path: v.path, Value: strconv.Itoa(v.value)})
	}
	return p
}
