package kit

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
)

// object is a Python dict: keys stay where they were first set, whatever is set there later.
type object struct {
	keys   []string
	values map[string]any
}

func (o *object) set(key string, v any) {
	if o.values == nil {
		o.values = map[string]any{}
	}
	if _, known := o.values[key]; !known {
		o.keys = append(o.keys, key)
	}
	o.values[key] = v
}

func (o *object) drop(key string) {
	if _, known := o.values[key]; known {
		delete(o.values, key)
		o.keys = slices.DeleteFunc(o.keys, func(k string) bool { return k == key })
	}
}

func (o *object) text() []byte { return appendPython(nil, o) }

// appendPython writes a value as Python's json.dump does by default.
func appendPython(out []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(out, "null"...)
	case string:
		return appendString(out, v)
	case int:
		return strconv.AppendInt(out, int64(v), 10)
	case float64:
		return append(out, pythonFloat(v)...)
	case []int:
		return appendList(out, v)
	case []float64:
		return appendList(out, v)
	case [][]float64:
		return appendList(out, v)
	case []string:
		return appendList(out, v)
	case []*object:
		return appendList(out, v)
	case *object:
		out = append(out, '{')
		for i, key := range v.keys {
			if i > 0 {
				out = append(out, ", "...)
			}
			out = append(appendString(out, key), ": "...)
			out = appendPython(out, v.values[key])
		}
		return append(out, '}')
	}
	panic(fmt.Sprintf("write %T as Python does: no such type in a result", v))
}

func appendList[T any](out []byte, list []T) []byte {
	out = append(out, '[')
	for i, v := range list {
		if i > 0 {
			out = append(out, ", "...)
		}
		out = appendPython(out, v)
	}
	return append(out, ']')
}

// appendString escapes all that is no printable ASCII.
func appendString(out []byte, text string) []byte {
	out = append(out, '"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			out = append(out, '\\', byte(r))
		case r == '\n':
			out = append(out, `\n`...)
		case r == '\r':
			out = append(out, `\r`...)
		case r == '\t':
			out = append(out, `\t`...)
		case r == '\f':
			out = append(out, `\f`...)
		case r == '\b':
			out = append(out, `\b`...)
		case r >= ' ' && r <= '~':
			out = append(out, byte(r))
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return append(out, '"')
}

// pythonFloat is Python's repr of a float, with the words of its JSON for what is no number.
func pythonFloat(v float64) string {
	switch {
	case math.IsNaN(v):
		return "NaN"
	case math.IsInf(v, 0):
		return strings.TrimPrefix(strconv.FormatFloat(v, 'f', -1, 64), "+") + "inity"
	}
	if size := math.Abs(v); size != 0 && (size < 1e-4 || size >= 1e16) {
		return strconv.FormatFloat(v, 'e', -1, 64)
	}
	text := strconv.FormatFloat(v, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}
