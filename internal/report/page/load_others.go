package page

import (
	"fmt"

	"lab/internal/compare"
	"lab/internal/lab"
	"lab/internal/readout"
	"lab/internal/report"
	"lab/internal/runner"
	"lab/store"
)

// LoadSweep makes the page of a sweep of the store.
func LoadSweep(db *store.DB, sweep lab.Sweep, asked Asked) (Document, error) {
	cells, err := readout.Sweep(db, sweep)
	if err != nil {
		return Document{}, err
	}
	return Sweep(SweepView{Lang: asked.Lang, Lab: asked.Lab, Sweep: sweep, Cells: cells}), nil
}

// LoadBaseline makes the page of the baseline of a capture's name: with the history of its configuration, and the checks
// against it. One without a valid run is a [runner.AskError].
func LoadBaseline(db *store.DB, was store.Baseline, asked Asked) (Document, error) {
	v := BaselineView{Lang: asked.Lang, Lab: asked.Lab}
	captures, err := db.Baselines()
	if err != nil {
		return Document{}, err
	}
	for _, c := range captures {
		if c.Name == was.Name {
			v.Captures = append(v.Captures, c)
		}
	}
	was, _ = store.Standing(v.Captures, was.Name)
	if v.Runs, err = db.SealedRuns(was.Valid()); err != nil {
		return Document{}, err
	}
	if len(v.Runs) == 0 && was.Going {
		return Document{}, &runner.AskError{Problem: fmt.Sprintf("baseline %s is made right now, and has no run yet", was.Name)}
	}
	if len(v.Runs) == 0 {
		return Document{}, &runner.AskError{Problem: fmt.Sprintf("baseline %s has no valid run: lab baseline set %s --resume makes them", was.Name, was.Name)}
	}
	if v.History, err = readout.History(db, was); err != nil {
		return Document{}, err
	}
	v.Checks, err = checksOf(db, was.Name)
	return Baseline(v), err
}

// checksOf are the checks that were made in turn with a baseline. Those with its stored numbers are kept nowhere.
func checksOf(db *store.DB, name string) ([]report.Gate, error) {
	plans, err := db.Plans()
	if err != nil {
		return nil, err
	}
	var checks []report.Gate
	for _, plan := range plans {
		if plan.Baseline != name {
			continue
		}
		runs, err := db.PlanRuns(plan.ID)
		if err != nil {
			return nil, err
		}
		checks = append(checks, report.Gate{Verdict: compare.Judge(plan, runs), Rulings: compare.Rules(plan, runs, []compare.Rule{compare.Harm(plan)})})
	}
	return checks, nil
}
