package runner

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"lab/internal/lab"
	"lab/store"
)

// sweepOf has cells whose servers alternate, and an attached one at the end.
func sweepOf(repeats int) lab.Sweep {
	s := lab.Sweep{ID: "20261123-140512-k3f9", Name: "s", Seed: 1, Repeats: repeats}
	cell := func(name string, seqs int) {
		e := experiment(func(e *lab.Experiment) { e.Server.MaxNumSeqs = &seqs })
		s.Cells = append(s.Cells, lab.Cell{Name: name, Experiment: e})
	}
	cell("a8", 8)
	cell("a16", 16)
	cell("b8", 8)
	s.Cells = append(s.Cells, lab.Cell{Name: "url", Experiment: experiment(func(e *lab.Experiment) {
		e.Server = lab.Server{BaseURL: "http://127.0.0.1:1"}
		e.Phases[0].Load = lab.Load{Concurrency: 1, Requests: 9}
	})})
	return s
}

func record(t *testing.T, db *store.DB, s lab.Sweep, cell, repeat int, outcome lab.Outcome, change func(*lab.Experiment)) {
	t.Helper()
	e, at, epoch := s.Experiment(cell, repeat), s.Place(cell, repeat), lab.NewEpoch()
	if change != nil {
		change(&e)
	}
	run := lab.Run{ID: lab.NewID(epoch.Wall), Sweep: &at, Experiment: e, Key: e.Key(), Epoch: epoch, Outcome: lab.Live}
	w, err := db.Begin(run)
	if err != nil {
		t.Fatal(err)
	}
	run.Outcome, run.Ended = outcome, 7*time.Second
	if err := w.Seal(run, lab.Summary{}); err != nil {
		t.Fatal(err)
	}
}

func sweepLab(t *testing.T) *Lab {
	db, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return &Lab{DB: db}
}

func TestASweepTakesOneServerAfterTheOtherAndAllItsCellsBeforeTheNextRepeat(t *testing.T) {
	steps, err := sweepLab(t).SweepSteps(sweepOf(2))
	if err != nil {
		t.Fatal(err)
	}
	want := []SweepStep{
		{Cell: 0, Repeat: 1, Start: true}, {Cell: 2, Repeat: 1}, {Cell: 0, Repeat: 2}, {Cell: 2, Repeat: 2, last: true},
		{Cell: 1, Repeat: 1, Start: true}, {Cell: 1, Repeat: 2, last: true},
		{Cell: 3, Repeat: 1}, {Cell: 3, Repeat: 2, last: true},
	}
	if diff := cmp.Diff(want, steps, cmp.AllowUnexported(SweepStep{})); diff != "" {
		t.Error(diff)
	}
}

func TestOnlyARunThatCameToItsEndWithTodaysExperimentIsNotMadeAgain(t *testing.T) {
	l, s := sweepLab(t), sweepOf(1)
	record(t, l.DB, s, 0, 1, lab.Complete, nil)
	record(t, l.DB, s, 1, 1, lab.Interrupted, nil)
	record(t, l.DB, s, 2, 1, lab.Failed, nil)
	record(t, l.DB, s, 3, 1, lab.Complete, func(e *lab.Experiment) { e.Phases[0].Load.Requests++ })
	other := s
	other.ID = "20261123-140513-zzzz"
	record(t, l.DB, other, 1, 1, lab.Complete, nil)
	steps, err := l.SweepSteps(s)
	if err != nil {
		t.Fatal(err)
	}
	want := []SweepStep{{Cell: 0, Repeat: 1, Done: true}, {Cell: 2, Repeat: 1, Start: true}, {Cell: 1, Repeat: 1, Start: true}, {Cell: 3, Repeat: 1}}
	if diff := cmp.Diff(want, steps, cmpopts.IgnoreUnexported(SweepStep{})); diff != "" {
		t.Error(diff)
	}
	runs, err := l.SweepRuns(s)
	if err != nil || len(runs) != 4 || len(runs[2]) != 1 || runs[2][0].Run.Outcome != lab.Failed {
		t.Errorf("runs %v, %v", runs, err)
	}
}

func TestTheEstimateOfASweepUsesWhatTheBoxDidBefore(t *testing.T) {
	l, s := sweepLab(t), sweepOf(1)
	earlier := s
	earlier.ID = "20261122-140512-k3f9"
	record(t, l.DB, earlier, 0, 1, lab.Complete, nil) // took 7 s
	steps, err := l.SweepSteps(s)
	if err != nil {
		t.Fatal(err)
	}
	e, err := l.EstimateSweep(s, steps)
	// 240 requests at 4/s are a minute, a start is taken for two, a phase bounded by requests for two.
	want := []time.Duration{7 * time.Second, time.Minute, 3 * time.Minute, 2 * time.Minute}
	if diff := cmp.Diff(want, e.Each); err != nil || diff != "" || e.Runs != 4 || e.Starts != 2 || !strings.HasPrefix(e.Basis, "1 of 4 from earlier runs") {
		t.Errorf("estimate %+v, %v %s", e, err, diff)
	}
}
