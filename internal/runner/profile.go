package runner

import (
	"context"
	"fmt"
	"os"

	"lab/gpu"
	"lab/internal/box"
	"lab/internal/lab"
	"lab/profiling"
	"lab/supervisor"
)

// Profile makes one run with the server's profiler on. It is recorded like any other and never judged; what became of the
// window is in the run's Profile.
func (l *Lab) Profile(ctx context.Context, r Ready) (lab.Sealed, error) {
	return l.run(ctx, r, place{profiled: true, step: "profile"})
}

// ProfileArm makes the profiled run of one arm of an A/B, after the measured ones.
func (l *Lab) ProfileArm(ctx context.Context, plan lab.Plan, arm string, r Ready) (lab.Sealed, error) {
	runs, err := l.DB.PlanRuns(plan.ID)
	if err != nil {
		return lab.Sealed{}, fmt.Errorf("read plan: %w", err)
	}
	planned := planStatus(plan, runs)
	return l.run(ctx, r, place{plan: &plan, arm: arm, profiled: true, step: "profile " + arm, planned: &planned})
}

// toProfile is the experiment as it is profiled: its phases, and a window even where the file has none.
func (r Ready) toProfile() Ready {
	var w lab.ProfileWindow
	if r.Experiment.Profile != nil {
		w = *r.Experiment.Profile
	}
	w = w.WithDefaults()
	r.Experiment.Profile = &w
	return r
}

// roomForTraces refuses a window whose traces may not fit where they go, or where the server first writes them.
func (l *Lab) roomForTraces(r Ready) error {
	launch, err := supervisor.Prepare(r.Experiment.Server, r.install, r.flags, "lab", 1)
	if err != nil {
		return err
	}
	w := *r.Experiment.Profile
	_, setup, err := supervisor.WithProfiler(launch, r.Experiment.Server, r.flags, w, l.DB.Dir())
	if err != nil {
		return err
	}
	room := profiling.Room(w, setup.Workers)
	for _, dir := range []string{l.DB.Dir(), os.TempDir()} {
		free, err := gpu.DiskFree(dir)
		if err == nil && free < uint64(room)+box.NeededSpace {
			has, needs := lab.Apart(float64(free)/1e6, (float64(room)+box.NeededSpace)/1e6, 0)
			return obstacle("%d steps of %d worker(s) may write %.0f MB of traces, which with the records beside them needs %s MB, and %s has %s MB free: make room, lower profile.iterations, or set LAB_DIR (TMPDIR for the server's temporary files)",
				w.Iterations, setup.Workers, float64(room)/1e6, needs, dir, has)
		}
	}
	return nil
}

// prepareCapture tells the server where to write its traces: into the run's own folder, which is empty.
func (j *job) prepareCapture(launch supervisor.Launch) (supervisor.Launch, error) {
	e, dir := j.run.Experiment, j.lab.DB.RunDir(j.run.ID)
	launch, setup, err := supervisor.WithProfiler(launch, e.Server, j.ready.flags, *e.Profile, dir)
	if err != nil {
		return launch, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return launch, fmt.Errorf("make folder for traces: %w", err)
	}
	if j.capture, err = j.newCapture(setup, dir); err != nil {
		return launch, err
	}
	begun := *j.capture.record
	begun.Lost = "lab ended before the window did" // what a lab that is killed leaves in the record
	j.run.Profile = &begun
	return launch, nil
}

// tellCapture puts what became of the window into the run.
func (j *job) tellCapture(requests []lab.RequestRecord) {
	if j.capture == nil {
		return
	}
	p := j.capture.record
	p.Overhead = overhead(p, j.capture.until, requests)
	j.run.Profile = p
	f := lab.Finding{Code: "profiled", Level: lab.Note, Detail: "the profiler ran beside the load: the figures are of a slowed server and are never judged"}
	if p.Lost != "" {
		f = lab.Finding{Code: "profile-lost", Level: lab.Invalid, Detail: p.Lost}
	}
	if cut := underWay(requests); cut > 0 {
		f.Detail += fmt.Sprintf("; lab ended the load when the capture was over, %d requests were under way and count as errors", cut)
	}
	j.run.Findings = append(j.run.Findings, f)
}

// underWay counts the requests of the phases that the end of the load cut short.
func underWay(requests []lab.RequestRecord) int {
	n := 0
	for _, r := range requests {
		if r.Phase != lab.Warmup && r.Error == lab.ErrCanceled {
			n++
		}
	}
	return n
}
