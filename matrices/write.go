package matrices

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"lab/internal/lab"
)

// Write gives an experiment as the text of a file that reads as the same experiment, everything said, defaults too.
// Of a rate that came of measuring the capacity the rate is written: it is what was sent.
func Write(e lab.Experiment) ([]byte, error) {
	e.Phases = slices.Clone(e.Phases)
	for i := range e.Phases {
		if l := &e.Phases[i].Load; l.Rate > 0 {
			l.CapacityShare = 0
		}
	}
	text, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("write experiment: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	tree, err := ordered(d)
	if err != nil {
		return nil, fmt.Errorf("write experiment: %w", err)
	}
	root := tree.(members)
	for i, m := range root {
		switch m.name {
		case "load":
			phases, _ := m.value.([]any) // an experiment without any has null
			for k, phase := range phases {
				phases[k] = flatPhase(phase.(members))
			}
		case "slo":
			root[i].value = limitsOf(m.value.([]any))
		case "telemetry":
			if e.Telemetry.Off {
				root[i].value = "off" // quoted or not, the reader takes it
			}
		}
	}
	w := &fileWriter{}
	w.mapping("", root, 0)
	return w.Bytes(), nil
}

// members of a mapping, in their order.
type members []member

type member struct {
	name  string
	value any
}

func (m members) get(name string) any {
	for _, one := range m {
		if one.name == name {
			return one.value
		}
	}
	return nil
}

// ordered reads a JSON value and keeps the order of its keys.
func ordered(d *json.Decoder) (any, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('{'):
		all := members{}
		for d.More() {
			name, err := d.Token()
			if err != nil {
				return nil, err
			}
			value, err := ordered(d)
			if err != nil {
				return nil, err
			}
			all = append(all, member{name.(string), value})
		}
		_, err = d.Token()
		return all, err
	case json.Delim('['):
		all := []any{}
		for d.More() {
			value, err := ordered(d)
			if err != nil {
				return nil, err
			}
			all = append(all, value)
		}
		_, err = d.Token()
		return all, err
	}
	return token, nil
}

// flatPhase puts the load of a phase beside its name, as files have it.
func flatPhase(phase members) members {
	flat := slices.DeleteFunc(slices.Clone(phase), func(m member) bool { return m.name == "load" })
	return append(flat, phase.get("load").(members)...)
}

func limitsOf(all []any) members {
	var limits members
	for _, one := range all {
		limits = append(limits, member{one.(members).get("metric").(string), one.(members).get("limit")})
	}
	return limits
}

// fileWriter writes YAML: mappings and lists in blocks, empty ones as {} and [].
type fileWriter struct{ bytes.Buffer }

func (w *fileWriter) mapping(path string, all members, indent int) {
	for i, m := range all {
		if i > 0 || indent == 0 {
			w.WriteString(strings.Repeat(" ", indent))
		}
		w.WriteString(scalarText(m.name) + ":")
		w.value(joined(path, m.name), m.value, indent+2)
	}
}

// value writes what comes after a key or a dash, and the end of its line.
func (w *fileWriter) value(path string, value any, indent int) {
	switch v := value.(type) {
	case members:
		if len(v) == 0 {
			w.WriteString(" {}\n")
			return
		}
		w.WriteString("\n" + strings.Repeat(" ", indent))
		w.mapping(path, v, indent)
	case []any:
		if len(v) == 0 {
			w.WriteString(" []\n")
			return
		}
		w.WriteString("\n")
		for _, item := range v {
			w.WriteString(strings.Repeat(" ", indent) + "-")
			if m, ok := item.(members); ok && len(m) > 0 {
				w.WriteString(" ")
				w.mapping(path, m, indent+2)
				continue
			}
			w.value(path, item, indent+2)
		}
	default:
		w.WriteString(" " + w.scalar(path, v) + "\n")
	}
}

func (w *fileWriter) scalar(path string, value any) string {
	switch v := value.(type) {
	case nil:
		return "null"
	case bool:
		return strconv.FormatBool(v)
	case json.Number:
		if share, err := v.Float64(); about(path).share && err == nil {
			return strconv.FormatFloat(share*100, 'g', 15, 64) + "%"
		}
		return v.String()
	case string:
		return scalarText(v)
	}
	return fmt.Sprint(value)
}

// bare texts mean themselves in YAML: no number, no date, no word that means something else.
var bare = regexp.MustCompile(`^[A-Za-z_/][A-Za-z0-9_./-]*$|^[0-9][0-9.]*(ns|us|µs|ms|s|m|h|[KMGT]iB|B)+$`)

func scalarText(text string) string {
	reserved := []string{"true", "false", "null", "yes", "no", "on", "off", "y", "n", "inf"}
	if bare.MatchString(text) && !slices.Contains(reserved, strings.ToLower(text)) {
		return text
	}
	quoted, err := json.Marshal(text)
	if err != nil {
		return strconv.Quote(text)
	}
	return string(quoted)
}
