package runner

import (
	"context"
	"fmt"
	"hash/fnv"

	"lab/internal/lab"
	"lab/loadgen"
)

// pool keeps the prompts of each phase, and of each phase's warm-up, apart from all others that the server has seen. On
// a fresh server they are the same in every run; on one that already ran they follow from the run's ID, except for data
// sets whose order vLLM's rules fix.
func (j *job) pool(phase int) uint64 {
	pool := uint64(2 * phase)
	d := j.run.Experiment.Phases[phase].Load.Dataset
	if j.run.Experiment.Attached() && !d.Sampled() {
		h := fnv.New64a()
		h.Write([]byte(j.run.ID))
		pool += h.Sum64() % (1 << 20) << 4
	}
	return pool
}

func (j *job) phases(ctx context.Context, t target, progress *loadgen.Progress) error {
	for i, p := range j.run.Experiment.Phases {
		o := loadgen.Options{
			Target: t.Target, Phase: p, Clock: j.clock,
			Record: j.keep, Sample: j.ownSample, Progress: progress,
		}
		j.status.phase(p, "warm-up", progress)
		if err := j.warm(ctx, o, j.pool(i)+1); err != nil {
			return fmt.Errorf("warm up for phase %s: %w", p.Name, err)
		}
		if j.at.burnIn {
			continue
		}
		if p.Judged {
			j.capture.warmed()
		}
		j.status.phase(p, "load", progress)
		err := j.profiled(ctx, t, func() error { return j.drive(ctx, o, j.pool(i)) })
		j.status.progress(progress)
		if err != nil {
			return fmt.Errorf("run phase %s: %w", p.Name, err)
		}
	}
	return nil
}

// keep records a request that has ended.
func (j *job) keep(r lab.RequestRecord) {
	j.writer.Request(r)
	j.status.request(r)
	if r.Phase != lab.Warmup {
		j.capture.took(r)
	}
}

// ownSample records what the client measured of itself.
func (j *job) ownSample(s lab.Sample) {
	j.writer.Sample(s)
	j.status.sample(s)
}

// warm sends a phase's warm-up, with prompts of a pool that the phase does not use.
func (j *job) warm(ctx context.Context, o loadgen.Options, pool uint64) error {
	if o.Phase.Load.Warmup == 0 {
		return nil
	}
	if err := j.prompts(ctx, &o, pool, o.Phase.Load.Warmup); err != nil {
		return err
	}
	o.Target.RequestID += "warmup-"
	return loadgen.Warm(ctx, o)
}

// drive sends a phase and writes down when it began and ended.
func (j *job) drive(ctx context.Context, o loadgen.Options, pool uint64) error {
	if err := j.prompts(ctx, &o, pool, 0); err != nil {
		return err
	}
	if len(j.run.Experiment.Phases) > 1 {
		o.Target.RequestID += o.Phase.Name + "-"
	}
	report, err := loadgen.Run(ctx, o)
	if report.Start > 0 { // written down afterwards, because only the load knows when its schedule began
		j.writer.Event(lab.Event{At: report.Start, Kind: lab.LoadStart, Detail: o.Phase.Name})
		j.writer.Event(lab.Event{At: report.End, Kind: lab.LoadEnd, Detail: o.Phase.Name})
	}
	if report.Repeated > 0 {
		j.run.Findings = append(j.run.Findings, lab.Finding{Code: "repeated-prompts", Level: lab.Warning,
			Detail: fmt.Sprintf("phase %s: the data set is shorter than the load: %d of %d requests repeated a prompt, which the prefix cache may have known", o.Phase.Name, report.Repeated, report.Offered)})
	}
	return err
}
