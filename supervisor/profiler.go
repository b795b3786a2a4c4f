package supervisor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"lab/internal/lab"
)

// ErrNoProfiler says that a server was started without its profiler, and how to start it with one.
var ErrNoProfiler = errors.New(`the server runs without its profiler: start it with --profiler-config '{"profiler": "torch", "torch_profiler_dir": "/tmp/profiles"}' (vLLM 0.13 and later), or with VLLM_TORCH_PROFILER_DIR=/tmp/profiles in its environment (before)`)

// profilerStartTimeout bounds the request that turns a profiler on, which at most loads a library.
const profilerStartTimeout = time.Minute

// ProfilerReply is what a server answered; Err is set where no answer came.
type ProfilerReply struct {
	Status int
	Text   string
	Err    error
}

// AskProfiler starts or stops the profiler, once: a second stop of some versions ends their engine. The stop has no time limit.
func AskProfiler(ctx context.Context, a Access, start bool) ProfilerReply {
	path := "/stop_profile"
	if start {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, profilerStartTimeout)
		defer cancel()
		path = "/start_profile"
	}
	c := newClient(a)
	defer c.http.CloseIdleConnections()
	status, body, err := c.do(ctx, "POST", path, nil)
	return ProfilerReply{status, brief(body), err}
}

// Problem is why the profiler did not do what it was asked.
func (r ProfilerReply) Problem() error {
	switch {
	case r.Err != nil:
		return r.Err
	case r.Status == http.StatusNotFound:
		return ErrNoProfiler
	case r.Status/100 != 2:
		return fmt.Errorf("status %d %s", r.Status, r.Text)
	}
	return nil
}

// Profiler is how a server was prepared for being profiled, and what it will then do.
type Profiler struct {
	Mechanism string            // lab.ProfileByConfig or lab.ProfileByEnv
	Settings  map[string]string // the flag, or the variables
	Bounded   bool              // its workers end the window themselves after so many steps
	Workers   int               // each writes a trace
	Frontend  bool              // the API server writes one too
	Remarks   []string          // what the version cannot do as asked
}

// The variables that tell a version below 0.16 about its profiler.
const profilerDir = "VLLM_TORCH_PROFILER_DIR"

var profilerVariables = []string{
	profilerDir, "VLLM_TORCH_PROFILER_WITH_STACK", "VLLM_TORCH_PROFILER_RECORD_SHAPES", "VLLM_TORCH_PROFILER_WITH_PROFILE_MEMORY",
	"VLLM_TORCH_PROFILER_WITH_FLOPS", "VLLM_TORCH_PROFILER_USE_GZIP", "VLLM_TORCH_PROFILER_DISABLE_ASYNC_LLM",
	"VLLM_TORCH_PROFILER_DUMP_CUDA_TIME_TOTAL", "VLLM_PROFILER_DELAY_ITERS", "VLLM_PROFILER_MAX_ITERS",
}

// WithProfiler prepares a launch for being profiled, by what its version has: the flag from 0.13 on, variables before. The
// traces go to dir. What the version cannot do at all comes back as lab.Faults.
func WithProfiler(l Launch, s lab.Server, flags Flags, w lab.ProfileWindow, dir string) (Launch, Profiler, error) {
	config, env := flags.Has("profiler-config"), !atLeast(l.Version, 16, 0)
	p := Profiler{Mechanism: w.Mechanism, Workers: workers(s), Frontend: w.Frontend}
	switch {
	case p.Mechanism == "" && config:
		p.Mechanism = lab.ProfileByConfig
	case p.Mechanism == "":
		p.Mechanism = lab.ProfileByEnv
	case p.Mechanism == lab.ProfileByConfig && !config:
		return l, p, lab.Faults{{Path: "profile.mechanism", Problem: fmt.Sprintf("vllm %s has no --profiler-config (0.13 and later have): write env, or leave the line out", l.Version)}}
	}
	if p.Mechanism == lab.ProfileByEnv && !env {
		return l, p, lab.Faults{{Path: "profile.mechanism", Problem: fmt.Sprintf("vllm %s does not read %s (0.15 and before do): write config, or leave the line out", l.Version, profilerDir)}}
	}
	var err error
	if p.Mechanism == lab.ProfileByConfig {
		err = p.byConfig(&l, w, dir)
	} else {
		p.byEnv(&l, w, dir)
	}
	// What is left in the user's environment would change what is asked for, up to 0.15 beside the flag too.
	l.Unset = slices.Clone(l.Unset)
	for _, name := range profilerVariables {
		if _, set := p.Settings[name]; !set {
			l.Unset = append(l.Unset, name)
		}
	}
	return l, p, err
}

func (p *Profiler) byConfig(l *Launch, w lab.ProfileWindow, dir string) error {
	config := map[string]any{
		"profiler": "torch", "torch_profiler_dir": dir, "torch_profiler_with_stack": w.Stacks,
		"max_iterations": w.Iterations, "ignore_frontend": !w.Frontend,
	}
	if w.Shapes {
		config["torch_profiler_record_shapes"] = true
	}
	text, err := jsonText(config)
	if err != nil {
		return fmt.Errorf("write --profiler-config: %w", err)
	}
	l.Argv = append(l.Argv[:len(l.Argv):len(l.Argv)], "--profiler-config", text)
	p.Settings, p.Bounded = map[string]string{"--profiler-config": text}, true
	return nil
}

func (p *Profiler) byEnv(l *Launch, w lab.ProfileWindow, dir string) {
	set := map[string]string{profilerDir: dir}
	if atLeast(l.Version, 10, 1) {
		set["VLLM_TORCH_PROFILER_WITH_STACK"] = bit(w.Stacks)
		if w.Shapes {
			set["VLLM_TORCH_PROFILER_RECORD_SHAPES"] = bit(true)
		}
	} else if !w.Stacks {
		p.Remarks = append(p.Remarks, "vllm "+l.Version+" always records Python stacks: they make every step longer")
	}
	switch {
	case atLeast(l.Version, 12, 0):
		set["VLLM_TORCH_PROFILER_DISABLE_ASYNC_LLM"] = bit(!w.Frontend)
		set["VLLM_PROFILER_MAX_ITERS"] = strconv.Itoa(w.Iterations)
		p.Bounded = true
	case w.Frontend && !atLeast(l.Version, 10, 2):
		p.Frontend = false
		p.Remarks = append(p.Remarks, "vllm "+l.Version+" writes no trace of its API server")
	}
	if !atLeast(l.Version, 11, 0) {
		set["VLLM_RPC_TIMEOUT"] = "1800000" // ms; 0.6 takes its engine for dead when it writes a trace for longer than 10 s
	}
	env := map[string]string{}
	for name, value := range l.Env {
		env[name] = value
	}
	for name, value := range set {
		env[name] = value
	}
	l.Env, p.Settings = env, set
}

func bit(on bool) string {
	if on {
		return "1"
	}
	return "0"
}

// workers is how many processes compute: each writes a trace of its own.
func workers(s lab.Server) int {
	n := 1
	if s.TensorParallelSize != nil {
		n = *s.TensorParallelSize
	}
	for key, value := range s.Args {
		switch strings.ReplaceAll(strings.TrimLeft(key, "-"), "_", "-") {
		case "pipeline-parallel-size", "data-parallel-size":
			if times, err := strconv.Atoi(scalar(value)); err == nil && times > 0 {
				n *= times
			}
		}
	}
	return max(1, n)
}
