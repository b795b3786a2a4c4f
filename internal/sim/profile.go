package sim

import (
	"cmp"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// profiler plays /start_profile and /stop_profile as recordings of each version show them.
type profiler struct {
	profilerSettings
	s     *server
	began time.Time // of this process: the number in the names of some versions

	mu     sync.Mutex // one call at a time
	active bool       // started, and not stopped since
	since  time.Time
	prefix string

	byItself sync.Mutex // held while workers write unasked

	quit    chan struct{} // closed when the process ends
	writers sync.WaitGroup
}

// profilerSettings are what the flag or the environment says.
type profilerSettings struct {
	dir      string // empty: there is no profiler
	stacks   bool
	frontend bool // the API process writes a trace too
	max      int  // steps after which workers stop by themselves; 0: they do not
	delay    int  // steps before they begin
}

// profilerFields are the keys of --profiler-config; any other ends the start-up.
var (
	profilerFields = []string{
		"profiler", "torch_profiler_dir", "torch_profiler_with_stack", "torch_profiler_with_flops", "torch_profiler_use_gzip",
		"torch_profiler_dump_cuda_time_total", "torch_profiler_record_shapes", "torch_profiler_with_memory", "ignore_frontend",
		"delay_iterations", "max_iterations",
	}
	newProfilerFields = []string{ // since 0.18 or later
		"warmup_iterations", "active_iterations", "wait_iterations", "capture_torch_profiler", "detailed_trace_annotation",
		"torch_profiler_activities",
	}
)

func (t traits) profilerField(name string) bool {
	return slices.Contains(profilerFields, name) || t.minor >= 18 && (slices.Contains(newProfilerFields, name) || strings.HasPrefix(name, "proton_"))
}

// profilerSettings reads the variables where the version has them, else the flag.
func (c *command) profilerSettings() profilerSettings {
	set := profilerSettings{stacks: true, frontend: c.t.minor >= 12}
	if dir := os.Getenv("VLLM_TORCH_PROFILER_DIR"); dir != "" && c.t.envProfiler {
		set.dir = dir
		if c.t.minor >= 12 {
			set.stacks = os.Getenv("VLLM_TORCH_PROFILER_WITH_STACK") != "0"
			set.frontend = os.Getenv("VLLM_TORCH_PROFILER_DISABLE_ASYNC_LLM") != "1"
			set.max, _ = strconv.Atoi(os.Getenv("VLLM_PROFILER_MAX_ITERS"))
			set.delay, _ = strconv.Atoi(os.Getenv("VLLM_PROFILER_DELAY_ITERS"))
		}
		return set
	}
	var config struct {
		Profiler string `json:"profiler"`
		Dir      string `json:"torch_profiler_dir"`
		Stacks   *bool  `json:"torch_profiler_with_stack"`
		Ignore   bool   `json:"ignore_frontend"`
		Max      int    `json:"max_iterations"`
		Delay    int    `json:"delay_iterations"`
	}
	if text := c.last("profiler-config"); text != "" && json.Unmarshal([]byte(text), &config) != nil {
		return set
	}
	config.Profiler = cmp.Or(c.last("profiler-config.profiler"), config.Profiler)
	if config.Profiler != "torch" {
		return set
	}
	set.dir = cmp.Or(c.last("profiler-config.torch_profiler_dir"), config.Dir)
	set.frontend, set.max, set.delay = !config.Ignore, config.Max, config.Delay
	if config.Stacks != nil {
		set.stacks = *config.Stacks
	}
	return set
}

func newProfiler(s *server) *profiler {
	return &profiler{profilerSettings: s.c.profilerSettings(), s: s, began: s.started, quit: make(chan struct{})}
}

// end abandons what is still being written, as the end of a process does.
func (p *profiler) end() {
	close(p.quit)
	p.writers.Wait()
}

func (s *server) startProfile(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Prefix string `json:"profile_prefix"`
		Max    *int   `json:"max_iterations"`
		Delay  *int   `json:"delay_iterations"`
	}
	text, err := io.ReadAll(io.LimitReader(r.Body, bodyLimit))
	if err == nil && len(text) > 0 && s.t.minor >= 18 { // older versions take no body and read none
		err = json.Unmarshal(text, &body)
	}
	if err != nil {
		s.fail(w, problem{400, "Bad Request", "1 validation error:\n  " + err.Error(), "body"})
		return
	}
	p := s.profiler
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case s.c.faults.profileRefuse:
		http.Error(w, "Internal Server Error", 500)
		return
	case p.active && s.t.minor >= 18:
		s.fail(w, problem{409, "Conflict", "A profiling session is already active. Call /stop_profile before starting another session.", nil})
		return
	case p.active:
		return // older versions take a second start and go on
	}
	p.active, p.since, p.prefix = true, time.Now(), body.Prefix
	rec := &recorder{max: p.max, delay: p.delay, slow: recordingSlows, due: p.writeByItself}
	if p.stacks {
		rec.slow = stacksSlow
	}
	if body.Max != nil {
		rec.max = *body.Max
	}
	if body.Delay != nil {
		rec.delay = *body.Delay
	}
	s.loop.lock(func() { s.loop.recorder = rec })
}

func (s *server) stopProfile(w http.ResponseWriter, _ *http.Request) {
	p := s.profiler
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.active {
		if s.t.minor >= 13 && s.t.minor <= 17 && p.frontend { // its profiler is stopped twice: Kineto is not running
			http.Error(w, "Internal Server Error", 500)
		}
		return
	}
	p.active = false
	var rec *recorder
	s.loop.lock(func() { rec, s.loop.recorder = s.loop.recorder, nil })
	if s.t.minor < 10 && !s.c.faults.profileStop500 {
		p.writeLater(rec)
		return
	}
	p.byItself.Lock() // what workers write by themselves holds up the answer
	defer p.byItself.Unlock()
	s.loop.hold(true) // the engine makes no step while it writes
	defer s.loop.hold(false)
	err := p.writeAll(rec, time.Now())
	if s.c.faults.profileStop500 || s.loop.crashed() {
		err = cmp.Or(err, errTold)
	}
	if err != nil {
		http.Error(w, "Internal Server Error", 500)
	}
}

// What recording costs: every step takes so much longer.
const (
	recordingSlows = 1.1
	stacksSlow     = 1.5
)

// recorder keeps the steps of a session. It belongs to the loop, under its lock.
type recorder struct {
	max, delay int
	slow       float64
	due        func(*recorder) // writes what was recorded, when max is reached
	steps      []recordedStep
}

// recordedStep is a step as a trace needs it.
type recordedStep struct {
	start    time.Time
	took     time.Duration
	decode   int // requests
	prefills int // requests
	prefill  int // tokens
	kv       int // tokens held
}

// full says that the next step is one too many: the workers stop before they begin it.
func (r *recorder) full() bool { return r.max > 0 && len(r.steps) >= r.max }

// step keeps a step and gives its time under the profiler.
func (r *recorder) step(s recordedStep) time.Duration {
	if r.delay > 0 {
		r.delay--
		return s.took
	}
	s.took = time.Duration(float64(s.took) * r.slow)
	r.steps = append(r.steps, s)
	return s.took
}
