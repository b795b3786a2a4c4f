package matrices

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
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
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, &Error{[]Problem{{File: name, Text: "read experiment: " + reason(err)}}}
	}
	return Parse(name, text)
}

// Parse reads an experiment's text; name is where relative paths start and what errors call it.
func Parse(name string, text []byte) (*File, error) {
	r := &reader{}
	f := &File{root: r.extended(name, text, nil)}
	if f.root != nil {
		r.experiment(f)
	}
	if len(r.problems) > 0 {
		return nil, &Error{sorted(r.problems)}
	}
	return f, nil
}

// reader collects what is wrong while it reads.
type reader struct{ problems []Problem }

func (r *reader) fault(at position, path, text string) {
	r.problems = append(r.problems, problemAt(at, path, text))
}

// experiment fills in the whole of it: what is written, then what is not written and has a default, then what must
// hold between the values.
func (r *reader) experiment(f *File) {
	e := &f.Experiment
	*e = lab.Experiment{Margin: defaultMargin, Telemetry: lab.Telemetry{Period: lab.Duration(50 * time.Millisecond)}}
	for _, k := range f.root.keys {
		switch {
		case k.name == "load":
			r.load(e, k.value)
		case k.name == "slo":
			r.slo(e, k.value)
		case k.name == "telemetry" && k.value.kind == scalar:
			r.telemetrySwitch(e, k.value)
		case strings.HasPrefix(k.name, "x-"): // a place for anchors
		default:
			r.field("", k, reflect.ValueOf(e).Elem())
		}
	}
	if e.Name == "" {
		base := filepath.Base(f.root.at.in.name)
		e.Name = strings.TrimSuffix(base, filepath.Ext(base))
	}
	r.defaults(e)
	for _, fault := range e.Validate() {
		if !r.follows(fault.Path) {
			r.problems = append(r.problems, f.Locate(lab.Faults{fault}).Problems...)
		}
	}
}

// follows says whether a fault found between values only follows from one in writing: a duration that could not be read
// is no missing duration, and where the file below could not be read, anything may be missing.
func (r *reader) follows(path string) bool {
	for _, p := range r.problems {
		if p.Path == "extends" || p.Path != "" && (strings.HasPrefix(p.Path, path) || strings.HasPrefix(path, p.Path)) {
			return true
		}
	}
	return false
}

func (r *reader) telemetrySwitch(e *lab.Experiment, n *node) {
	if n.text != "off" && n.text != "false" {
		r.fault(n.at, "telemetry", "must be a mapping, or off")
		return
	}
	e.Telemetry.Off = true
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
		r.fault(n.at, "load", "must be a mapping (one phase) or a list of them")
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
		r.fault(n.at, "slo", "must be a mapping, such as {ttft: 500ms, tpot: 50ms}")
		return
	}
	for _, k := range n.keys {
		if k.name != "ttft" && k.name != "tpot" && k.name != "e2el" {
			r.fault(k.at, "slo."+k.name, unknown(k.name, "slo", []string{"ttft", "tpot", "e2el"}))
			continue
		}
		limit := lab.SLO{Metric: k.name}
		r.value("slo."+k.name, k.value, reflect.ValueOf(&limit.Limit).Elem())
		e.SLO = append(e.SLO, limit)
	}
}

func unknown(name, where string, known []string) string {
	text := fmt.Sprintf("unknown key %q in %s", name, where)
	if where == "" {
		text = fmt.Sprintf("unknown key %q", name)
	}
	if near := nearest(name, known); near != "" {
		return text + fmt.Sprintf(" (did you mean %q?)", near)
	}
	return text + " (there are " + strings.Join(known, ", ") + ")"
}

// fill reads a mapping into a struct whose JSON names are the keys.
func (r *reader) fill(path string, n *node, into reflect.Value) {
	if n.kind != mapping {
		r.fault(n.at, path, fmt.Sprintf("%s must be a mapping", path))
		return
	}
	for _, k := range n.keys {
		r.field(path, k, into)
	}
}

func (r *reader) field(path string, k entry, into reflect.Value) {
	full := k.name
	if path != "" {
		full = path + "." + k.name
	}
	field, ok := fieldNamed(into, k.name)
	if !ok {
		known := fieldNames(into.Type())
		if path == "" {
			known = append(known, "extends", "load", "slo", "telemetry")
		}
		r.fault(k.at, full, unknown(k.name, path, known))
		return
	}
	if k.value.kind == null {
		r.fault(k.at, full, fmt.Sprintf("%s has no value", full))
		return
	}
	r.value(full, k.value, field)
}

// fieldNamed finds the field with a JSON name; the fields of a phase's load are written beside its name.
func fieldNamed(v reflect.Value, name string) (reflect.Value, bool) {
	t := v.Type()
	for i := range t.NumField() {
		tag := jsonName(t.Field(i))
		if inlined(t, tag) {
			if inner, ok := fieldNamed(v.Field(i), name); ok {
				return inner, true
			}
			continue
		}
		if tag == name && !special(t, tag) {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}

func inlined(t reflect.Type, name string) bool {
	return t == reflect.TypeFor[lab.Phase]() && name == "load"
}

// special keys of the file have a form of their own.
func special(t reflect.Type, name string) bool {
	return t == reflect.TypeFor[lab.Experiment]() && (name == "load" || name == "slo") ||
		t == reflect.TypeFor[lab.Telemetry]() && name == "off"
}

func fieldNames(t reflect.Type) []string {
	var names []string
	for i := range t.NumField() {
		tag := jsonName(t.Field(i))
		switch {
		case inlined(t, tag):
			names = append(names, fieldNames(t.Field(i).Type)...)
		case !special(t, tag):
			names = append(names, tag)
		}
	}
	return names
}

// value reads any value into a field by the field's type.
func (r *reader) value(path string, n *node, into reflect.Value) {
	name := path[strings.LastIndexByte(path, '.')+1:]
	switch target := into.Addr().Interface().(type) {
	case *lab.Duration:
		parsed(r, path, n, target, lab.ParseDuration)
		return
	case **lab.Bytes:
		var b lab.Bytes
		if parsed(r, path, n, &b, lab.ParseBytes) {
			*target = &b
		}
		return
	case *lab.Number:
		parsed(r, path, n, target, parseNumber)
		return
	case *map[string]any:
		r.anyMap(path, n, target)
		return
	case *map[string]string:
		r.stringMap(path, n, target)
		return
	case *[]string:
		r.strings(path, n, target)
		return
	}
	switch into.Kind() {
	case reflect.Struct:
		r.fill(path, n, into)
	case reflect.Pointer:
		fresh := reflect.New(into.Type().Elem())
		r.value(path, n, fresh.Elem())
		into.Set(fresh)
	case reflect.String:
		var text string
		if parsed(r, path, n, &text, func(s string) (string, error) { return s, nil }) {
			if isPath(name, text) {
				text = resolve(text, n.at.in.name)
			}
			into.SetString(text)
		}
	case reflect.Bool:
		var b bool
		parsed(r, path, n, &b, parseBool)
		into.SetBool(b)
	case reflect.Int, reflect.Uint64:
		var i int
		parsed(r, path, n, &i, parseInt)
		if into.Kind() == reflect.Int {
			into.SetInt(int64(i))
		} else {
			into.SetUint(uint64(i))
		}
	case reflect.Float64:
		var f float64
		read := parseFloat
		if percent(name) {
			read = parsePercent
		}
		parsed(r, path, n, &f, read)
		into.SetFloat(f)
	default:
		panic("no reader for " + path + " of type " + into.Type().String()) // a new kind of field; a test reads every key
	}
}

// parsed reads a scalar; a fault is told at its place.
func parsed[T any](r *reader, path string, n *node, into *T, parse func(string) (T, error)) bool {
	if n.kind != scalar {
		r.fault(n.at, path, fmt.Sprintf("%s must be a single value", path))
		return false
	}
	v, err := parse(n.text)
	if err != nil {
		r.fault(n.at, path, fmt.Sprintf("%s: %v", path, err))
		return false
	}
	*into = v
	return true
}

// isPath says whether a value names a file: it is then relative to the file that wrote it. A model may be a folder or a
// name on the hub, a python a command on PATH.
func isPath(key, text string) bool {
	switch key {
	case "file", "replay", "venv", "executable":
		return true
	case "model":
		return strings.HasPrefix(text, "./") || strings.HasPrefix(text, "../") || strings.HasPrefix(text, "~/") || strings.HasPrefix(text, "/")
	case "python":
		return strings.Contains(text, "/")
	}
	return false
}

func percent(key string) bool { return key == "gpu_memory_utilization" || key == "margin" }

func parsePercent(text string) (float64, error) {
	number, ok := strings.CutSuffix(text, "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%q is no share (write for example 90%%)", text)
	case !ok && v <= 1:
		return 0, fmt.Errorf("%q has no unit (write %g%%)", text, v*100)
	case !ok:
		return 0, fmt.Errorf("%q has no unit (write %g%%)", text, v)
	}
	return v / 100, nil
}

func parseNumber(text string) (lab.Number, error) {
	if text == "inf" || text == ".inf" {
		return lab.Number(math.Inf(1)), nil
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, fmt.Errorf("%q is no number (write a number, or inf)", text)
	}
	return lab.Number(v), nil
}

func parseFloat(text string) (float64, error) {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, fmt.Errorf("%q is no number", text)
	}
	return v, nil
}

func parseInt(text string) (int, error) {
	v, err := strconv.Atoi(strings.ReplaceAll(text, "_", ""))
	if err != nil || v < -1<<53 || v > 1<<53 {
		return 0, fmt.Errorf("%q is no whole number", text)
	}
	return v, nil
}

func parseBool(text string) (bool, error) {
	switch text {
	case "true", "on", "yes":
		return true, nil
	case "false", "off", "no":
		return false, nil
	}
	return false, fmt.Errorf("%q is neither true nor false", text)
}

func (r *reader) strings(path string, n *node, into *[]string) {
	if n.kind == scalar { // one is as good as a list of one
		n = &node{kind: list, items: []*node{n}, at: n.at}
	}
	if n.kind != list {
		r.fault(n.at, path, fmt.Sprintf("%s must be a list", path))
		return
	}
	for i, item := range n.items {
		var text string
		parsed(r, fmt.Sprintf("%s[%d]", path, i), item, &text, func(s string) (string, error) { return s, nil })
		*into = append(*into, text)
	}
}

func (r *reader) stringMap(path string, n *node, into *map[string]string) {
	if n.kind != mapping {
		r.fault(n.at, path, fmt.Sprintf("%s must be a mapping", path))
		return
	}
	*into = map[string]string{}
	for _, k := range n.keys {
		var text string
		parsed(r, path+"."+k.name, k.value, &text, func(s string) (string, error) { return s, nil })
		(*into)[k.name] = text
	}
}

func (r *reader) anyMap(path string, n *node, into *map[string]any) {
	if n.kind != mapping {
		r.fault(n.at, path, fmt.Sprintf("%s must be a mapping", path))
		return
	}
	*into = map[string]any{}
	for _, k := range n.keys {
		(*into)[k.name] = plain(k.value)
	}
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
	if !n.quoted {
		if n.text == "true" || n.text == "false" {
			return n.text == "true"
		}
		if v, err := strconv.ParseFloat(n.text, 64); err == nil && !math.IsInf(v, 0) && !math.IsNaN(v) {
			return v
		}
	}
	return n.text
}
