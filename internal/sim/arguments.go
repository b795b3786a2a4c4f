package sim

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// takeVLLM reads vllm's flags as argparse does: -x and --x, = or a following word, underscores for dashes, unique
// beginnings of a name, JSON by dotted names, unknown ones collected for one complaint.
func (c *command) takeVLLM(args []string, known map[string]flag) error {
	var unknown []string
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if !strings.HasPrefix(arg, "-") {
			if c.model != "" {
				unknown = append(unknown, arg)
			} else {
				c.model = arg
			}
			continue
		}
		name, value, joined := strings.Cut(arg, "=")
		switch name {
		case "--version", "-v":
			c.version = true
			continue
		case "--help", "-h":
			c.help, c.helpWord = true, value
			continue
		}
		f, ok, err := c.look(name, known)
		if err != nil {
			return err
		}
		if !ok {
			unknown = append(unknown, arg)
			for ; i+1 < len(args) && !strings.HasPrefix(args[i+1], "-"); i++ {
				unknown = append(unknown, args[i+1])
			}
			continue
		}
		var values []string
		if joined {
			values = []string{value}
		}
		for !joined && f.value && i+1 < len(args) && !isFlag(args[i+1]) && (len(values) == 0 || f.many) {
			i++
			values = append(values, args[i])
		}
		if err := c.take(f, values); err != nil {
			return err
		}
	}
	if len(unknown) > 0 && !c.help && !c.version {
		return &argumentError{c.t.usage, "vllm: error: unrecognized arguments: " + strings.Join(unknown, " ")}
	}
	return nil
}

// isFlag tells a flag from a value; a negative number is a value.
func isFlag(arg string) bool {
	if !strings.HasPrefix(arg, "-") || len(arg) < 2 {
		return false
	}
	_, err := strconv.ParseFloat(arg, 64)
	return err != nil
}

// look finds the flag that a spelling means.
func (c *command) look(name string, known map[string]flag) (flag, bool, error) {
	if !strings.HasPrefix(name, "--") {
		f, ok := known[name]
		return f, ok, nil
	}
	name, key, dotted := strings.Cut(name, ".")
	name = strings.ReplaceAll(name, "_", "-")
	if f, ok := known[name]; ok {
		if dotted { // one key of a JSON value
			f.name, f.many = f.name+"."+key, false
		}
		return f, ok, nil
	}
	var matches []string
	for spelling := range known {
		if strings.HasPrefix(spelling, name) && len(name) > 2 {
			matches = append(matches, spelling)
		}
	}
	switch len(matches) {
	case 0:
		return flag{}, false, nil
	case 1:
		return known[matches[0]], true, nil
	}
	sort.Strings(matches)
	return flag{}, false, &argumentError{"usage: vllm serve [model_tag] [options]\n",
		fmt.Sprintf("vllm serve: error: ambiguous option: %s could match %s", name, strings.Join(matches, ", "))}
}

// take checks the values of one flag and keeps them.
func (c *command) take(f flag, values []string) error {
	switch {
	case !f.value && len(values) > 0:
		return c.refuse(f.spelled, "ignored explicit argument '%s'", values[0])
	case f.value && !f.optional && len(values) == 0 && f.many:
		return c.refuse(f.spelled, "expected at least one argument")
	case f.value && !f.optional && len(values) == 0:
		return c.refuse(f.spelled, "expected one argument")
	}
	for _, value := range values {
		if err := c.check(f, value); err != nil {
			return err
		}
	}
	if _, again := c.given[f.name]; !again {
		c.order = append(c.order, f.name)
	}
	c.given[f.name] = values
	return nil
}

func (c *command) check(f flag, value string) error {
	if len(f.choices) > 0 && !slices.Contains(f.choices, value) {
		return c.refuse(f.spelled, "invalid choice: '%s' (choose from '%s')", value, strings.Join(f.choices, "', '"))
	}
	kind, err := "", error(nil)
	switch {
	case slices.Contains(humanNumbers, f.name):
		kind = "human_readable_int"
		if value != "auto" {
			_, err = humanNumber(value)
		}
	case slices.Contains(wholeNumbers, f.name):
		kind = "int"
		_, err = strconv.Atoi(value)
	case slices.Contains(fractions, f.name):
		kind = "float"
		_, err = strconv.ParseFloat(value, 64)
	case f.name == "profiler-config" && strings.HasPrefix(value, "{") && !json.Valid([]byte(value)):
		return c.refuse(f.spelled, "1 validation error for ProfilerConfig\n  Invalid JSON [type=json_invalid, input_value='%s', input_type=str]", value)
	case f.name == "profiler-config" && strings.HasPrefix(value, "{"):
		return c.checkProfiler(f, value)
	}
	if err != nil {
		return c.refuse(f.spelled, "invalid %s value: '%s'", kind, value)
	}
	return nil
}

// checkProfiler refuses a key that the version's ProfilerConfig does not have.
func (c *command) checkProfiler(f flag, value string) error {
	var config map[string]any
	if json.Unmarshal([]byte(value), &config) != nil {
		return nil // an object of the right form, but no mapping: seen when it is read
	}
	names := slices.Sorted(maps.Keys(config))
	for _, name := range names {
		if !c.t.profilerField(name) {
			return c.refuse(f.spelled, "1 validation error for ProfilerConfig\n%s\n  Unexpected keyword argument [type=unexpected_keyword_argument, input_value=%s, input_type=%T]", name, pythonString(fmt.Sprint(config[name])), config[name])
		}
	}
	return nil
}

// The help text names no types; these are the flags whose values are checked.
var (
	humanNumbers = []string{"max-model-len", "max-num-batched-tokens", "kv-cache-memory-bytes"}
	wholeNumbers = []string{"port", "max-num-seqs", "tensor-parallel-size", "pipeline-parallel-size", "data-parallel-size", "block-size",
		"num-gpu-blocks-override", "seed", "max-logprobs", "stream-interval", "shutdown-timeout", "api-server-count"}
	fractions = []string{"gpu-memory-utilization", "swap-space", "cpu-offload-gb", "kv-offloading-size"}
)

// humanNumber reads 4096, 8k (8000), 8K (8192), 1.5m and the like. Fractions go with the decimal units only.
func humanNumber(text string) (int, error) {
	const units = "kmgtKMGT"
	at := strings.IndexByte(units, (text + "0")[max(0, len(text)-1)])
	if at < 0 {
		return strconv.Atoi(text)
	}
	number, unit := text[:len(text)-1], math.Pow(1000, float64(at+1))
	if at >= 4 {
		unit = math.Pow(1024, float64(at-3))
		if _, err := strconv.Atoi(number); err != nil {
			return 0, err
		}
	}
	v, err := strconv.ParseFloat(number, 64)
	if err == nil && !(v >= 0 && v*unit < 1<<62) {
		err = strconv.ErrRange
	}
	return int(v * unit), err
}

// nonDefault is how vllm logs what it was given: a Python dictionary.
func (c *command) nonDefault() string {
	parts := []string{"'model_tag': " + pythonString(c.model)}
	for _, name := range c.order {
		parts = append(parts, pythonPair(name, c.given[name]))
	}
	parts = append(parts, "'model': "+pythonString(c.model))
	return "{" + strings.Join(parts, ", ") + "}"
}

func pythonPair(name string, values []string) string {
	key := strings.ReplaceAll(name, "-", "_")
	switch {
	case len(values) == 0 && strings.HasPrefix(key, "no_"):
		return fmt.Sprintf("'%s': False", strings.TrimPrefix(key, "no_"))
	case len(values) == 0:
		return fmt.Sprintf("'%s': True", key)
	case name == "served-model-name" || len(values) > 1:
		quoted := make([]string, len(values))
		for i, v := range values {
			quoted[i] = pythonString(v)
		}
		return fmt.Sprintf("'%s': [%s]", key, strings.Join(quoted, ", "))
	}
	if slices.Contains(humanNumbers, name) {
		if n, err := humanNumber(values[0]); err == nil {
			return fmt.Sprintf("'%s': %d", key, n)
		}
	}
	if _, err := strconv.ParseFloat(values[0], 64); err == nil {
		return fmt.Sprintf("'%s': %s", key, values[0])
	}
	return fmt.Sprintf("'%s': %s", key, pythonString(values[0]))
}

func pythonString(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `\n`).Replace(text) + "'"
}

func pythonBool(b bool) string {
	if b {
		return "True"
	}
	return "False"
}
