package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
)

// command is a command line of vllm, understood.
type command struct {
	as      string
	model   string
	help    bool
	version bool
	port    int
	host    string
	served  string
	apiKey  string
	maxLen  int
	truth   string
	delay   time.Duration // of the start-up
	physics Physics
	faults  faults
	given   map[string]string // vllm's flags as typed
	vocab   int
}

// argumentError is what argparse says before it exits with 2.
type argumentError struct{ text string }

func (e *argumentError) Error() string { return e.text }

// parse reads a command line: the simulator's own flags anywhere, vllm's after the model.
func parse(args []string) (*command, error) {
	c := &command{
		as: "0.32.0", port: 8000, host: "127.0.0.1", delay: 200 * time.Millisecond,
		physics: defaultPhysics(), given: map[string]string{}, vocab: 151_936,
	}
	c.physics.Seed = uint64(time.Now().UnixNano())
	rest, err := c.takeOwn(args)
	if err != nil {
		return nil, err
	}
	t, err := traitsOf(c.as)
	if err != nil {
		return nil, err
	}
	if len(rest) > 0 && rest[0] == "serve" {
		rest = rest[1:]
	}
	if err := c.takeVLLM(rest, flagsOf(t.version)); err != nil {
		return nil, err
	}
	c.physics.WarmCache = c.faults.warmCache
	return c, c.applyModel()
}

// own are the simulator's own flags.
func (c *command) own() map[string]func(string) error {
	p := &c.physics
	duration := func(d *time.Duration) func(string) error {
		return func(text string) (err error) { *d, err = time.ParseDuration(text); return err }
	}
	number := func(n *float64) func(string) error {
		return func(text string) (err error) { *n, err = strconv.ParseFloat(text, 64); return err }
	}
	return map[string]func(string) error{
		"as":           func(text string) error { c.as = text; return nil },
		"step-time":    duration(&p.Step),
		"decode-time":  duration(&p.Decode),
		"prefill-time": duration(&p.Prefill),
		"kv-time":      duration(&p.KV),
		"noise":        number(&p.Noise),
		"run-noise":    number(&p.Start),
		"speed":        number(&p.Speed),
		"kv-tokens":    func(text string) (err error) { p.KVTokens, err = strconv.Atoi(text); return err },
		"start-delay":  duration(&c.delay),
		"sim-seed":     func(text string) (err error) { p.Seed, err = strconv.ParseUint(text, 10, 64); return err },
		"truth":        func(text string) error { c.truth = text; return nil },
		"fail":         c.faults.set,
	}
}

func (c *command) takeOwn(args []string) (rest []string, err error) {
	own := c.own()
	for i := 0; i < len(args); i++ {
		name, value, joined := strings.Cut(args[i], "=")
		set, ok := own[strings.TrimPrefix(name, "--")]
		if !ok || !strings.HasPrefix(name, "--") {
			rest = append(rest, args[i])
			continue
		}
		if !joined {
			i++
			if i == len(args) {
				return nil, &argumentError{fmt.Sprintf("vllm serve: error: argument %s: expected one argument", name)}
			}
			value = args[i]
		}
		for _, part := range parts(name, value) {
			if err := set(part); err != nil {
				return nil, fmt.Errorf("argument %s: %w", name, err)
			}
		}
	}
	return rest, nil
}

// parts lets --fail name several faults at once, separated by commas.
func parts(name, value string) []string {
	if name == "--fail" {
		return strings.Split(value, ",")
	}
	return []string{value}
}

func (c *command) takeVLLM(args []string, known map[string]flag) error {
	var unknown []string
	for i := 0; i < len(args); i++ {
		arg := args[i]
		switch {
		case arg == "--version" || arg == "-v":
			c.version = true
			continue
		case arg == "-h" || arg == "--help" || strings.HasPrefix(arg, "--help="):
			c.help = true
			continue
		case !strings.HasPrefix(arg, "-"):
			if c.model != "" {
				unknown = append(unknown, arg)
			} else {
				c.model = arg
			}
			continue
		}
		name, value, joined := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
		name = strings.ReplaceAll(name, "_", "-")
		f, ok := known[name]
		if !ok {
			unknown = append(unknown, arg)
			for ; i+1 < len(args) && !strings.HasPrefix(args[i+1], "-"); i++ {
				unknown = append(unknown, args[i+1])
			}
			continue
		}
		if f.value && !joined {
			if i+1 == len(args) || strings.HasPrefix(args[i+1], "--") {
				return &argumentError{fmt.Sprintf("vllm serve: error: argument --%s: expected one argument", name)}
			}
			i++
			value = args[i]
		}
		if err := c.take(f, value); err != nil {
			return err
		}
	}
	if len(unknown) > 0 {
		return &argumentError{"vllm: error: unrecognized arguments: " + strings.Join(unknown, " ")}
	}
	return nil
}

func (c *command) take(f flag, value string) error {
	if len(f.choices) > 0 && f.value && !slices.Contains(f.choices, value) {
		quoted := make([]string, len(f.choices))
		for i, choice := range f.choices {
			quoted[i] = "'" + choice + "'"
		}
		return &argumentError{fmt.Sprintf("vllm serve: error: argument --%s: invalid choice: '%s' (choose from %s)", f.name, value, strings.Join(quoted, ", "))}
	}
	c.given[f.name] = value
	var err error
	switch f.name {
	case "port":
		c.port, err = strconv.Atoi(value)
	case "host":
		c.host = value
	case "served-model-name":
		c.served = value
	case "api-key":
		c.apiKey = value
	case "max-num-seqs":
		c.physics.MaxSeqs, err = strconv.Atoi(value)
	case "max-num-batched-tokens":
		c.physics.BatchTokens, err = strconv.Atoi(value)
	case "max-model-len":
		c.maxLen, err = strconv.Atoi(value)
	case "enable-prefix-caching":
		c.physics.PrefixCache = true
	case "no-enable-prefix-caching":
		c.physics.PrefixCache = false
	case "enable-chunked-prefill":
		c.physics.Chunked = !strings.EqualFold(value, "false")
	case "no-enable-chunked-prefill":
		c.physics.Chunked = false
	default:
		if f.number {
			_, err = strconv.Atoi(value)
		}
	}
	if err != nil {
		return &argumentError{fmt.Sprintf("vllm serve: error: argument --%s: invalid int value: '%s'", f.name, value)}
	}
	return nil
}

// configError is a refusal that vllm makes after it has read its arguments: a traceback, exit code 1.
type configError struct{ text string }

func (e *configError) Error() string { return e.text }

// applyModel reads what the model's folder says; a model that is only named is taken as it is.
func (c *command) applyModel() error {
	if c.help || c.version {
		return nil
	}
	if c.model == "" {
		c.model = "Qwen/Qwen3-0.6B"
	}
	if c.served == "" {
		c.served = c.model
	}
	limit := 0
	if strings.HasPrefix(c.model, "/") || strings.HasPrefix(c.model, ".") {
		text, err := os.ReadFile(filepath.Join(c.model, "config.json"))
		if err != nil {
			return &configError{fmt.Sprintf("huggingface_hub.errors.HFValidationError: Repo id must be in the form 'repo_name' or 'namespace/repo_name': '%s'. Use `repo_type` argument if needed.", c.model)}
		}
		var config struct {
			Vocab int `json:"vocab_size"`
			Len   int `json:"max_position_embeddings"`
		}
		if err := json.Unmarshal(text, &config); err != nil {
			return &configError{fmt.Sprintf("OSError: It looks like the config file at '%s/config.json' is not a valid JSON file.", c.model)}
		}
		limit = config.Len
		if config.Vocab > 0 {
			c.vocab = config.Vocab
		}
	}
	if c.maxLen == 0 {
		c.maxLen = limit
	}
	if c.maxLen == 0 {
		c.maxLen = 32_768
	}
	if limit > 0 && c.maxLen > limit {
		return &configError{fmt.Sprintf("pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig\n  Value error, User-specified max_model_len (%d) is greater than the derived max_model_len (max_position_embeddings=%d or model_max_length=None in model's config.json).", c.maxLen, limit)}
	}
	if c.physics.BatchTokens < c.physics.MaxSeqs {
		return &configError{fmt.Sprintf("pydantic_core._pydantic_core.ValidationError: 1 validation error for SchedulerConfig\n  Value error, max_num_batched_tokens (%d) must be greater than or equal to max_num_seqs (%d).", c.physics.BatchTokens, c.physics.MaxSeqs)}
	}
	return nil
}

const topUsage = "usage: vllm [-h] [-v]\n            {chat,complete,serve,launch,bench,collect-env,run-batch}\n            ...\n"

const ownHelp = `lab sim MODEL [flags]: a simulated vLLM server.

It takes the flags of ` + "`vllm serve`" + ` of the version it plays (a leading "serve" too), and its own:

  --as VERSION          play this version: ` + "%s" + ` (default 0.32.0)
  --step-time 6ms       time of an empty step; and what comes on top:
  --decode-time 20us    per decoding sequence
  --prefill-time 20us   per prefill token
  --kv-time 5us         per 1000 tokens held in the KV cache
  --speed 1             factor on all of it: 1.1 is 10 %% slower
  --noise 0.03          sd of the log of a step's time
  --run-noise 0.01      sd of the log of an effect that one process keeps for life
  --kv-tokens 200000    tokens that the KV cache holds
  --start-delay 200ms   how long the start-up takes
  --sim-seed N          of the noise (default: the clock)
  --truth FILE          write down when each token was written (JSON lines)
  --fail SPEC[,SPEC]    fail in one or more of these ways; times count from ready:
                        late-start=10s no-start exit-at-start=1 crash-after=3s hang-after=3s cut-streams=0.1
                        stream-errors=0.1 short=0.1 merge=0.3 slow-tokens=2x@5s throttle=0.7x@5s warm-cache
                        ignore-term wrong-name

Its GPU answers GET /sim/gpu. All flags of the version it plays: lab sim serve --help=all
`

// Main plays the vllm command line and returns its exit code.
func Main(args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 || args[0] == "--help" || args[0] == "-h" {
		fmt.Fprintf(stdout, ownHelp, strings.Join(versions, ", "))
		return 0
	}
	c, err := parse(args)
	var bad *argumentError
	var config *configError
	switch {
	case errors.As(err, &bad):
		fmt.Fprint(stderr, topUsage, bad.text, "\n")
		return 2
	case errors.As(err, &config):
		fmt.Fprintln(stderr, "Traceback (most recent call last):")
		fmt.Fprintln(stderr, config.text)
		return 1
	case err != nil:
		fmt.Fprintf(stderr, "lab sim: %v\n", err)
		return 2
	case c.version:
		fmt.Fprintln(stdout, c.as)
		return 0
	case c.help:
		fmt.Fprint(stdout, helpText(c.as))
		return 0
	}
	return c.serve(stdout, stderr)
}

// nonDefault is how vllm logs what it was given.
func (c *command) nonDefault() string {
	names := make([]string, 0, len(c.given))
	for name := range c.given {
		names = append(names, name)
	}
	sort.Strings(names)
	parts := []string{fmt.Sprintf("'model_tag': '%s'", c.model)}
	for _, name := range names {
		value := c.given[name]
		key := strings.ReplaceAll(name, "-", "_")
		switch _, err := strconv.ParseFloat(value, 64); {
		case value == "" && strings.HasPrefix(key, "no_"):
			key, value = strings.TrimPrefix(key, "no_"), "False"
		case value == "":
			value = "True"
		case err != nil:
			value = "'" + value + "'"
		}
		parts = append(parts, fmt.Sprintf("'%s': %s", key, value))
	}
	return "{" + strings.Join(parts, ", ") + "}"
}
