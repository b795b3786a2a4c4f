package runner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"lab/internal/lab"
	"lab/store"
	"lab/supervisor"
)

// SweepStep is one run of a sweep.
type SweepStep struct {
	Cell, Repeat int  // Repeat counts from 1
	Done         bool // it has been made already
	Start        bool // a server is started for it
	last         bool // no other run to be made follows on this server
}

// SweepSteps gives the runs of a sweep in the order in which they are made: one server after the other, and on each all
// its cells once, then all again for the next repeat, so that what drifts does not look like a difference of cells. A run
// is done when it has come to its end, valid or not, with the experiment that the sweep asks for today.
func (l *Lab) SweepSteps(s lab.Sweep) ([]SweepStep, error) {
	entries, err := l.DB.SweepDone(s.ID)
	if err != nil {
		return nil, fmt.Errorf("read sweep %s: %w", s.ID, err)
	}
	done := map[lab.SweepPlace]string{}
	for _, e := range entries {
		done[*e.Sweep] = e.Key
	}
	var steps []SweepStep
	for _, cells := range byServer(s) {
		previous := -1 // step to be made on the same server
		for repeat := 1; repeat <= s.Repeats; repeat++ {
			for _, cell := range cells {
				step := SweepStep{Cell: cell, Repeat: repeat}
				e := s.Experiment(cell, repeat)
				if key, made := done[s.Place(cell, repeat)]; made && key == e.Key() {
					step.Done = true
				} else {
					step.Start, step.last = previous < 0 && !e.Attached(), true
					if previous >= 0 {
						steps[previous].last = false
					}
					previous = len(steps)
				}
				steps = append(steps, step)
			}
		}
	}
	return steps, nil
}

// byServer groups the cells that one server can serve, in the order in which the servers first appear.
func byServer(s lab.Sweep) [][]int {
	var groups [][]int
	at := map[string]int{}
	for i, c := range s.Cells {
		key := c.Experiment.Server.Key()
		group, known := at[key]
		if !known {
			group = len(groups)
			at[key] = group
			groups = append(groups, nil)
		}
		groups[group] = append(groups[group], i)
	}
	return groups
}

// CellError is what stands in the way of one cell of a sweep before anything is started.
type CellError struct {
	Cell int
	Name string
	Err  error
}

func (e *CellError) Error() string { return "cell " + e.Name + ": " + e.Err.Error() }
func (e *CellError) Unwrap() error { return e.Err }

// PrepareSweep checks the cells that are still to be made, as Prepare does; each server is asked once. The result is by
// the number of the cell.
func (l *Lab) PrepareSweep(ctx context.Context, s lab.Sweep, steps []SweepStep) (map[int]Ready, error) {
	ready := map[int]Ready{}
	servers := map[string]Ready{}
	for _, step := range steps {
		if _, known := ready[step.Cell]; known || step.Done {
			continue
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		c := s.Cells[step.Cell]
		if err := settled(c.Experiment); err != nil {
			return nil, &CellError{step.Cell, c.Name, err}
		}
		r, known := servers[c.Experiment.Server.Key()]
		var err error
		if known {
			r.Experiment, r.tokenizer = c.Experiment, nil
			err = l.checkPrompts(ctx, &r)
		} else if r, err = l.Prepare(ctx, c.Experiment); err == nil {
			servers[c.Experiment.Server.Key()] = r
		}
		if err != nil {
			return nil, &CellError{step.Cell, c.Name, err}
		}
		ready[step.Cell] = r
	}
	return ready, nil
}

// settled refuses loads whose rate is still to be found: the cells of a sweep are compared at the loads that it names.
func settled(e lab.Experiment) error {
	for i, p := range e.Phases {
		if p.Load.Unsettled() {
			path := "load.capacity_share"
			if len(e.Phases) > 1 {
				path = fmt.Sprintf("load[%d].capacity_share", i)
			}
			return lab.Faults{{Path: path, Problem: "a sweep needs rates: it is for lab run, lab ab and lab baseline"}}
		}
	}
	return nil
}

// Sweep makes the steps that are not done. A cell whose server fails does not keep the others from being measured, unless
// already the first one meets an obstacle, such as no server at the base URL. Where a server does not start, its other cells
// are left out: each would wait for the same end, for as long as a start-up may take. Keep gets every run as it was sealed; its
// error ends the sweep, as do the user's interrupt and a run that cannot be recorded.
func (l *Lab) Sweep(ctx context.Context, s lab.Sweep, steps []SweepStep, ready map[int]Ready, keep func(SweepStep, lab.Sealed) error) error {
	if err := l.endLeftovers(ctx, s); err != nil {
		return err
	}
	board, err := l.board(s, steps)
	if err != nil {
		return err
	}
	defer func() { l.Status(lab.Status{Sweep: board.now()}) }()
	var server *serving
	defer func() {
		if server != nil {
			server.end(ctx)
		}
	}()
	refused, runs := "", 0 // refused: the key of the last server that could not be measured
	for i, step := range steps {
		key := s.Cells[step.Cell].Experiment.Server.Key()
		if key == refused && !step.Done {
			board.count(step.Cell, lab.LegLeft)
		}
		if step.Done || key == refused {
			continue
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		at := s.Place(step.Cell, step.Repeat)
		r := ready[step.Cell]
		r.Experiment = s.Experiment(step.Cell, step.Repeat)
		began := time.Now()
		one, err := l.runOn(ctx, r, place{sweep: &at, on: server, keep: !step.last, step: stepName(s, i, len(steps)), left: board.leftFrom(steps, i), swept: board.at(step.Cell)})
		server = one.on
		var obstacle *ObstacleError
		if one.Run.ID == "" || runs == 0 && errors.As(err, &obstacle) { // not even recorded, or in vain for all
			return err
		}
		runs++
		if one.Run.Outcome == lab.Interrupted {
			return context.Cause(ctx)
		}
		board.took(i, time.Since(began))
		board.count(step.Cell, outcome(one.Run))
		if !one.up {
			refused = key
		}
		if err := keep(step, one.Sealed); err != nil {
			return err
		}
	}
	return nil
}

// endLeftovers ends servers of this sweep that a killed lab left running: they would take the machine from those to come.
func (l *Lab) endLeftovers(ctx context.Context, s lab.Sweep) error {
	entries, err := l.DB.SweepEntries(s.ID)
	if err != nil || len(entries) == 0 {
		return err
	}
	orphans, _ := supervisor.Orphans(l.StateDir) // a note that cannot be read names nothing to end; `lab gc` tells of it
	for _, o := range orphans {
		if !slices.ContainsFunc(entries, func(e store.Entry) bool { return e.ID == o.RunID }) {
			continue
		}
		if err := o.Clean(ctx); err != nil {
			return obstacle("end %s, left by a killed lab: %w", o, err)
		}
	}
	return nil
}

func stepName(s lab.Sweep, i, n int) string {
	what := "cell"
	if s.Repeats > 1 {
		what = "run"
	}
	return fmt.Sprintf("%s %d of %d", what, i+1, n)
}

// SweepRuns are the latest runs of each step, by cell; a repeat that was not made yet is not there.
func (l *Lab) SweepRuns(s lab.Sweep) ([][]lab.Sealed, error) {
	entries, err := l.DB.SweepEntries(s.ID)
	if err != nil {
		return nil, fmt.Errorf("read sweep %s: %w", s.ID, err)
	}
	latest := map[lab.SweepPlace]store.Entry{}
	for _, e := range entries {
		latest[*e.Sweep] = e
	}
	runs := make([][]lab.Sealed, len(s.Cells))
	for cell := range s.Cells {
		for repeat := 1; repeat <= s.Repeats; repeat++ {
			e, made := latest[s.Place(cell, repeat)]
			if !made {
				continue
			}
			sealed, err := l.DB.Sealed(e.ID)
			if err != nil {
				return nil, fmt.Errorf("read sweep %s: %w", s.ID, err)
			}
			runs[cell] = append(runs[cell], sealed)
		}
	}
	return runs, nil
}
