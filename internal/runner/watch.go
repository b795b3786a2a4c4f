package runner

import (
	"context"
	"fmt"
	"time"

	"lab/gpu"
	"lab/internal/lab"
	"lab/loadgen"
	"lab/supervisor"
)

// watch ends the load when the server goes down, or when no token has come for the hang timeout while requests are in
// flight (a stopped engine answers /health with 200 for hours). It also shows the progress. The channel closes when
// it has ended.
func (j *job) watch(ctx context.Context, cancel context.CancelCauseFunc, server *supervisor.Server, progress *loadgen.Progress) <-chan struct{} {
	done := make(chan struct{})
	var down <-chan struct{}
	if server != nil {
		down = server.Down()
	}
	go func() {
		defer close(done)
		tick := time.NewTicker(250 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-down:
				cancel(&supervisor.DeathError{Failure: *server.Failure()})
				return
			case <-tick.C:
				if err := j.hang(j.status.progress(progress), server); err != nil {
					cancel(err)
					return
				}
			}
		}
	}()
	return done
}

// hang says whether the engine has stopped producing tokens.
func (j *job) hang(now loadgen.Snapshot, server *supervisor.Server) error {
	limit := time.Duration(j.run.Experiment.Server.HangTimeout)
	if limit == 0 || now.InFlight == 0 {
		return nil
	}
	last := max(now.LastToken, now.Busy, j.capture.excused()) // since then a live engine would have answered something
	silent := j.clock.Now() - last
	if silent < limit {
		return nil
	}
	detail := fmt.Sprintf("no token for %s while %d requests are in flight", silent.Round(time.Second), now.InFlight)
	if server == nil {
		j.event(lab.ServerHang, detail)
		return &supervisor.DeathError{Failure: lab.Failure{Class: lab.FailHang, Reason: detail}}
	}
	return &supervisor.DeathError{Failure: *server.Hung(detail)}
}

// readBaseline notes what is on the GPUs before the server starts, and how they are set up by now.
func (j *job) readBaseline(ctx context.Context) {
	if len(j.ready.host.GPUs) == 0 || j.run.Experiment.Attached() {
		return
	}
	if found, err := gpu.Probe(ctx, []string{j.lab.Self}, lab.Telemetry{}, ""); err == nil {
		j.before = found
		j.run.Host.GPUs, j.run.Host.Driver, j.run.Host.CUDA = found.Devices, found.Driver, found.CUDA
	}
}

// settle waits until the memory of the GPUs is back near its level before the run: the next server must not start
// into the leavings of this one.
func (j *job) settle(ctx context.Context) {
	if len(j.before.MemoryUsed) == 0 {
		return
	}
	const tolerance = 256 << 20 // the driver's own bookkeeping moves by some tens of MiB
	j.status.stage("waiting for GPU memory", 0)
	var held string
	for wait := time.Now().Add(30 * time.Second); time.Now().Before(wait); time.Sleep(time.Second) {
		found, err := gpu.Probe(ctx, []string{j.lab.Self}, lab.Telemetry{}, "")
		if err != nil {
			held = err.Error()
			continue
		}
		gpu.Settled(j.run.Server.GPUs, found)
		held = ""
		for uuid, used := range found.MemoryUsed {
			if before := j.before.MemoryUsed[uuid]; used > before+tolerance {
				held = fmt.Sprintf("%s holds %s more than before the run", uuid, lab.Bytes(used-before))
			}
		}
		if held == "" {
			return
		}
	}
	j.run.Findings = append(j.run.Findings, lab.Finding{Code: "gpu-memory-left", Level: lab.Warning,
		Detail: "30 s after the server stopped, " + held})
}
