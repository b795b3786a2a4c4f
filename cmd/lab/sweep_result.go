package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"lab/internal/kit"
	"lab/internal/lab"
	"lab/internal/runner"
)

// writeResult writes a run's result file: its first judged phase, as vllm bench serve saves it.
func (w *sweeping) writeResult(step runner.SweepStep, s lab.Sealed) error {
	for _, t := range s.Summary.Phases {
		if !t.Judged {
			continue
		}
		tables, err := w.lab.DB.Tables(s.Run.ID)
		if err != nil {
			return err
		}
		b := kit.BenchOf(s.Run, t)
		b.Detailed = false // the kit does not ask for the lists; the store has every record
		if w.sweep.Kit {
			b.Backend = "vllm" // as the kit's script calls it
		}
		name := w.resultFile(step)
		if err := kit.AppendResult(name, b.Of(s.Run, t, tables.Requests).JSON(), false); err != nil {
			return fmt.Errorf("%w; the run is stored all the same", err)
		}
		return nil
	}
	return nil
}

// setAside renames the result file that an earlier sweep has left for a run that failed: it would pass for this run's.
func (w *sweeping) setAside(step runner.SweepStep) error {
	name := w.resultFile(step)
	err := os.Rename(name, name+".old")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("set the earlier result aside: %w", err)
	}
	w.view.Print(fmt.Sprintf("%s is of an earlier sweep: now %s.old", name, filepath.Base(name)))
	return nil
}

func (w *sweeping) resultFile(step runner.SweepStep) string {
	return filepath.Join(w.sweep.Results, w.sweep.Cells[step.Cell].ResultName(step.Repeat))
}

// restoreResults counts the runs that are done, and writes those of their result files again that are missing or older
// than their run: lab was killed between the two, or the file is of an earlier sweep.
func (w *sweeping) restoreResults() (done int, err error) {
	runs, err := w.lab.SweepRuns(w.sweep)
	if err != nil {
		return 0, err
	}
	for _, step := range w.steps {
		if !step.Done {
			continue
		}
		done++
		for _, s := range runs[step.Cell] {
			if s.Run.Sweep.Repeat != step.Repeat {
				continue
			}
			ended := s.Run.Epoch.Wall.Add(s.Run.Ended).Truncate(time.Second) // some file systems know no finer times
			if info, err := os.Stat(w.resultFile(step)); err == nil && !info.ModTime().Before(ended) {
				continue
			}
			if err := w.writeResult(step, s); err != nil {
				return 0, err
			}
		}
	}
	return done, nil
}
