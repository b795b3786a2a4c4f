package runner

import (
	"context"
	"sync"
	"time"

	"lab/gpu"
	"lab/internal/lab"
)

// sampling is a sampler that runs.
type sampling struct{ began, ended chan struct{} }

// waitFirst waits until the sampler has read something: a process that starts takes a core for some milliseconds, which the
// first requests would have to wait for. A sampler in trouble holds nothing up.
func (s sampling) waitFirst(ctx context.Context) {
	const limit = 500 * time.Millisecond
	select {
	case <-s.began:
	case <-s.ended:
	case <-ctx.Done():
	case <-time.After(limit):
	}
}

// sample runs the sampler beside the load, until ctx ends.
func (j *job) sample(ctx context.Context, t target) sampling {
	s := sampling{began: make(chan struct{}), ended: make(chan struct{})}
	e := j.run.Experiment
	if e.Telemetry.Off || j.at.burnIn {
		close(s.ended)
		return s
	}
	cfg := gpu.Config{
		Epoch: j.run.Epoch, Telemetry: e.Telemetry, GPUs: e.Server.GPUs,
		ServerPID: t.pid, EngineURL: t.URL, NVMLLib: j.lab.Getenv("LAB_NVML_LIB"),
	}
	if e.Server.Simulator != nil {
		cfg.SimURL = t.URL
	}
	look, wait := j.nameStrangers(ctx, t.pid)
	began := sync.OnceFunc(func() { close(s.began) })
	go func() {
		defer close(s.ended)
		defer wait()
		keep := func(s lab.Sample) {
			j.writer.Sample(s)
			j.status.sample(s)
			look(s)
			began()
		}
		gpu.Watch(ctx, []string{j.lab.Self}, cfg, keep, j.event) // what was lost is an event
	}()
	return s
}
