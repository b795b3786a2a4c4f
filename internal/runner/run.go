package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"lab/gpu"
	"lab/internal/kit"
	"lab/internal/lab"
	"lab/internal/metric"
	"lab/loadgen"
	"lab/store"
	"lab/supervisor"
)

// place says where a run stands within an A/B or a sweep; the zero value is a run of its own.
type place struct {
	plan        *lab.Plan
	arm         string
	block, slot int
	try         int           // of the block
	step        string        // for the live view, as are the next three
	left        time.Duration // that the series needs from the run's begin
	planned     *lab.PlanStatus
	swept       *lab.SweepStatus
	burnIn      bool // starts and warms up, measures nothing
	profiled    bool // with the server's profiler on; never judged

	baseline *lab.Capture

	sweep *lab.SweepPlace
	on    *serving // made on this server, which runs already; nil: on one of its own
	keep  bool     // if all goes well the server is left running for the next run
}

// Run makes one run and returns it as it was sealed. A server that failed, an interrupt and numbers that must not be
// judged are all in the returned run, not in the error; the error says that the run could not be recorded.
func (l *Lab) Run(ctx context.Context, r Ready) (lab.Sealed, error) {
	return l.run(ctx, r, place{})
}

func (l *Lab) run(ctx context.Context, r Ready, at place) (lab.Sealed, error) {
	one, err := l.runOn(ctx, r, at)
	return one.Sealed, err
}

// made is a run that was made.
type made struct {
	lab.Sealed
	on *serving // the server that it has left running, where it has
	up bool     // it had a server to measure
}

func (l *Lab) runOn(ctx context.Context, r Ready, at place) (made, error) {
	if at.profiled {
		r = r.toProfile()
		if err := l.roomForTraces(r); err != nil {
			return made{on: at.on}, err
		}
	} else {
		r.Experiment.Profile = nil // a run of the same file without the block is a run of the same thing
	}
	j := &job{lab: l, ready: r, at: at}
	if err := j.begin(); err != nil {
		return made{on: at.on}, err
	}
	j.measure(ctx)
	sealed, err := j.seal()
	return made{sealed, j.serving, j.up}, errors.Join(j.fault, err)
}

// job is one run while it goes on.
type job struct {
	lab    *Lab
	ready  Ready
	at     place
	run    lab.Run
	clock  lab.Clock
	writer *store.Writer
	status status

	scratch string    // the server's folder for temporary files
	fault   error     // of lab or the machine, not of the server under test
	before  gpu.Found // what was on the GPUs before the start
	serving *serving  // the server, while it runs
	up      bool      // there was a server to measure
	capture *capture  // nil: not profiled

	strangers []lab.GPUUse // who else was seen on the GPUs under load
}

func (j *job) begin() error {
	epoch := lab.NewEpoch()
	j.clock = epoch.Clock()
	e := j.ready.Experiment
	j.run = lab.Run{
		ID: lab.NewID(epoch.Wall), Plan: j.at.plan, Arm: j.at.arm, Block: j.at.block, Try: j.at.try, Slot: j.at.slot, Sweep: j.at.sweep, Baseline: j.baseline(),
		Experiment: e, Key: e.Key(), Host: j.ready.present(), Epoch: epoch,
		Command: j.lab.Command, Lab: j.lab.Version, Outcome: lab.Live,
	}
	var err error
	if j.writer, err = j.lab.DB.Begin(j.run); err != nil {
		return fmt.Errorf("begin run: %w", err)
	}
	j.status.begin(j.lab, j.run, j.at, j.clock)
	return nil
}

// baseline is the one that a measured run belongs to.
func (j *job) baseline() *lab.Capture {
	if j.at.burnIn {
		return nil
	}
	return j.at.baseline
}

// measure starts the server, loads it and stops it; what became of it is in j.run.
func (j *job) measure(ctx context.Context) {
	target, server, err := j.serve(ctx)
	if j.up = err == nil; j.up {
		err = j.load(ctx, target, server)
		j.attribute(ctx, server)
	}
	if j.at.keep && err == nil && server != nil {
		j.leave(server)
	} else {
		if server != nil {
			j.stop(ctx, server)
		}
		j.capture.collect(j.up)
		os.RemoveAll(j.scratch)
		j.serving = nil
	}
	j.conclude(ctx, err)
}

// target is where the load goes.
type target struct {
	loadgen.Target
	pid int
}

// serve brings up the server of the experiment, or checks the one that already runs.
func (j *job) serve(ctx context.Context) (target, *supervisor.Server, error) {
	s := j.run.Experiment.Server
	if j.at.on != nil {
		return j.takeOver(j.at.on)
	}
	j.status.stage("starting", 0)
	j.readBaseline(ctx)
	if err := j.cool(ctx); err != nil {
		return target{}, nil, err
	}
	if j.run.Experiment.Attached() {
		facts, model, err := supervisor.Attach(ctx, j.lab.access(s, s.BaseURL), s.Model)
		if err != nil {
			return target{}, nil, &ObstacleError{err}
		}
		j.run.Server = facts
		return target{j.target(s.BaseURL, model), 0}, nil, nil
	}
	server, err := j.start(ctx)
	if err != nil {
		return target{}, server, err
	}
	told := j.tellStart(server)
	facts, err := server.WaitReady(ctx)
	told()
	j.keepFacts(facts)
	if err != nil {
		return target{}, server, err
	}
	return target{j.target(server.URL(), facts.ServedName), server.PID()}, server, nil
}

// target says where and how the load is sent. Unless the user chose ids, those of the requests name the run.
func (j *job) target(url, model string) loadgen.Target {
	id := j.lab.Manners.RequestID
	if id == "" {
		id = "lab-" + j.run.ID + "-"
	}
	a := j.lab.access(j.run.Experiment.Server, url)
	return loadgen.Target{URL: url, Model: model, APIKey: a.APIKey, Header: a.Header, Insecure: a.Insecure, RequestID: id}
}

func (j *job) start(ctx context.Context) (*supervisor.Server, error) {
	s := j.run.Experiment.Server
	port, err := supervisor.FreePort()
	if err != nil {
		return nil, err
	}
	launch, err := supervisor.Prepare(s, j.ready.install, j.ready.flags, "lab-"+j.run.ID, port)
	if err != nil {
		return nil, err
	}
	if j.at.profiled {
		if launch, err = j.prepareCapture(launch); err != nil {
			return nil, err
		}
	}
	launch.APIKey = j.lab.access(s, "").APIKey
	j.scratch, err = os.MkdirTemp("", "lab-") // short: vllm makes unix sockets below it, whose paths may have 107 bytes
	if err != nil {
		return nil, fmt.Errorf("make scratch folder: %w", err)
	}
	j.run.Server.Argv, j.run.Server.Inert = launch.Argv, launch.Inert
	j.writer.Update(j.run)
	j.serving = &serving{began: j.run.Epoch, scratch: j.scratch, before: j.before, job: j}
	return supervisor.Start(launch, supervisor.Options{
		Dir: j.scratch, StateDir: j.lab.StateDir, RunID: j.run.ID, Clock: j.clock,
		Log: j.serving.log, Event: j.serving.event,
		StartTimeout: time.Duration(s.StartTimeout), StopTimeout: time.Duration(s.StopTimeout),
	})
}

func (j *job) keepFacts(facts lab.ServerFacts) {
	j.run.Server = facts
	j.writer.Update(j.run)
}

// load samples the hardware and drives every phase; it ends early with the cause when the server goes down or hangs.
func (j *job) load(ctx context.Context, t target, server *supervisor.Server) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	progress := &loadgen.Progress{}
	watched := j.watch(ctx, cancel, server, progress)
	samples := j.sample(ctx, t)
	samples.waitFirst(ctx)
	j.capture.begin(ctx, cancel, t.URL)
	err := j.phases(ctx, t, progress)
	j.capture.finish()
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errCaptured):
		err = nil
	case cause != nil:
		err = cause // why the load was ended says more than what the load saw of it
	case progress.Snapshot().Errors > 0 && err == nil:
		err = j.alive(ctx, t, server)
	}
	cancel(nil)
	<-watched
	<-samples.ended
	return err
}

// dyingTime is how long the end of a server may take to show after it has failed its last request.
const dyingTime = time.Second

// alive says, of a server that failed requests, whether it lives on: the last of them may have failed before its end showed.
func (j *job) alive(ctx context.Context, t target, server *supervisor.Server) error {
	if server == nil { // nobody watches a server that is not lab's own
		return supervisor.Alive(ctx, j.lab.access(j.run.Experiment.Server, t.URL))
	}
	select {
	case <-server.Down():
		return &supervisor.DeathError{Failure: *server.Failure()}
	case <-time.After(dyingTime):
		return nil
	}
}

func (j *job) event(kind lab.EventKind, detail string) {
	j.writer.Event(lab.Event{At: j.clock.Now(), Kind: kind, Detail: detail})
	j.status.event(kind, detail)
}

// stop ends the server and waits for the GPU's memory to fall back; the user's interrupt does not shorten it.
func (j *job) stop(ctx context.Context, server *supervisor.Server) {
	j.status.stage("stopping", 0)
	stop := server.Stop(context.WithoutCancel(ctx))
	j.run.Server.Stop = &stop
	j.settle(context.WithoutCancel(ctx))
}

// conclude turns how the run went into its outcome.
func (j *job) conclude(ctx context.Context, err error) {
	var death *supervisor.DeathError
	switch {
	case err == nil:
		j.run.Outcome = lab.Complete
	case errors.As(err, &death):
		j.run.Outcome, j.run.Failure = lab.Failed, &death.Failure
	case ctx.Err() != nil:
		j.run.Outcome = lab.Interrupted
		j.event(lab.UserStop, context.Cause(ctx).Error())
	default:
		j.fault = err
		j.run.Outcome, j.run.Failure = lab.Failed, &lab.Failure{Class: lab.FailUnknown, Reason: err.Error()}
	}
	j.run.Ended = j.clock.Now()
}

// seal computes the run's numbers from what was recorded and closes it.
func (j *job) seal() (lab.Sealed, error) {
	j.status.stage("sealing", 0)
	tables, err := j.writer.Tables()
	if err != nil {
		j.writer.Close()
		return lab.Sealed{}, fmt.Errorf("read back run %s: %w", j.run.ID, err)
	}
	summary := metric.Summarise(j.run, tables)
	summary.VLLM = kit.Set(j.run, summary.Phases, tables.Requests)
	if !j.at.burnIn && !j.at.profiled && j.run.Outcome == lab.Complete {
		j.run.Findings = append(j.run.Findings, metric.Check(j.run, tables, summary)...)
	}
	j.tellCapture(tables.Requests)
	if j.run.Experiment.Attached() {
		j.run.Findings = append(j.run.Findings, lab.Finding{Code: "not-fresh", Level: lab.Note,
			Detail: "the server already ran: what it did before is not known"})
	}
	if err := j.writer.Seal(j.run, summary); err != nil {
		return lab.Sealed{}, err
	}
	j.status.end(j.run)
	return lab.Sealed{Run: j.run, Summary: summary}, nil
}
