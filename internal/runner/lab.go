package runner

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"

	"lab/gpu"
	"lab/internal/box"
	"lab/internal/dataset"
	"lab/internal/lab"
	"lab/store"
	"lab/supervisor"
)

// Lab is where runs are made: the store they go to and the machine they happen on.
type Lab struct {
	DB       *store.DB
	Self     string // path of this binary, which also plays the sampler and the simulator
	Path     string // PATH, where vllm is looked for
	CacheDir string // of vllm's help texts
	StateDir string // of running servers, for `lab gc`
	LockDir  string // see box.Acquire
	Getenv   func(string) string
	Command  string           // what the user typed
	Version  string           // of lab
	Manners  Manners          // towards servers that already run
	Waiting  func(error)      // told once that the box is being measured; nil: do not wait for it
	Notice   func(string)     // told what was done on the side, such as a server of a killed lab that was ended; nil: nobody is
	Status   func(lab.Status) // never nil; called a few times a second
}

// Ready is an experiment that has been checked against this machine and may start.
type Ready struct {
	Experiment lab.Experiment
	install    supervisor.Installation
	flags      supervisor.Flags
	vocab      int
	tokenizer  dataset.Tokenizer // nil: the data sets need none, or it is not on this machine
	host       lab.Host
	found      gpu.Found
}

// Manners are how a server that already runs is asked beyond what the experiment says: what is no part of an experiment,
// or must not be stored.
type Manners struct {
	Header    http.Header // sent with every request
	Insecure  bool        // the server's certificate is not checked
	RequestID string      // prefix of X-Request-Id; empty: made from the run's ID
	Profile   bool        // the server's profiler runs while the load does
}

// access is how the server of an experiment is reached once it runs at url.
func (l *Lab) access(s lab.Server, url string) supervisor.Access {
	a := supervisor.Access{URL: url}
	if s.APIKeyEnv != "" {
		a.APIKey = l.Getenv(s.APIKeyEnv)
	}
	if s.BaseURL != "" {
		a.Header, a.Insecure = l.Manners.Header, l.Manners.Insecure
	}
	return a
}

// ObstacleError is something on this machine that must be mended before anything can be measured.
type ObstacleError struct{ Err error }

func (e *ObstacleError) Error() string { return e.Err.Error() }
func (e *ObstacleError) Unwrap() error { return e.Err }

func obstacle(format string, args ...any) error {
	return &ObstacleError{fmt.Errorf(format, args...)}
}

// Prepare checks an experiment against the machine without starting anything: vllm is there and accepts every flag,
// files are there, the disk has room, a GPU is there if asked for. What the installed vllm refuses is a lab.Faults.
func (l *Lab) Prepare(ctx context.Context, e lab.Experiment) (Ready, error) {
	r := Ready{Experiment: e}
	if name := e.Server.APIKeyEnv; name != "" && l.Getenv(name) == "" {
		return r, obstacle("server.api_key_env names %s, which is not set", name)
	}
	if err := l.checkPrompts(ctx, &r); err != nil {
		return r, err
	}
	if name := e.Telemetry.Replay; name != "" {
		if _, err := os.Stat(name); err != nil {
			return r, obstacle("open the telemetry trace: %w", err)
		}
	}
	if free, err := gpu.DiskFree(l.DB.Dir()); err == nil && free < box.NeededSpace {
		return r, obstacle("only %d MiB free under %s: make room, or set LAB_DIR", free>>20, l.DB.Dir())
	}
	if !e.Attached() {
		if err := l.askVLLM(ctx, &r); err != nil {
			return r, err
		}
	}
	return r, l.askMachine(ctx, &r)
}

// askVLLM finds the server's program and has it judge the flags: a whole start-up is not spent on a misspelt one.
func (l *Lab) askVLLM(ctx context.Context, r *Ready) error {
	var err error
	var missing *supervisor.NotFoundError
	r.install, err = supervisor.Find(ctx, r.Experiment.Server, l.Self, l.Path)
	if errors.As(err, &missing) {
		return &ObstacleError{err}
	}
	if err != nil {
		return fmt.Errorf("find vllm: %w", err)
	}
	if r.flags, err = r.install.Flags(ctx, l.CacheDir); err != nil {
		return obstacle("ask %s for its flags: %w", r.install.Path, err)
	}
	// Prepared again with the true name and port when the server starts; here only for what it refuses.
	if _, err = supervisor.Prepare(r.Experiment.Server, r.install, r.flags, "lab", 1); err != nil || r.Experiment.Profile == nil {
		return err
	}
	return l.roomForTraces(*r)
}

// askMachine reads the fingerprint of the machine and finds its GPUs; none is normal unless the file asks for one.
func (l *Lab) askMachine(ctx context.Context, r *Ready) error {
	e := r.Experiment
	host, err := gpu.Host()
	if err != nil {
		return fmt.Errorf("read host facts: %w", err)
	}
	if e.Server.Simulator == nil { // also where nothing is to be sampled: the lock is on the GPUs
		if r.found, err = gpu.Probe(ctx, []string{l.Self}, lab.Telemetry{}, ""); err != nil {
			r.found.Note = err.Error()
		}
		host.GPUs, host.Driver, host.CUDA = r.found.Devices, r.found.Driver, r.found.CUDA
	}
	r.host = host
	if e.Telemetry.Require && e.Server.Simulator == nil && len(host.GPUs) == 0 {
		return obstacle("telemetry.require asks for a GPU and there is none (%s)", r.found.Note)
	}
	return nil
}

// present is the fingerprint of the machine at this moment: it may have changed since the experiment was prepared. The
// GPUs are those of then; the run asks for them anew before it starts its server.
func (r Ready) present() lab.Host {
	now, err := gpu.Host()
	if err != nil {
		return r.host
	}
	now.GPUs, now.Driver, now.CUDA = r.host.GPUs, r.host.Driver, r.host.CUDA
	return now
}

// Lock takes the box for measuring: the GPUs that any of the experiments may use, or the host where there is none. Then
// it ends the servers that a killed lab left running: they would be measured too.
func (l *Lab) Lock(ctx context.Context, experiments ...Ready) (*box.Lock, error) {
	var devices []string
	for _, r := range experiments {
		devices = append(devices, r.devices()...)
	}
	slices.Sort(devices) // the same order in every process, so that two of them cannot hold each other up
	lock, err := box.Acquire(ctx, l.LockDir, slices.Compact(devices), l.Command, l.Waiting)
	var busy *box.BusyError
	if errors.As(err, &busy) {
		return nil, &ObstacleError{err}
	}
	if err != nil {
		return nil, err
	}
	if err := l.endOrphans(ctx); err != nil {
		lock.Release()
		return nil, err
	}
	return lock, nil
}

func (l *Lab) endOrphans(ctx context.Context) error {
	orphans, err := supervisor.Orphans(l.StateDir)
	if err != nil {
		return fmt.Errorf("look for servers that were left behind: %w", err)
	}
	for _, o := range orphans {
		if err := o.Clean(ctx); err != nil {
			return obstacle("end %s, which a killed lab left: %w", o, err)
		}
		if l.Notice != nil {
			l.Notice("ended what a killed lab left: " + o.String())
		}
	}
	return nil
}

// devices are what an experiment measures on: the GPUs that it names, all of them where it names none that is there,
// the host where there is no GPU.
func (r Ready) devices() []string {
	var named, all []string
	for _, d := range r.host.GPUs {
		all = append(all, d.UUID)
		if list := r.Experiment.Server.GPUs; slices.Contains(list, strconv.Itoa(d.Index)) || slices.Contains(list, d.UUID) {
			named = append(named, d.UUID)
		}
	}
	switch {
	case len(named) > 0:
		return named
	case len(all) > 0:
		return all
	}
	return []string{"host"}
}
