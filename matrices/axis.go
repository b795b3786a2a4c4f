package matrices

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"lab/internal/lab"
)

// axis is one key that a matrix varies.
type axis struct {
	path   string
	at     position
	values []*node
}

// group is one axis, or several that vary together: the first values of all, then the second ones, and so on.
type group []axis

func (g group) len() int { return len(g[0].values) }

// sweepWords are the keys of `sweep` that are no axis. The others have dots.
var sweepWords = []string{"link", "exclude", "repeats"}

// matrix reads `sweep` and makes the cells: every combination of the groups, without what is left out.
func (r *reader) matrix(root *node, s *lab.Sweep) []plan {
	n := root.get("sweep")
	root.drop("sweep")
	if n == nil || n.kind != mapping {
		at := root.at
		if n != nil {
			at = n.at
		}
		r.fault(at, "sweep", "no sweep in this file: give lists of values, such as sweep: {load.concurrency: [1, 4, 16]}; `lab run` makes a single run")
		return nil
	}
	axes := r.axes(n, root)
	if repeats := n.get("repeats"); repeats != nil && r.written("sweep.repeats", *n.keyed("repeats")) {
		const tooMany = 1000
		if scalarInto(r, "sweep.repeats", repeats, &s.Repeats, parseInt) && (s.Repeats < 1 || s.Repeats > tooMany) {
			r.fault(repeats.at, "sweep.repeats", fmt.Sprintf("sweep.repeats: must be at least 1 and at most %d", tooMany))
		}
	}
	groups := r.linked(axes, n.keyed("link"))
	rules := r.excluded(axes, n.keyed("exclude"))
	if len(r.problems) > 0 {
		return nil
	}
	if len(axes) == 0 {
		r.fault(n.at, "sweep", "sweep varies nothing: give lists of values, such as {load.concurrency: [1, 4, 16]}")
		return nil
	}
	whole := 1
	for _, g := range groups {
		if whole *= g.len(); whole > most {
			r.fault(n.at, "sweep", fmt.Sprintf("sweep has more than %d cells: vary less, or link what goes together", most))
			return nil
		}
	}
	plans := r.combine(root, axes, groups, rules, whole)
	if len(plans) == 0 && len(r.problems) == 0 {
		r.fault(n.keyed("exclude").at, "sweep.exclude", "sweep.exclude leaves no cell")
	}
	return plans
}

// axes reads what varies. A path must lead to a key of the server or of the load; whether there is such a key is seen
// when the cells are read.
func (r *reader) axes(n, root *node) []axis {
	var axes []axis
	for _, k := range n.keys {
		if slices.Contains(sweepWords, k.name) {
			continue
		}
		path := "sweep." + k.name
		first, rest, _ := strings.Cut(k.name, ".")
		first, _, _ = strings.Cut(first, "[")
		if rest == "" || first != "server" && first != "load" {
			text := fmt.Sprintf("sweep: %q is neither the path of a key, such as server.max_num_seqs or load.concurrency, nor one of %s", k.name, strings.Join(sweepWords, ", "))
			if near := nearest(k.name, sweepWords); near != "" {
				text += fmt.Sprintf(" (did you mean %q?)", near)
			}
			r.fault(k.at, path, text)
			continue
		}
		if k.value.kind != list || len(k.value.items) == 0 {
			r.fault(k.value.at, path, path+": must be a list of values with something in it")
			continue
		}
		if _, problem := root.with(steps(k.name), k.at, k.value.items[0]); problem != "" {
			r.fault(k.at, path, path+": "+problem)
			continue
		}
		known := map[string]bool{}
		for _, v := range k.value.items {
			if text := written(v); known[text] {
				r.fault(v.at, path, fmt.Sprintf("%s: %s is there twice", path, text))
			} else {
				known[text] = true
			}
		}
		axes = append(axes, axis{k.name, k.at, k.value.items})
	}
	return axes
}

// linked puts the axes into groups, in the order of their first axes.
func (r *reader) linked(axes []axis, link *entry) []group {
	home := map[string]int{} // of an axis: the number of its link, from 1
	if link != nil && r.written("sweep.link", *link) {
		if link.value.kind != list {
			r.fault(link.value.at, "sweep.link", "sweep.link: must be a list of lists of paths, such as [[server.max_num_seqs, load.concurrency]]")
			return nil
		}
		for i, item := range link.value.items {
			r.link(axes, item, i+1, home)
		}
	}
	var groups []group
	at := map[int]int{}
	for _, a := range axes {
		number := home[a.path]
		if i, begun := at[number]; begun && number > 0 {
			groups[i] = append(groups[i], a)
			continue
		}
		at[number] = len(groups)
		groups = append(groups, group{a})
	}
	return groups
}

func (r *reader) link(axes []axis, item *node, number int, home map[string]int) {
	if item.kind != list || len(item.items) < 2 {
		r.fault(item.at, "sweep.link", "sweep.link: a link is a list of two paths or more")
		return
	}
	length, first := 0, ""
	for _, n := range item.items {
		i := slices.IndexFunc(axes, func(a axis) bool { return a.path == n.text })
		switch {
		case n.kind != scalar || i < 0:
			r.fault(n.at, "sweep.link", fmt.Sprintf("sweep.link: %s is no path that sweep varies", written(n)))
			continue
		case home[n.text] > 0:
			r.fault(n.at, "sweep.link", fmt.Sprintf("sweep.link: %s is linked twice", n.text))
			continue
		case length == 0:
			length, first = len(axes[i].values), n.text
		case len(axes[i].values) != length:
			r.fault(n.at, "sweep.link", fmt.Sprintf("sweep.link: what is linked varies together, but %s has %d values and %s has %d", first, length, n.text, len(axes[i].values)))
		}
		home[n.text] = number
	}
}

// rule is one line of `exclude`: a cell is left out where each of these axes has one of these values.
type rule map[string][]string

func (r *reader) excluded(axes []axis, exclude *entry) []rule {
	if exclude == nil || !r.written("sweep.exclude", *exclude) {
		return nil
	}
	if exclude.value.kind != list {
		r.fault(exclude.value.at, "sweep.exclude", "sweep.exclude: must be a list, such as [{server.max_num_seqs: 8, load.concurrency: [16, 32]}]")
		return nil
	}
	var rules []rule
	for _, item := range exclude.value.items {
		if item.kind != mapping || len(item.keys) == 0 {
			r.fault(item.at, "sweep.exclude", "sweep.exclude: a line is a mapping from paths to values, such as {server.max_num_seqs: 8, load.concurrency: [16, 32]}")
			continue
		}
		one := rule{}
		for _, k := range item.keys {
			one[k.name] = r.excludedValues(axes, k)
		}
		rules = append(rules, one)
	}
	return rules
}

// excludedValues refuses what the sweep never has: a line that leaves nothing out is a slip.
func (r *reader) excludedValues(axes []axis, k entry) []string {
	i := slices.IndexFunc(axes, func(a axis) bool { return a.path == k.name })
	if i < 0 {
		r.fault(k.at, "sweep.exclude", fmt.Sprintf("sweep.exclude: %s is no path that sweep varies", k.name))
		return nil
	}
	items := []*node{k.value}
	if k.value.kind == list {
		items = k.value.items
	}
	var values []string
	for _, item := range items {
		text := written(item)
		if !slices.ContainsFunc(axes[i].values, func(v *node) bool { return written(v) == text }) {
			r.fault(item.at, "sweep.exclude", fmt.Sprintf("sweep.exclude: %s is never %s", k.name, text))
		}
		values = append(values, text)
	}
	return values
}

// combine goes through all combinations; the last group varies fastest.
func (r *reader) combine(root *node, axes []axis, groups []group, rules []rule, whole int) []plan {
	short := shortNames(axes)
	var plans []plan
	for number := range whole {
		rest, picked := number, map[string]*node{}
		for _, g := range slices.Backward(groups) {
			i := rest % g.len()
			rest /= g.len()
			for _, a := range g {
				picked[a.path] = a.values[i]
			}
		}
		if slices.ContainsFunc(rules, func(one rule) bool { return one.hits(picked) }) {
			continue
		}
		p := plan{root: root}
		var names []string
		for _, a := range axes {
			v := picked[a.path]
			p.root, _ = p.root.with(steps(a.path), a.at, v)
			p.values = append(p.values, lab.Setting{Path: a.path, Value: written(v)})
			names = append(names, short[a.path]+"="+written(v))
		}
		p.name = strings.Join(names, " ")
		plans = append(plans, p)
	}
	return plans
}

func (one rule) hits(picked map[string]*node) bool {
	for path, values := range one {
		if !slices.Contains(values, written(picked[path])) {
			return false
		}
	}
	return true
}

// shortNames calls an axis by the last part of its path where that tells it from the others.
func shortNames(axes []axis) map[string]string {
	last := func(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }
	times := map[string]int{}
	for _, a := range axes {
		times[last(a.path)]++
	}
	short := map[string]string{}
	for _, a := range axes {
		if short[a.path] = last(a.path); times[last(a.path)] > 1 {
			short[a.path] = a.path
		}
	}
	return short
}

// written is a value as one would write it on one line.
func written(n *node) string {
	switch {
	case n.kind == null:
		return "null"
	case n.kind == scalar:
		bare := *n
		bare.quoted = false
		if text, isText := plain(&bare).(string); !n.quoted || isText && text != "" {
			return n.text // the quotes make no difference
		}
	}
	text, err := json.Marshal(plain(n))
	if err != nil {
		return n.text // not reached: plain gives only what JSON has
	}
	return string(text)
}

// with gives a copy of a tree with a value at a path, and shares what the path does not touch. Mappings that are not
// there are made; problem says what is in the way.
func (n *node) with(path []step, at position, value *node) (out *node, problem string) {
	if len(path) == 0 {
		return value, ""
	}
	step, copied := path[0], node{kind: mapping, at: at, values: 1}
	if n != nil && n.kind != null {
		copied = *n
	}
	switch {
	case step.index >= 0 && copied.kind != list:
		return nil, "there is no list to count in"
	case step.index >= len(copied.items) && step.index >= 0:
		return nil, fmt.Sprintf("the list has %d items, counted from 0", len(copied.items))
	case step.index >= 0:
		copied.items = slices.Clone(copied.items)
		copied.items[step.index], problem = copied.items[step.index].with(path[1:], at, value)
		return &copied, problem
	case copied.kind == list && len(copied.items) == 1: // a list of one phase is that phase
		copied.items = slices.Clone(copied.items)
		copied.items[0], problem = copied.items[0].with(path, at, value)
		return &copied, problem
	case copied.kind == list:
		return nil, fmt.Sprintf("load has %d phases: say which, such as load[0].%s", len(copied.items), step.name)
	case copied.kind != mapping:
		return nil, "there is no mapping at " + step.name
	}
	inner, problem := copied.get(step.name).with(path[1:], at, value)
	copied.keys = slices.Clone(copied.keys)
	copied.drop(step.name)
	copied.keys = append(copied.keys, entry{name: step.name, at: at, value: inner})
	return &copied, problem
}
