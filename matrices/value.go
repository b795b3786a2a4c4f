package matrices

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"

	"lab/internal/lab"
)

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
		if tag == name && !unwritten(t, tag) {
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

// unwritten fields have a form of their own in the file.
func unwritten(t reflect.Type, name string) bool {
	return t == reflect.TypeFor[lab.Telemetry]() && name == "off"
}

// fieldNames lists the keys of a struct, as they are written in the file.
func fieldNames(t reflect.Type) []string {
	var names []string
	for i := range t.NumField() {
		tag := jsonName(t.Field(i))
		switch {
		case inlined(t, tag):
			names = append(names, fieldNames(t.Field(i).Type)...)
		case !unwritten(t, tag):
			names = append(names, tag)
		}
	}
	if t == reflect.TypeFor[lab.Experiment]() {
		names = append(names, "extends", "sweep")
	}
	return names
}

// value reads any value into a field by the field's type, and says whether it could.
func (r *reader) value(path string, n *node, into reflect.Value) bool {
	switch target := into.Addr().Interface().(type) {
	case *lab.Duration:
		return scalarInto(r, path, n, target, lab.ParseDuration) && r.inRange(path, n, float64(*target))
	case *lab.Bytes:
		return scalarInto(r, path, n, target, lab.ParseBytes) && r.inRange(path, n, float64(*target))
	case *lab.Number:
		return (n.text == "inf" || r.unquoted(path, n)) && scalarInto(r, path, n, target, parseNumber) && r.inRange(path, n, float64(*target))
	case *map[string]any:
		return r.anyMap(path, n, target)
	case *map[string]string:
		return r.stringMap(path, n, target)
	case *[]string:
		return r.strings(path, n, target)
	}
	switch into.Kind() {
	case reflect.Struct:
		return r.fill(path, n, into)
	case reflect.Slice:
		return r.mappings(path, n, into)
	case reflect.Pointer:
		fresh := reflect.New(into.Type().Elem())
		if !r.value(path, n, fresh.Elem()) {
			return false
		}
		into.Set(fresh)
		return true
	case reflect.String:
		return r.text(path, n, into)
	case reflect.Bool:
		var b bool
		ok := r.unquoted(path, n) && scalarInto(r, path, n, &b, parseBool)
		into.SetBool(b)
		return ok
	}
	return r.number(path, n, into)
}

// mappings reads a list of mappings.
func (r *reader) mappings(path string, n *node, into reflect.Value) bool {
	if n.kind != list || len(n.items) == 0 {
		r.fault(n.at, path, fmt.Sprintf("%s: must be a list with something in it", path))
		return false
	}
	good := true
	for i, item := range n.items {
		element := reflect.New(into.Type().Elem()).Elem()
		good = r.value(fmt.Sprintf("%s[%d]", path, i), item, element) && good
		into.Set(reflect.Append(into, element))
	}
	return good
}

func (r *reader) text(path string, n *node, into reflect.Value) bool {
	var text string
	k := about(path)
	if n.kind == scalar && !n.quoted && (n.text == "true" || n.text == "false") {
		r.fault(n.at, path, fmt.Sprintf("%s: %s is a truth value, not text (write %q if it is meant)", path, n.text, n.text))
		return false
	}
	if !scalarInto(r, path, n, &text, func(s string) (string, error) { return s, oneOf(s, k.words) }) {
		return false
	}
	if names(k.path, text, n.at.in.name) {
		text = resolve(text, n.at.in.name)
	}
	into.SetString(text)
	return true
}

func oneOf(text string, words []string) error {
	for _, word := range words {
		if text == word {
			return nil
		}
	}
	if len(words) == 0 {
		return nil
	}
	if near := nearest(text, words); near != "" {
		return fmt.Errorf("%q is not one of %s (did you mean %q?)", text, strings.Join(words, ", "), near)
	}
	return fmt.Errorf("%q is not one of %s", text, strings.Join(words, ", "))
}

// names says whether a text is the path of a file, seen from the file that wrote it.
func names(kind pathKind, text, from string) bool {
	home := text == "~" || strings.HasPrefix(text, "~/")
	switch kind {
	case isFile:
		return text != ""
	case isCommand:
		return home || strings.Contains(text, "/")
	case isModel:
		if home || filepath.IsAbs(text) || strings.HasPrefix(text, "./") || strings.HasPrefix(text, "../") {
			return true
		}
		info, err := os.Stat(filepath.Join(filepath.Dir(from), text))
		return text != "" && err == nil && info.IsDir()
	}
	return false
}

func (r *reader) number(path string, n *node, into reflect.Value) bool {
	switch into.Kind() {
	case reflect.Int, reflect.Uint64:
		var i int
		if !r.unquoted(path, n) || !scalarInto(r, path, n, &i, parseInt) || !r.inRange(path, n, float64(i)) {
			return false
		}
		if into.Kind() == reflect.Int {
			if i > math.MaxInt32 { // a count that nobody can count out
				r.fault(n.at, path, fmt.Sprintf("%s: %d is too large", path, i))
				return false
			}
			into.SetInt(int64(i))
		} else {
			into.SetUint(uint64(i))
		}
		return true
	case reflect.Float64:
		var f float64
		read := parseFloat
		if about(path).share {
			read = parsePercent
		}
		ok := (about(path).share || r.unquoted(path, n)) && scalarInto(r, path, n, &f, read) && r.inRange(path, n, f)
		into.SetFloat(f)
		return ok
	}
	panic("no reader for " + path + " of type " + into.Type().String()) // a new kind of field; a test reads every key
}

// unquoted refuses a number or a truth value in quotes: they make text of it.
func (r *reader) unquoted(path string, n *node) bool {
	if n.kind == scalar && n.quoted {
		r.fault(n.at, path, fmt.Sprintf("%s: %q is text because of its quotes: leave them out", path, n.text))
		return false
	}
	return true
}

// inRange refuses a number below zero, and 0 where it would say nothing.
func (r *reader) inRange(path string, n *node, v float64) bool {
	switch zero := about(path).zero; {
	case v < 0 && zero:
		r.fault(n.at, path, path+": must not be negative")
	case v <= 0 && !zero:
		r.fault(n.at, path, path+": must be above zero")
	default:
		return true
	}
	return false
}

// scalarInto reads a single value; a fault is told at its place.
func scalarInto[T any](r *reader, path string, n *node, into *T, parse func(string) (T, error)) bool {
	if n.kind != scalar {
		r.fault(n.at, path, fmt.Sprintf("%s: must be a single value", path))
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

func parsePercent(text string) (float64, error) {
	number, ok := strings.CutSuffix(text, "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	switch {
	case err != nil || math.IsNaN(v) || math.IsInf(v, 0):
		return 0, fmt.Errorf("%q is no share (write for example 90%%)", text)
	case !ok && v <= 1:
		return 0, fmt.Errorf("%q has no unit (write %.6g%%)", text, v*100)
	case !ok:
		return 0, fmt.Errorf("%q has no unit (write %.6g%%)", text, v)
	}
	return v / 100, nil
}

func parseNumber(text string) (lab.Number, error) {
	if text == "inf" || text == ".inf" {
		return lab.Number(math.Inf(1)), nil
	}
	v, err := parseFloat(text)
	if err != nil {
		return 0, fmt.Errorf("%w (write a number, or inf)", err)
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
	switch strings.ToLower(text) {
	case "true", "on", "yes":
		return true, nil
	case "false", "off", "no":
		return false, nil
	}
	return false, fmt.Errorf("%q is neither true nor false", text)
}
