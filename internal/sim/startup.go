package sim

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// log writes a line as vLLM does: on stdout, errors too, with the process it comes from.
func (p *process) log(who, level, format string, args ...any) {
	line := level + " " + time.Now().Format("01-02 15:04:05") + " [sim.py:1] " + fmt.Sprintf(format, args...)
	fmt.Fprintln(p.out, p.label(who)+line)
}

func (p *process) label(who string) string {
	pid := os.Getpid()
	switch {
	case p.t.engineLabel == "": // old versions name no process
		return ""
	case who == p.t.engineLabel && len(p.family.pids()) > 0:
		pid = p.family.pids()[0]
	}
	label := fmt.Sprintf("(%s pid=%d)", who, pid)
	if p.t.colour {
		label = "\x1b[0;36m" + label + "\x1b[0;0m"
	}
	return label + " "
}

// uvicorn writes a line of the web server: on stderr, and named from 0.12 to 0.17.
func (p *process) uvicorn(text string) {
	label := ""
	if p.t.waits {
		label = p.label("APIServer")
	}
	fmt.Fprintln(p.err, label+"INFO:     "+text)
}

// start is the part between the bound port and the listening one.
func (p *process) start() (code int, ended bool) {
	c, took := p.c, (p.c.delay / 4).Seconds()
	p.announce()
	if code, ended := p.pause(c.delay/4, true); ended {
		return code, true
	}
	if err := p.family.start(c.workers); err != nil {
		fmt.Fprintln(p.err, err)
		return 1, true
	}
	engine := "V1"
	if p.t.minor < 10 {
		engine = "V0"
		p.log("", "INFO", "Started engine process with PID %d", os.Getpid())
	}
	p.log(p.t.engineLabel, "INFO", "Initializing a %s LLM engine (v%s) with config: model=%s, max_seq_len=%d, tensor_parallel_size=%d, enable_prefix_caching=%s, enable_chunked_prefill=%s",
		engine, c.as, pythonString(c.model), c.maxLen, c.number("tensor-parallel-size", 1), pythonBool(c.physics.PrefixCache), pythonBool(c.physics.Chunked))
	p.log(p.t.engineLabel, "INFO", "Starting to load model %s...", c.model)
	if c.faults.exitAtStart != 0 {
		p.startFailed("RuntimeError: told to exit at the start")
		return c.faults.exitAtStart, true
	}
	if code, ended := p.pause(c.delay/4, true); ended {
		return code, true
	}
	p.log(p.t.engineLabel, "INFO", "Model loading took 1.00 GiB memory and %.2f seconds", took)
	p.cacheSize()
	if err := c.tooLong(); err != nil {
		return p.startFailed(err.Error()), true
	}
	if code, ended := p.pause(c.delay/4+c.faults.lateStart, true); ended {
		return code, true
	}
	if c.faults.noStart {
		return p.pause(24*time.Hour, true)
	}
	unit := "seconds"
	if p.t.minor >= 18 {
		unit = "s"
	}
	p.log(p.t.engineLabel, "INFO", "init engine (profile, create kv cache, warmup model) took %.2f %s", took, unit)
	p.log("APIServer", "INFO", "%s on http://%s:%d", p.greeting(), c.host, c.port)
	return 0, false
}

// announce writes what comes once the arguments are read.
func (p *process) announce() {
	c := p.c
	if p.t.minor >= 15 {
		p.log("APIServer", "INFO", "vLLM server version %s, serving model %s", c.as, c.model)
	} else {
		p.log("APIServer", "INFO", "vLLM API server version %s", c.as)
	}
	if p.t.minor >= 10 {
		p.log("APIServer", "INFO", "non-default args: %s", c.nonDefault())
	} else {
		p.log("", "INFO", "args: Namespace(%s)", strings.Trim(c.nonDefault(), "{}"))
	}
	p.log("APIServer", "INFO", "Using max model len %d", c.maxLen)
	if c.physics.Chunked {
		p.log("APIServer", "INFO", "Chunked prefill is enabled with max_num_batched_tokens=%d.", c.physics.BatchTokens)
	}
}

// cacheSize writes how large the KV cache came out, in the words of the version.
func (p *process) cacheSize() {
	tokens, longest := p.c.physics.KVTokens, p.c.maxLen
	fits := fmt.Sprintf("Maximum concurrency for %s tokens per request: %.2fx", thousands(longest), float64(tokens)/float64(longest))
	switch {
	case p.t.minor < 10:
		p.log("", "INFO", "# GPU blocks: %d, # CPU blocks: 0", tokens/p.c.physics.BlockTokens)
		p.log("", "INFO", "%s", fits)
	case p.t.minor < 28:
		p.log(p.t.engineLabel, "INFO", "GPU KV cache size: %s tokens", thousands(tokens))
		p.log(p.t.engineLabel, "INFO", "%s", fits)
	default:
		p.log(p.t.engineLabel, "INFO", "GPU KV cache size: %s tokens, %s", thousands(tokens), fits)
	}
}

// greeting is the line before the server listens.
func (p *process) greeting() string {
	switch {
	case p.t.minor < 10:
		return "Starting vLLM API server"
	case p.t.minor < 28:
		return "Starting vLLM API server 0"
	}
	return "Starting vLLM server"
}

// thousands writes 200000 as 200,000.
func thousands(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
