package sim

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// profiler plays /start_profile and /stop_profile.
type profiler struct {
	dir     string
	mu      sync.Mutex
	since   time.Time // zero: not running
	prefix  string
	started int // step count at the start
}

func (s *server) startProfile(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Prefix string `json:"profile_prefix"`
	}
	text, err := io.ReadAll(io.LimitReader(r.Body, bodyLimit))
	if err == nil && len(text) > 0 {
		err = json.Unmarshal(text, &body)
	}
	if err != nil {
		s.fail(w, problem{400, "Bad Request", "1 validation error:\n  " + err.Error(), "body"})
		return
	}
	p := &s.profiler
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.since.IsZero() {
		if s.t.minor >= 18 {
			s.fail(w, problem{409, "Conflict", "A profiling session is already active. Call /stop_profile before starting another session.", nil})
		}
		return // older versions take a second start and go on
	}
	p.since, p.prefix = time.Now(), body.Prefix
	s.loop.lock(func() { p.started = s.loop.engine.steps })
}

func (s *server) stopProfile(w http.ResponseWriter, _ *http.Request) {
	p := &s.profiler
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.since.IsZero() {
		if s.t.minor >= 13 && s.t.minor <= 17 {
			http.Error(w, "Internal Server Error", 500)
		}
		return
	}
	steps := 0
	s.loop.lock(func() { steps = s.loop.engine.steps - p.started })
	err := p.write(s.t, steps, time.Now())
	p.since = time.Time{}
	if err != nil {
		http.Error(w, "Internal Server Error", 500)
	}
}

// write leaves a trace of the session: one event, with the number of steps.
func (p *profiler) write(t traits, steps int, now time.Time) error {
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("name trace: %w", err)
	}
	name := fmt.Sprintf("rank0.%d.pt.trace.json.gz", now.UnixNano())
	switch {
	case t.minor < 13:
		name = fmt.Sprintf("%s_%d.%d.pt.trace.json.gz", host, os.Getpid(), now.UnixNano())
	case t.minor < 18:
		name = fmt.Sprintf("%d-rank-0.%d.pt.trace.json.gz", p.since.UnixNano(), now.UnixNano())
	case p.prefix != "":
		name = filepath.Base(p.prefix) + "_" + name
	}
	if err := os.MkdirAll(p.dir, 0o755); err != nil {
		return fmt.Errorf("write trace: %w", err)
	}
	path := filepath.Join(p.dir, name)
	text, err := marshal(object{
		"schemaVersion", 1, "deviceProperties", []any{}, "vllm_version", t.version, "host_name", host, "displayTimeUnit", "ms",
		"baseTimeNanoseconds", 0, "traceEvents", []any{object{
			"ph", "X", "cat", "user_annotation", "name", "lab sim", "pid", os.Getpid(), "tid", os.Getpid(),
			"ts", p.since.UnixMicro(), "dur", now.Sub(p.since).Microseconds(), "args", object{"steps", steps},
		}}, "traceName", path,
	})
	if err != nil {
		return fmt.Errorf("write trace: %w", err)
	}
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write trace: %w", err)
	}
	z := gzip.NewWriter(f)
	_, err = z.Write(text)
	for _, close := range []func() error{z.Close, f.Close} {
		if closed := close(); err == nil {
			err = closed
		}
	}
	if err != nil {
		return fmt.Errorf("write trace: %w", err)
	}
	return nil
}
