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
		for _, f := range profile.Traces() {
			if trace, err := profiling.Read(ctx, filepath.Join(db.RunDir(id), f.Path)); err == nil { // that a trace is lost, its manifest says
				v.Traces = append(v.Traces, trace)
			} else if ctx.Err() != nil {
				return Document{}, err
			}
		}
	}
	return Run(v), nil
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
		base, err = db.ResolveBaseline(name)
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
	if gate.Profiles, err = profilesOf(ctx, db, plan.ID); err != nil {
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

// profilesOf are the profiled runs of an A/B; nil: it has none.
func profilesOf(ctx context.Context, db *store.DB, plan string) (*report.ArmProfiles, error) {
	entries, err := db.List()
	if err != nil {
		return nil, err
	}
	arms := &report.ArmProfiles{}
	traces := map[string][]*profiling.Summary{}
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
		traces[e.Arm] = nil // of a second one of the arm
		for _, f := range sealed.Run.Profile.Traces() {
			if trace, err := profiling.Read(ctx, filepath.Join(db.RunDir(e.ID), f.Path)); err == nil {
				traces[e.Arm] = append(traces[e.Arm], &trace)
			} else if ctx.Err() != nil {
				return nil, err
			}
		}
	}
	if arms.A == nil && arms.B == nil {
		return nil, nil
	}
	if len(traces["A"]) > 0 && len(traces["B"]) > 0 && arms.A.Profile.Lost == "" && arms.B.Profile.Lost == "" {
		diff := profiling.Diff(traces["A"], traces["B"])
		arms.Diff = &diff
	}
	return arms, nil
}
