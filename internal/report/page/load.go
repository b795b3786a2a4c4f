package page

import (
	"context"
	"encoding/json"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"lab/internal/compare"
	"lab/internal/correlate"
	"lab/internal/lab"
	"lab/internal/readout"
	"lab/internal/report"
	"lab/profiling"
	"lab/store"
)

// Asked says how a page is to be made.
type Asked struct {
	Lang     string // "en" or "zh"
	Lab      string // version of this program
	Baseline string // of a run: the baseline whose runs its figures are set beside; "": the last one of the same load on the same machine

	// MostTraces is how large the files of traces may be, together, to be read: a page that would need more is made without and
	// says so (Document.Unread). 0: all are read.
	MostTraces lab.Bytes
}

// readable says whether traces of a size are to be read.
func (a Asked) readable(size lab.Bytes) bool { return a.MostTraces == 0 || size <= a.MostTraces }

// sizeOf is that of trace files together.
func sizeOf(files []lab.TraceFile) (size lab.Bytes) {
	for _, f := range files {
		size += f.Size
	}
	return size
}

// LoadRun makes the page of a run of the store.
func LoadRun(ctx context.Context, db *store.DB, id string, asked Asked) (Document, error) {
	sealed, err := readout.Run(db, id)
	if err != nil {
		return Document{}, err
	}
	tables, err := db.Tables(id)
	if err != nil {
		return Document{}, err
	}
	v := RunView{Lang: asked.Lang, Lab: asked.Lab, Sealed: sealed, Tables: tables}
	v.compute()
	if v.Against, err = against(db, sealed, asked.Baseline); err != nil {
		return Document{}, err
	}
	if profile := sealed.Run.Profile; profile != nil {
		if size := sizeOf(profile.Traces()); !asked.readable(size) {
			v.Unread = size
		} else if v.Traces, err = readTraces(ctx, db, sealed.Run); err != nil {
			return Document{}, err
		}
	}
	return Run(v), nil
}

// readTraces sums up the traces of a run. That one is lost, its manifest says.
func readTraces(ctx context.Context, db *store.DB, run lab.Run) ([]profiling.Summary, error) {
	var all []profiling.Summary
	for _, f := range run.Profile.Traces() {
		trace, err := profiling.Read(ctx, filepath.Join(db.RunDir(run.ID), f.Path))
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err == nil {
			all = append(all, trace)
		}
	}
	return all, nil
}

// compute does what is computed of the records. Both take a second where there are many, and do not need each other.
func (v *RunView) compute() {
	var both sync.WaitGroup
	both.Go(func() { v.Hardware = correlate.Explain(v.Sealed.Run, v.Tables) })
	both.Go(func() { v.Timeline = correlate.Over(v.Sealed.Run, v.Tables) })
	both.Wait()
}

// against sets a run beside the stored runs of a baseline.
func against(db *store.DB, now lab.Sealed, name string) (*lab.Verdict, error) {
	var base store.Baseline
	var err error
	if name != "" {
		base, _, err = db.Standing(name)
	} else {
		base, err = usualBaseline(db, now.Run)
	}
	if err != nil || now.Run.Outcome != lab.Complete || now.Run.Profile != nil {
		return nil, err
	}
	ids := slices.DeleteFunc(base.Valid(), func(id string) bool { return id == now.Run.ID })
	if len(ids) == 0 || len(ids) < len(base.Valid()) && name == "" { // it is one of them
		return nil, nil
	}
	stored, err := db.SealedRuns(ids)
	if err != nil {
		return nil, err
	}
	v := compare.Against(base.Name, stored, []lab.Sealed{now})
	return &v, nil
}

// usualBaseline is the last whole one that was taken before a run, with the same load on a machine of the same name.
func usualBaseline(db *store.DB, run lab.Run) (store.Baseline, error) {
	all, err := db.Baselines()
	if err != nil {
		return store.Baseline{}, err
	}
	for _, b := range slices.Backward(all) {
		if !b.Whole() || b.ID > run.ID || len(b.Runs) == 0 {
			continue
		}
		first, err := db.Sealed(b.Runs[0].ID)
		if err == nil && first.Run.Host.Name == run.Host.Name && sameLoad(first.Run.Experiment, run.Experiment) {
			return b, nil
		}
	}
	return store.Baseline{}, nil
}

func sameLoad(a, b lab.Experiment) bool {
	one, errA := json.Marshal(a.Phases)
	other, errB := json.Marshal(b.Phases)
	return errA == nil && errB == nil && string(one) == string(other) && a.Server.Model == b.Server.Model
}

// LoadAB makes the page of an A/B of the store. The pair that is shown over time is the one nearest to the verdict.
func LoadAB(ctx context.Context, db *store.DB, plan lab.Plan, asked Asked) (Document, error) {
	gate, err := readout.Verdict(db, plan, nil)
	if err != nil {
		return Document{}, err
	}
	if gate.Profiles, err = profilesOf(ctx, db, plan.ID, asked); err != nil {
		return Document{}, err
	}
	runs, err := db.PlanRuns(plan.ID)
	if err != nil {
		return Document{}, err
	}
	v := ABView{Lang: asked.Lang, Lab: asked.Lab, Gate: gate}
	a, b, shown := TypicalPair(gate.Verdict, runs)
	for _, ref := range gate.Verdict.Runs {
		i := slices.IndexFunc(runs, func(s lab.Sealed) bool { return s.Run.ID == ref.ID })
		if i < 0 {
			continue
		}
		run := ABRun{Ref: ref, Sealed: runs[i]}
		if ref.Judged {
			tables, err := db.Tables(ref.ID)
			if err != nil {
				return Document{}, err
			}
			hardware := correlate.Explain(runs[i].Run, tables)
			run.Hardware, run.Values = &hardware, Latencies(tables.Requests, plan.Phase)
			if shown && (ref.ID == a || ref.ID == b) {
				v.Pair = append(v.Pair, Side{Arm: ref.Arm, Sealed: runs[i], Tables: tables, Timeline: correlate.Over(runs[i].Run, tables), Hardware: hardware})
			}
		}
		v.Runs = append(v.Runs, run)
	}
	alikeWindows(v.Pair)
	return AB(v), nil
}

// alikeWindows lays the runs of a pair out in windows of one length: longer ones smooth more.
func alikeWindows(pair []Side) {
	longest := time.Duration(0)
	for _, s := range pair {
		longest = max(longest, s.Timeline.Window)
	}
	for i, s := range pair {
		if s.Timeline.Window != longest {
			pair[i].Timeline = correlate.OverBy(s.Sealed.Run, s.Tables, longest)
		}
	}
}

// profilesOf are the profiled runs of an A/B, of each arm the last; nil: it has none.
func profilesOf(ctx context.Context, db *store.DB, plan string, asked Asked) (*report.ArmProfiles, error) {
	entries, err := db.List()
	if err != nil {
		return nil, err
	}
	arms := &report.ArmProfiles{}
	for _, e := range entries {
		if e.PlanID != plan || !e.Profiled {
			continue
		}
		sealed, err := db.Sealed(e.ID)
		if err != nil {
			return nil, err
		}
		if e.Arm == "A" {
			arms.A = &sealed.Run
		} else {
			arms.B = &sealed.Run
		}
	}
	if arms.A == nil && arms.B == nil {
		return nil, nil
	}
	if arms.A == nil || arms.B == nil || arms.A.Profile.Lost != "" || arms.B.Profile.Lost != "" {
		return arms, nil
	}
	if size := sizeOf(arms.A.Profile.Traces()) + sizeOf(arms.B.Profile.Traces()); !asked.readable(size) {
		arms.Unread = size
		return arms, nil
	}
	arms.Diff, err = diffOf(ctx, db, *arms.A, *arms.B)
	return arms, err
}

// diffOf compares the traces of two runs; nil: one has none that can be read.
func diffOf(ctx context.Context, db *store.DB, a, b lab.Run) (*profiling.Difference, error) {
	var sides [2][]*profiling.Summary
	for i, run := range []lab.Run{a, b} {
		traces, err := readTraces(ctx, db, run)
		if err != nil || len(traces) == 0 {
			return nil, err
		}
		for _, t := range traces {
			sides[i] = append(sides[i], &t)
		}
	}
	diff := profiling.Diff(sides[0], sides[1])
	return &diff, nil
}
