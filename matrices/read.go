package matrices

import (
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"lab/internal/lab"
)

// File is one experiment with the places where its values were written.
type File struct {
	Experiment lab.Experiment
	root       *node
}

// Load reads an experiment. Everything wrong with it is one *Error.
func Load(name string) (*File, error) {
	text, err := readFile(name)
	if err != nil {
		return nil, &Error{[]Problem{{File: name, Text: "read experiment: " + reason(err)}}}
	}
	return Parse(name, text)
}

// Parse reads an experiment's text; name is where relative paths start and what errors call it.
func Parse(name string, text []byte) (*File, error) {
	r := &reader{}
	f := &File{root: r.tree(name, text, nil)}
	if f.root != nil {
		r.experiment(f)
	}
	if len(r.problems) > 0 {
		return nil, &Error{sorted(r.problems)}
	}
	return f, nil
}

// reader collects what is wrong while it reads.
type reader struct {
	problems   []Problem
	meant      []string // keys that are there, misspelt
	incomplete bool     // part of the text could not be read: what is missing tells nothing
}

func (r *reader) fault(at position, path, text string) {
	r.problems = append(r.problems, problemAt(at, path, text))
}

func (r *reader) broken(at position, path, text string) {
	r.fault(at, path, text)
	r.incomplete = true
}

// experiment fills in the whole of it: what is written, then what is not written and has a default, then what must
// hold between the values.
func (r *reader) experiment(f *File) {
	e := &f.Experiment
	*e = lab.Experiment{Margin: defaultMargin, Telemetry: lab.Telemetry{Period: lab.Duration(50 * time.Millisecond)}}
	for _, k := range f.root.keys {
		form := map[string]func(*lab.Experiment, *node){"load": r.load, "slo": r.slo, "telemetry": r.telemetry, "sweep": r.sweepHere}[k.name]
		switch {
		case strings.HasPrefix(k.name, "x-"): // a place for anchors
		case form == nil:
			r.field("", k, "", reflect.ValueOf(e).Elem())
		case r.written(k.name, k):
			form(e, k.value)
		}
	}
	if e.Name == "" {
		base := filepath.Base(f.root.at.in.name)
		e.Name = strings.TrimSuffix(base, filepath.Ext(base))
	}
	defaults(e)
	if r.incomplete {
		return
	}
	for _, fault := range e.Validate() {
		if !r.follows(fault, len(e.Phases) == 1) {
			r.problems = append(r.problems, f.Locate(lab.Faults{fault}).Problems...)
		}
	}
}

// follows says whether a fault found between values only follows from one in writing: a duration that could not be
// read is no missing duration, and a misspelt key may be the one that is missing.
func (r *reader) follows(fault lab.Fault, onePhase bool) bool {
	suspects := slices.Clone(r.meant)
	for _, p := range r.problems {
		suspects = append(suspects, p.Path)
	}
	for _, at := range suspects {
		if at == "" {
			continue
		}
		if onePhase { // the only phase of a list is called load
			at = strings.Replace(at, "load[0]", "load", 1)
		}
		below := strings.HasPrefix(fault.Path, at+".") || strings.HasPrefix(fault.Path, at+"[")
		if at == fault.Path || below {
			return true
		}
		// A fault of a whole mapping names the keys that it is about.
		end := strings.LastIndexByte(at, '.')
		if end > 0 && at[:end] == fault.Path && strings.Contains(fault.Problem, at[end+1:]) {
			return true
		}
	}
	return false
}

// written says whether a key has a value. An explicit null is the same as no key; nothing at all is a slip.
func (r *reader) written(path string, k entry) bool {
	if k.value.kind == null && k.value.text == "" {
		r.fault(k.at, path, path+" has no value")
	}
	return k.value.kind != null
}

// sweepHere refuses a matrix where one experiment is read. What else it lacks, its cells may have.
func (r *reader) sweepHere(_ *lab.Experiment, n *node) {
	r.broken(n.at, "sweep", "sweep: this file is a matrix of experiments, which `lab sweep` runs (sweep: null takes it away)")
}

func (r *reader) telemetry(e *lab.Experiment, n *node) {
	switch {
	case n.kind == mapping:
		r.fill("telemetry", n, reflect.ValueOf(&e.Telemetry).Elem())
	case n.kind == scalar && (n.text == "off" || n.text == "false"):
		e.Telemetry.Off = true
	default:
		r.fault(n.at, "telemetry", "telemetry: must be a mapping, or off")
	}
}

// load is one phase, or a list of them.
func (r *reader) load(e *lab.Experiment, n *node) {
	switch n.kind {
	case mapping:
		e.Phases = append(e.Phases, r.phase("load", n, "load"))
	case list:
		for i, item := range n.items {
			e.Phases = append(e.Phases, r.phase(fmt.Sprintf("load[%d]", i), item, fmt.Sprintf("phase-%d", i+1)))
		}
	default:
		r.fault(n.at, "load", "load: must be a mapping (one phase) or a list of them")
	}
}

func (r *reader) phase(path string, n *node, name string) lab.Phase {
	p := lab.Phase{Name: name, Judged: true, Load: lab.Load{Seed: 1, Warmup: unset, RequestTimeout: lab.Duration(10 * time.Minute)}}
	r.fill(path, n, reflect.ValueOf(&p).Elem())
	return p
}

// slo maps the metric to its limit.
func (r *reader) slo(e *lab.Experiment, n *node) {
	if n.kind != mapping {
		r.fault(n.at, "slo", "slo: must be a mapping, such as {ttft: 500ms, tpot: 50ms}")
		return
	}
	for _, k := range n.keys {
		if !slices.Contains(limits, k.name) {
			r.unknown("slo", k, "", limits)
			continue
		}
		limit := lab.SLO{Metric: k.name}
		if r.written("slo."+k.name, k) && r.value("slo."+k.name, k.value, reflect.ValueOf(&limit.Limit).Elem()) {
			e.SLO = append(e.SLO, limit)
		}
	}
	slices.SortFunc(e.SLO, func(a, b lab.SLO) int { // the order in the file means nothing
		return slices.Index(limits, a.Metric) - slices.Index(limits, b.Metric)
	})
}

func (r *reader) unknown(where string, k entry, kind string, known []string) {
	text, meant := unknownKey(where, k.name, kind, known)
	r.meant = append(r.meant, meant)
	r.fault(k.at, joined(where, k.name), text)
}

func joined(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// fill reads a mapping into a struct whose JSON names are the keys.
func (r *reader) fill(path string, n *node, into reflect.Value) bool {
	if n.kind != mapping {
		r.fault(n.at, path, fmt.Sprintf("%s: must be a mapping", path))
		return false
	}
	kind := ""
	if into.Type() == reflect.TypeFor[lab.Dataset]() {
		kind = kindOf(n)
	}
	for _, k := range n.keys {
		r.field(path, k, kind, into)
	}
	return true
}

// field reads one key of a mapping; kind is that of the data set, where the mapping is one.
func (r *reader) field(path string, k entry, kind string, into reflect.Value) {
	full := joined(path, k.name)
	field, ok := fieldNamed(into, k.name)
	if !ok {
		r.unknown(path, k, kind, fieldNames(into.Type()))
		return
	}
	if r.written(full, k) {
		r.value(full, k.value, field)
	}
}
