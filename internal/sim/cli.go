package sim

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

// command is a command line of vllm, understood.
type command struct {
	as       string
	t        traits
	model    string
	help     bool
	helpWord string // of --help=WORD
	version  bool
	truth    string
	delay    time.Duration // of the start-up
	workers  int           // child processes
	physics  Physics
	faults   faults
	given    map[string][]string // vllm's flags as typed
	order    []string            // their names in that order

	// What vllm's flags and the model's folder come to.
	host        string
	port        int
	names       []string // served model names
	keys        []string // API keys
	maxLen      int
	vocab       int
	imageTokens int           // that a picture of a chat message is worth
	memory      float64       // share of the GPU's memory
	drain       time.Duration // how long streams may go on after SIGTERM
	every       int           // tokens a frame
	listens     bool          // false: another process answers on the port
	self        []string      // how this program is started again for a child
}

// argumentError is what argparse says before it exits with 2.
type argumentError struct{ usage, text string }

func (e *argumentError) Error() string { return e.text }

// refuse is argparse's complaint about a value.
func (c *command) refuse(spelled, format string, args ...any) error {
	return &argumentError{"usage: vllm serve [model_tag] [options]\n", "vllm serve: error: argument " + spelled + ": " + fmt.Sprintf(format, args...)}
}

// parse reads a command line: the simulator's own flags anywhere, and vllm's.
func parse(args []string) (*command, error) {
	c := &command{
		as: newest, delay: 200 * time.Millisecond, physics: defaultPhysics(), given: map[string][]string{},
		host: "127.0.0.1", port: 8000, vocab: 151_936, imageTokens: 256, every: 1, listens: true,
	}
	c.physics.Seed = uint64(time.Now().UnixNano())
	rest, err := c.takeOwn(args)
	if err != nil {
		return nil, err
	}
	if c.t, err = traitsOf(c.as); err != nil {
		return nil, err
	}
	c.memory = c.t.gpuShare
	c.physics.WarmCache = c.faults.warmCache
	c.listens = !c.faults.foreignPort
	if len(rest) > 0 && rest[0] == "serve" {
		rest = rest[1:]
	}
	if err := c.takeVLLM(rest, flagsOf(c.as)); err != nil {
		return nil, err
	}
	if c.help || c.version {
		return c, nil
	}
	return c, c.apply()
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
	whole := func(n *int) func(string) error {
		return func(text string) (err error) { *n, err = strconv.Atoi(text); return err }
	}
	return map[string]func(string) error{
		"as":           func(text string) error { c.as = text; return nil },
		"step-time":    duration(&p.Step),
		"decode-time":  duration(&p.Decode),
		"prefill-time": duration(&p.Prefill),
		"kv-time":      duration(&p.KV),
		"noise":        number(&p.Noise),
		"run-noise":    number(&p.Start),
		"drift-noise":  number(&p.Drift),
		"stalls":       number(&p.Stalls),
		"speed":        number(&p.Speed),
		"kv-tokens":    whole(&p.KVTokens),
		"image-tokens": whole(&c.imageTokens),
		"start-delay":  duration(&c.delay),
		"sim-seed":     func(text string) (err error) { p.Seed, err = strconv.ParseUint(text, 10, 64); return err },
		"truth":        func(text string) error { c.truth = text; return nil },
		"workers":      whole(&c.workers),
		"fail":         c.faults.setAll,
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
				return nil, c.refuse(name, "expected one argument")
			}
			value = args[i]
		}
		if err := set(value); err != nil {
			return nil, fmt.Errorf("argument %s: %w", name, err)
		}
	}
	return rest, c.checkOwn()
}

func (c *command) checkOwn() error {
	p := c.physics
	switch {
	case !(p.Speed > 0 && p.Speed <= 1000):
		return errors.New("argument --speed: must be above 0, and 1000 at most")
	case p.KVTokens < p.BlockTokens:
		return fmt.Errorf("argument --kv-tokens: must be at least one block of %d", p.BlockTokens)
	case p.Step <= 0 || p.Decode < 0 || p.Prefill < 0 || p.KV < 0 || c.delay < 0:
		return errors.New("argument --step-time: times cannot be below 0, and that of a step not 0")
	case !(min(p.Noise, p.Start, p.Drift, p.Stalls) >= 0 && max(p.Noise, p.Start, p.Drift, p.Stalls) <= 1):
		return errors.New("argument --noise: deviations, and the share of --stalls, must be 0 to 1")
	case c.imageTokens < 1 || c.imageTokens > 1<<16:
		return errors.New("argument --image-tokens: must be 1 to 65536")
	case c.workers < 0 || c.workers > 64:
		return errors.New("argument --workers: must be 0 to 64")
	}
	return nil
}

const ownHelp = `lab sim MODEL [flags]: a simulated vLLM server.

It takes the flags of ` + "`vllm serve`" + ` of the version it plays (a leading "serve" too), and its own:

  --as VERSION          play this version: %s (default %s)
  --step-time 6ms       time of an empty step; and what comes on top:
  --decode-time 20us    per decoding sequence
  --prefill-time 20us   per prefill token
  --kv-time 5ns         per token reserved in the KV cache
  --speed 1             factor on all of it: 1.1 is 10 %% slower
  --noise 0.03          sd of the log of a step's time
  --run-noise 0.01      sd of the log of an effect that one process keeps for life
  --drift-noise 0       sd of the log of an effect that wanders within 10 s
  --stalls 0            share of steps that stall, for 80 ms on average
  --kv-tokens 200000    tokens that the KV cache holds
  --image-tokens 256    tokens that a picture of a chat message is worth
  --start-delay 200ms   how long the start-up takes
  --sim-seed N          of everything random (default: the clock)
  --truth FILE          write down when each token was written (JSON lines; monotonic_ns is CLOCK_MONOTONIC)
  --workers N           have N child processes, the first called VLLM::EngineCore; the server lives and dies with them
  --fail SPEC[,SPEC]    fail in one or more of these ways; times count from ready:
                        late-start=10s no-start exit-at-start=1 crash-after=3s crash-at-request=5 hang-after=3s
                        restart-at-request=5 (from then on /metrics tells of a later start of the process)
                        cut-streams=0.1 stream-errors=0.1 short=0.1 merge=0.3 slow-tokens=2x@5s
                        answers=0.1 (other texts to that share of prompts) answers-vary=0.1 (to requests drawn anew)
                        warm-cache ignore-term wrong-name foreign-port
                        at a moment, several times if told so; the server's log says when each happened:
                        preempt=4@5s/80ms (the newest 4 requests lose their KV cache, and for 80 ms there is no room)
                        prefill-burst=8000@5s (prompts of others, 8000 tokens)  stall=80ms@5s (a step that takes longer)
                        for a time, or without /2s to the end; each lowers the clock to that share:
                        throttle=0.7x@5s/2s (too hot)  power-cap=0.8x@5s/2s (at its limit)  clock-drop=0.5x@5s/2s (by a setting)
                        of its profiler: profile-refuse profile-stop=2m (how long it writes) profile-stop-500
                        profile-crash (while it writes) profile-partial profile-ranks=1 (so many workers write)
                        profile-size=8M (bytes by which a trace is larger)

These flags of vllm change what it does: host, port, served-model-name, api-key, max-model-len, max-num-seqs,
max-num-batched-tokens, block-size, num-gpu-blocks-override, kv-cache-memory-bytes, gpu-memory-utilization,
enable-prefix-caching, enable-chunked-prefill, stream-interval, enable-prompt-tokens-details,
enable-force-include-usage, disable-log-stats, profiler-config, shutdown-timeout. The others are accepted.
A profile slows every step by a tenth, with Python stacks by half; its traces are Kineto's.
Its GPU answers GET /sim/gpu. All flags of the version it plays: lab sim serve --help=all
`

// Main plays the vllm command line and returns its exit code.
func Main(args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 || args[0] == "--help" || args[0] == "-h" {
		fmt.Fprintf(stdout, ownHelp, strings.Join(versions, ", "), newest)
		return 0
	}
	self := os.Args[:max(1, len(os.Args)-len(args))] // `lab sim`, or a program called vllm
	if code, played := playChild(self, args, stdout, stderr); played {
		return code
	}
	return play(self, args, false, stdout, stderr)
}

// play runs a command line. An outsider answers on a port in another's place: see family.
func play(self, args []string, outsider bool, stdout, stderr io.Writer) int {
	c, err := parse(args)
	if err == nil && c.help {
		err = c.printHelp(stdout)
	}
	var bad *argumentError
	var config *configError
	switch {
	case errors.As(err, &bad):
		fmt.Fprint(stderr, bad.usage, bad.text, "\n")
		return 2
	case errors.As(err, &config):
		fmt.Fprint(stderr, "Traceback (most recent call last):\n", config.text, "\n")
		return 1
	case err != nil:
		fmt.Fprintf(stderr, "lab sim: %v\n", err)
		return 2
	case c.version:
		fmt.Fprintln(stdout, c.as)
		return 0
	case c.help:
		return 0
	}
	c.self = self
	if outsider {
		c.listens, c.delay = true, 0
	}
	return c.serve(args, stdout, stderr)
}
