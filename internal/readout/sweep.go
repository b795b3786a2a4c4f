package readout

import (
	"slices"

	"lab/internal/compare"
	"lab/internal/lab"
	"lab/internal/report"
	"lab/internal/runner"
	"lab/store"
)

// Sweep reads the cells of a sweep with the latest run of each repeat.
func Sweep(db *store.DB, sweep lab.Sweep) ([]report.SweptCell, error) {
	runs, err := (&runner.Lab{DB: db}).SweepRuns(sweep)
	if err != nil {
		return nil, err
	}
	cells := make([]report.SweptCell, len(runs))
	for i, of := range runs {
		cells[i] = report.SweptCell{Cell: sweep.Cells[i], Runs: of}
	}
	return cells, nil
}

// History takes every measured run of a baseline's configuration, from captures, checks and A/Bs.
func History(db *store.DB, was store.Baseline) (compare.History, error) {
	entries, err := db.List()
	if err != nil {
		return compare.History{}, err
	}
	var ids []string
	for _, e := range entries {
		if e.Key == was.Runs[0].Key && e.Outcome == lab.Complete && e.Valid && !e.Profiled && len(e.Headline) > 0 {
			ids = append(ids, e.ID)
		}
	}
	runs, err := db.SealedRuns(ids)
	if err != nil {
		return compare.History{}, err
	}
	first, err := db.Sealed(was.Runs[0].ID)
	if err != nil {
		return compare.History{}, err
	}
	captured := first.Run.Experiment
	runs = slices.DeleteFunc(runs, func(r lab.Sealed) bool { return !r.Run.Experiment.Alike(captured) })
	return compare.HistoryOf(captured, runs), nil
}
