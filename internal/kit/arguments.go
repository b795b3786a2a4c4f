package kit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"lab/internal/lab"
)

// ArgumentError is a command line that cannot be understood or that asks for what lab does not do.
type ArgumentError struct {
	Flag    string // with its dashes; empty where it is no matter of one flag
	Problem string
}

func (e *ArgumentError) Error() string {
	if e.Flag == "" {
		return e.Problem
	}
	return e.Flag + ": " + e.Problem
}

// Arguments is a parsed command line of `vllm bench serve`.
type Arguments struct {
	given map[string][]string // by the flag's name; a toggle has no words
	Notes []string            // flags that were accepted and change nothing, each with why
}

// ParseArguments reads a command line as vllm reads it: `_` for `-`, unique beginnings of names, --name=value, several
// words after one flag, JSON by dots; the last of two equal flags holds. What lab does not serve is an ArgumentError that
// names the flag and why.
func ParseArguments(args []string) (*Arguments, error) {
	a := &Arguments{given: map[string][]string{}}
	for len(args) > 0 {
		word := args[0]
		if word == "-h" {
			word = "--help"
		}
		if !strings.HasPrefix(word, "--") || word == "--" {
			return nil, &ArgumentError{Problem: fmt.Sprintf("unrecognized argument: %s", word)}
		}
		name, value, joined := strings.Cut(word[2:], "=")
		name, path, _ := strings.Cut(name, ".")
		f, err := find(strings.ReplaceAll(name, "_", "-"))
		if err != nil {
			return nil, err
		}
		words := []string{value}
		args = args[1:]
		if !joined {
			words, args = take(f, args)
		}
		if err := a.set(f, path, words, joined); err != nil {
			return nil, err
		}
	}
	a.notice()
	return a, nil
}

// notice notes the flags that say nothing to this data set; vllm takes them all the same.
func (a *Arguments) notice() {
	data := a.Word("dataset-name")
	for _, s := range sections {
		for _, f := range s.flags {
			if a.Has(f.name) && f.only != nil && !slices.Contains(f.only, data) {
				a.Notes = append(a.Notes, fmt.Sprintf("--%s changes nothing: it belongs to --dataset-name %s", f.name, strings.Join(f.only, ", ")))
				delete(a.given, f.name)
			}
		}
	}
}

// HideHeaders is a command line without the values of --header, which may be secrets: for what is stored.
func HideHeaders(args []string) []string {
	hidden := slices.Clone(args)
	in := false
	for i, word := range hidden {
		flag, value := "", word
		if strings.HasPrefix(word, "--") {
			name, rest, _ := strings.Cut(word[2:], "=")
			f, err := find(strings.ReplaceAll(name, "_", "-"))
			in = err == nil && f.name == "header"
			flag, value = "--"+name+"=", rest
		}
		if key, _, ok := strings.Cut(value, "="); in && ok {
			hidden[i] = flag + key + "=…"
		}
	}
	return hidden
}

// find looks a flag up by its name or by the beginning of one.
func find(name string) (option, error) {
	var near []string
	var found option
	for _, s := range sections {
		for _, f := range s.flags {
			if f.name == name {
				return f, nil
			}
			if !f.whole && strings.HasPrefix(f.name, name) {
				near, found = append(near, "--"+f.name), f
			}
		}
	}
	switch len(near) {
	case 1:
		return found, nil
	case 0:
		return option{}, &ArgumentError{Problem: fmt.Sprintf("unrecognized argument: --%s%s", name, didYouMean(name))}
	}
	return option{}, &ArgumentError{"--" + name, "could be any of " + strings.Join(near, ", ")}
}

func didYouMean(name string) string {
	best, distance := "", 1+len(name)/3
	for _, s := range sections {
		for _, f := range s.flags {
			if d := lab.Edits(name, f.name); d < distance {
				best, distance = f.name, d
			}
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean --%s?)", best)
}

// take cuts the words that belong to a flag off the rest of the line.
func take(f option, args []string) (words, rest []string) {
	n := 0
	switch f.kind {
	case toggle:
	case several:
		for n < len(args) && !strings.HasPrefix(args[n], "--") {
			n++
		}
	default:
		if len(args) > 0 && !strings.HasPrefix(args[0], "--") {
			n = 1
		}
	}
	return args[:n], args[n:]
}

func (a *Arguments) set(f option, path string, words []string, joined bool) error {
	fail := func(format string, args ...any) error {
		return &ArgumentError{"--" + f.name, fmt.Sprintf(format, args...)}
	}
	switch {
	case f.refused != "":
		return fail("lab bench does not have it: %s", f.refused)
	case path != "" && f.kind != asJSON:
		return fail("it is no JSON, so it has no parts")
	case f.kind == toggle && joined:
		return fail("it takes no value")
	case f.kind != toggle && len(words) == 0:
		return fail("expected a value")
	case len(f.choices) > 0 && !slices.Contains(f.choices, words[0]):
		return fail("%s", refusedChoice(f, words[0]))
	case f.moot != "":
		a.Notes = append(a.Notes, fmt.Sprintf("--%s changes nothing: %s", f.name, f.moot))
		return nil
	}
	if f.kind == asJSON {
		return a.setObject(f, path, words[0])
	}
	if problem := checkWord(f, words); problem != "" {
		return fail("%s", problem)
	}
	a.given[f.name] = words
	if base, no := strings.CutPrefix(f.name, "no-"); no { // --x and --no-x are one switch
		delete(a.given, base)
	} else {
		delete(a.given, "no-"+f.name)
	}
	return nil
}

func refusedChoice(f option, word string) string {
	why := ""
	switch f.name {
	case "backend", "endpoint-type":
		why = "; " + otherModels
	case "tokenizer-mode":
		why = "; lab reads tokenizer.json only"
	}
	return fmt.Sprintf("invalid choice: %q (choose from %s)%s", word, strings.Join(f.choices, ", "), why)
}

func checkWord(f option, words []string) string {
	switch f.kind {
	case integer:
		if _, err := strconv.Atoi(words[0]); err != nil {
			return fmt.Sprintf("invalid int value: %q", words[0])
		}
	case float, pace:
		v, err := strconv.ParseFloat(words[0], 64)
		switch {
		case err != nil || math.IsNaN(v):
			return fmt.Sprintf("invalid float value: %q", words[0])
		case f.kind == pace && v <= 0:
			return fmt.Sprintf("%s: must be above zero", words[0])
		case f.kind == float && math.IsInf(v, 0):
			return fmt.Sprintf("%s: must be finite", words[0])
		}
	}
	return ""
}

// setObject keeps a JSON object, or one part of it given by dots: --extra-body.a.b 1, --extra-body.list+ x.
func (a *Arguments) setObject(f option, path, word string) error {
	whole := map[string]any{}
	if before := a.given[f.name]; before != nil {
		if err := json.Unmarshal([]byte(before[0]), &whole); err != nil {
			return &ArgumentError{"--" + f.name, err.Error()}
		}
	}
	if path == "" {
		whole = nil
		if err := json.Unmarshal([]byte(word), &whole); err != nil || whole == nil {
			return &ArgumentError{"--" + f.name, fmt.Sprintf("%q is no JSON object", word)}
		}
	} else if err := put(whole, strings.Split(path, "."), word); err != nil {
		return &ArgumentError{"--" + f.name + "." + path, err.Error()}
	}
	text, err := json.Marshal(whole)
	if err != nil {
		return &ArgumentError{"--" + f.name, err.Error()}
	}
	a.given[f.name] = []string{string(text)}
	return nil
}

// put sets a value deep in an object. A key that ends in + adds to a list.
func put(into map[string]any, path []string, word string) error {
	key, adds := strings.CutSuffix(path[0], "+")
	if key == "" {
		return errors.New("a key is missing")
	}
	if len(path) > 1 {
		inner, ok := into[key].(map[string]any)
		if !ok {
			inner = map[string]any{}
			into[key] = inner
		}
		return put(inner, path[1:], word)
	}
	if !adds {
		into[key] = value(word)
		return nil
	}
	list, _ := into[key].([]any)
	for _, part := range strings.Split(word, ",") {
		list = append(list, value(part))
	}
	into[key] = list
	return nil
}

// value is JSON where a word is some, else the word itself.
func value(word string) any {
	var v any
	if json.Unmarshal([]byte(word), &v) == nil {
		return v
	}
	return word
}

// Has says whether a toggle was given.
func (a *Arguments) Has(name string) bool { return a.given[name] != nil }

// Word is the value of a flag, or its default, or empty.
func (a *Arguments) Word(name string) string {
	if words := a.given[name]; len(words) > 0 {
		return words[0]
	}
	return initial(name)
}

// Given says whether a flag with a value was given.
func (a *Arguments) Given(name string) bool { return len(a.given[name]) > 0 }

func initial(name string) string {
	f, err := find(name)
	if err != nil {
		panic("kit: unknown flag " + name) // a slip of this program, which any test that takes the way finds
	}
	return f.initial
}

func (a *Arguments) whole(name string) int {
	n, _ := strconv.Atoi(a.Word(name)) // checked when it was set
	return n
}

func (a *Arguments) number(name string) float64 {
	n, _ := strconv.ParseFloat(a.Word(name), 64)
	return n
}

// pairs are the words of a flag that each say KEY=VALUE.
func (a *Arguments) pairs(name string) ([][2]string, error) {
	var all [][2]string
	for _, word := range a.given[name] {
		key, value, ok := strings.Cut(word, "=")
		if !ok {
			return nil, &ArgumentError{"--" + name, fmt.Sprintf("%q is not KEY=VALUE", word)}
		}
		all = append(all, [2]string{key, value})
	}
	return all, nil
}

// WriteHelp lists the flags.
func WriteHelp(w io.Writer) {
	for _, s := range sections {
		fmt.Fprintf(w, "\n%s:\n", s.title)
		for _, f := range s.flags {
			if f.refused != "" || f.moot != "" {
				continue
			}
			word := map[kind]string{single: " WORD", integer: " N", float: " X", pace: " X", several: " WORD…", asJSON: " JSON"}[f.kind]
			line := f.help
			if f.initial != "" {
				line = strings.TrimSpace(line + " (default " + f.initial + ")")
			}
			fmt.Fprintln(w, strings.TrimRight(fmt.Sprintf("  --%-40s %s", f.name+word, line), " "))
		}
	}
}
