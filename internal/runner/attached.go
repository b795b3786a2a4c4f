package runner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lab/internal/lab"
	"lab/supervisor"
)

// readyPoll is how often a server that does not answer yet is asked again, as `vllm bench serve` does.
const readyPoll = 5 * time.Second

// AwaitServer waits until the running server of an experiment completes a token, for as long as limit.
func (l *Lab) AwaitServer(ctx context.Context, s lab.Server, limit time.Duration) error {
	end := time.Now().Add(limit)
	for {
		_, _, err := supervisor.Attach(ctx, l.access(s, s.BaseURL), s.Model)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case time.Now().After(end):
			return obstacle("the server was not ready within %s: %w", limit, err)
		}
		select {
		case <-time.After(min(readyPoll, time.Until(end)+time.Millisecond)):
		case <-ctx.Done():
		}
	}
}

// profiled runs the load under the server's own profiler where that was asked for, as vllm bench serve does: without the
// warm-up. The profiler is stopped however the load ends; what it wrote lies where the server was told to put it.
func (j *job) profiled(ctx context.Context, t target, load func() error) error {
	if !j.lab.Manners.Profile {
		return load()
	}
	access := j.lab.access(j.run.Experiment.Server, t.URL)
	ask := func(ctx context.Context, start bool) (*lab.ProfileReply, error) {
		asked := j.clock.Now()
		answer := supervisor.AskProfiler(ctx, access, start)
		return reply(asked, j.clock.Now(), answer), answer.Problem()
	}
	record := &lab.Profile{Mechanism: lab.ProfileByServer, Settings: map[string]string{}, Bound: "lab", Condition: "warm", Files: []lab.TraceFile{}}
	j.run.Profile = record
	var err error
	if record.Start, err = ask(ctx, true); errors.Is(err, supervisor.ErrNoProfiler) {
		return &ObstacleError{err}
	} else if err != nil {
		return fmt.Errorf("start the profiler: %w", err)
	}
	j.run.Findings = append(j.run.Findings, lab.Finding{Code: "profiled", Level: lab.Warning,
		Detail: "the server's profiler ran beside the load and slowed it: use the trace, not the figures"})
	failed := load()
	j.status.stage("writing traces", 0)
	if record.Stop, err = ask(context.WithoutCancel(ctx), false); err != nil {
		return errors.Join(failed, fmt.Errorf("stop the profiler: %w", err))
	}
	return failed
}
