package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lab/internal/lab"
	"lab/internal/readout"
	"lab/internal/report"
	"lab/internal/runner"
	"lab/matrices"
)

type sweepOptions struct {
	measureOptions
	output  string
	repeats int
	seed    uint64
	resume  string
	dryRun  bool
}

// theLast is what --resume means without an ID.
const theLast = "@last"

func newSweep() *cobra.Command {
	var o sweepOptions
	cmd := &cobra.Command{
		Use:   "sweep [FILE]",
		Short: "Measure every cell of a matrix of experiments",
		Long: `Measure every cell of a matrix of experiments: a combos.yaml of the vLLM benchmark kit as it is, or
an experiment file with lists of values (` + "`lab init`" + ` shows how). A server is started only where its
keys change, and every run gets seeds of its own, so that no cell warms the prefix cache of the
next. The result of each run is written as vllm bench serve writes it, for ` + "`lab aggregate`" + `.
A cell that fails does not end the sweep; where a server does not start, its other cells are left
out. --resume goes on with the last sweep, or with the one whose ID is given, and makes only what
is missing.`,
		Args: cobra.MaximumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return profiled(cmd, o.pprof, func() error { return sweep(cmd, args, o) })
		},
	}
	o.addFlags(cmd)
	cmd.Flags().StringVarP(&o.output, "output", "o", "results", "`FOLDER` of the result files")
	cmd.Flags().IntVar(&o.repeats, "repeats", 0, "runs of each cell (default: as the file says, else 1)")
	cmd.Flags().Uint64Var(&o.seed, "seed", 1, "what the seeds of all runs follow from")
	cmd.Flags().StringVar(&o.resume, "resume", "", "go on with the sweep of this `ID` (default: the last)")
	cmd.Flags().Lookup("resume").NoOptDefVal = theLast
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "say which runs would be made, in which order and for how long, and stop")
	return cmd
}

// sweeping is a sweep while the command works on it.
type sweeping struct {
	*bench
	cmd   *cobra.Command
	sweep lab.Sweep
	file  *matrices.SweepFile
	steps []runner.SweepStep
}

func sweep(cmd *cobra.Command, args []string, o sweepOptions) error {
	b, err := openBench(cmd, o.measureOptions)
	if err != nil {
		return err
	}
	defer b.view.Close()
	w := &sweeping{bench: b, cmd: cmd}
	if err := w.open(args, o); err != nil {
		return err
	}
	if w.steps, err = b.lab.SweepSteps(w.sweep); err != nil {
		return err
	}
	ready, err := b.lab.PrepareSweep(cmd.Context(), w.sweep, w.steps)
	if err != nil {
		return w.located(err)
	}
	if o.dryRun {
		return w.printPlan(o)
	}
	if err := w.measure(ready); err != nil {
		return err
	}
	return w.conclude(o)
}

// open reads the file, and of a sweep that is gone on with what the store knows.
func (w *sweeping) open(args []string, o sweepOptions) error {
	name, ref, err := fileAndID(args, o.resume)
	if err != nil {
		return err
	}
	var was lab.Sweep
	if ref != "" {
		if was, err = w.lab.DB.ResolveSweep(ref); err != nil {
			return err
		}
		if name == "" {
			name = was.File
		}
	}
	if name == "" {
		name = "combos.yaml"
	}
	if w.file, err = matrices.LoadSweep(name); err != nil {
		return err
	}
	for i, c := range w.file.Sweep.Cells {
		if faults := checkPrimary(c.Experiment); faults != nil {
			return w.file.Locate(i, faults)
		}
		if c.Experiment.Profile != nil {
			return w.file.Locate(i, lab.Faults{{Path: "profile", Problem: "lab sweep profiles nothing: take it away (profile: null), and give `lab profile` the file of one cell"}})
		}
	}
	if ref != "" {
		return w.goOn(was, o)
	}
	return w.begin(o)
}

// id tells the ID of a sweep, or a reference to one, from the name of a file.
var id = regexp.MustCompile(`^(@last(~\d+)?|\d{8}-[0-9a-z-]*)$`)

// fileAndID takes the arguments apart: with --resume, one of them may be the ID.
func fileAndID(args []string, resume string) (name, ref string, err error) {
	ref = resume
	for _, arg := range args {
		switch {
		case ref == theLast && id.MatchString(arg):
			ref = arg
		case name == "":
			name = arg
		default:
			return "", "", &usageError{fmt.Errorf("lab sweep: %s and %s are two files: a sweep has one", name, arg)}
		}
	}
	return name, ref, nil
}

// begin makes a new sweep of the file.
func (w *sweeping) begin(o sweepOptions) error {
	s := w.file.Sweep
	now := time.Now()
	s.ID, s.Made, s.Seed = lab.NewID(now), now.UTC().Round(0), o.seed
	if w.cmd.Flags().Changed("repeats") {
		if s.Repeats = o.repeats; s.Repeats < 1 {
			return &usageError{fmt.Errorf("lab sweep: --repeats must be at least 1")}
		}
	}
	var err error
	if s.Results, err = filepath.Abs(o.output); err != nil {
		return fmt.Errorf("find the folder of results: %w", err)
	}
	w.sweep = s
	return nil
}

// goOn takes up a sweep that was begun, unless the file or the flags ask for another one by now.
func (w *sweeping) goOn(was lab.Sweep, o sweepOptions) error {
	differences := lab.DiffSweeps(was, w.file.Sweep)
	flags := w.cmd.Flags()
	if repeats := w.file.Sweep.Repeats; repeats != was.Repeats && !flags.Changed("repeats") && repeats > 1 {
		differences = append(differences, fmt.Sprintf("repeats was %d and is %d", was.Repeats, repeats))
	}
	if flags.Changed("repeats") && o.repeats != was.Repeats {
		differences = append(differences, fmt.Sprintf("repeats was %d and --repeats asks for %d", was.Repeats, o.repeats))
	}
	if flags.Changed("seed") && o.seed != was.Seed {
		differences = append(differences, fmt.Sprintf("the seed was %d and --seed asks for %d", was.Seed, o.seed))
	}
	if n := len(differences); n > 0 {
		const most = 8
		text := strings.Join(differences[:min(n, most)], "\n  ")
		if n > most {
			text += fmt.Sprintf("\n  and %d more", n-most)
		}
		return &runner.AskError{Problem: fmt.Sprintf("go on with sweep %s: %s asks for something else by now:\n  %s\nBegin a new sweep, or put back what was changed",
			was.ID, w.file.Sweep.File, text)}
	}
	w.sweep = was
	if flags.Changed("output") {
		var err error
		if w.sweep.Results, err = filepath.Abs(o.output); err != nil {
			return fmt.Errorf("find the folder of results: %w", err)
		}
	}
	return nil
}

// located shows what the installed vllm refuses at its place in the file.
func (w *sweeping) located(err error) error {
	var cell *runner.CellError
	var faults lab.Faults
	if errors.As(err, &cell) && errors.As(err, &faults) {
		return w.file.Locate(cell.Cell, faults)
	}
	return interrupted(w.cmd.Context(), err)
}

func (w *sweeping) printPlan(o sweepOptions) error {
	e, err := w.lab.EstimateSweep(w.sweep, w.steps)
	if err != nil {
		return err
	}
	plan := report.SweepPlan{Starts: e.Starts, Total: e.Total, Basis: e.Basis}
	for i, step := range w.steps {
		c := w.sweep.Cells[step.Cell]
		plan.Steps = append(plan.Steps, report.SweepStep{Cell: c.Name, Repeat: step.Repeat, Start: step.Start,
			Runs: c.Experiment.Attached(), Done: step.Done, Took: e.Each[i], Result: c.ResultName(step.Repeat)})
	}
	if o.json {
		return report.SweepPlanJSON(w.cmd.OutOrStdout(), w.sweep, plan)
	}
	return report.SweepPlanText(w.cmd.OutOrStdout(), w.sweep, plan, look(w.cmd))
}

// measure makes the runs that are missing, and their result files.
func (w *sweeping) measure(ready map[int]runner.Ready) error {
	ctx := w.cmd.Context()
	var all []runner.Ready
	for _, r := range ready {
		all = append(all, r)
	}
	lock, err := w.lab.Lock(ctx, all...)
	if err != nil {
		return interrupted(ctx, err)
	}
	defer lock.Release()
	if err := os.MkdirAll(w.sweep.Results, 0o777); err != nil { // before hours are spent
		return fmt.Errorf("make the folder of results: %w", err)
	}
	if err := w.lab.DB.SaveSweep(w.sweep); err != nil {
		return err
	}
	done, err := w.restoreResults()
	if err != nil {
		return err
	}
	w.view.Print(fmt.Sprintf("sweep %s: %d runs, %d of them done; results in %s", w.sweep.ID, len(w.steps), done, w.sweep.Results))
	err = w.lab.Sweep(ctx, w.sweep, w.steps, ready, w.keep)
	w.view.Close()
	if err != nil {
		w.view.Print("What was measured is kept; go on with: lab sweep --resume=" + w.sweep.ID)
		return interrupted(ctx, err)
	}
	return nil
}

// keep writes the result of a run that came to its end, and says at once when something is wrong with one.
func (w *sweeping) keep(step runner.SweepStep, s lab.Sealed) error {
	name := w.sweep.Cells[step.Cell].Name
	switch {
	case s.Run.Failure != nil:
		w.view.Print(fmt.Sprintf("cell %s failed (%s): %s", name, s.Run.Failure.Class, s.Run.Failure.Reason))
		return w.setAside(step)
	case !s.Run.Valid():
		for _, f := range s.Run.Findings {
			if f.Level == lab.Invalid {
				w.view.Print(fmt.Sprintf("cell %s is invalid: %s", name, f.Detail))
			}
		}
	}
	return w.writeResult(step, s)
}

// conclude prints the table from the store alone, and names the cells that failed.
func (w *sweeping) conclude(o sweepOptions) error {
	cells, err := readout.Sweep(w.lab.DB, w.sweep)
	if err != nil {
		return err
	}
	if o.json {
		err = report.SweepJSON(w.cmd.OutOrStdout(), w.sweep, cells)
	} else {
		err = report.Sweep(w.cmd.OutOrStdout(), w.sweep, cells, look(w.cmd))
	}
	if err != nil {
		return err
	}
	return w.failures(cells)
}

// failures is how the cells end the command: a server that failed weighs more than numbers that must not be judged.
func (w *sweeping) failures(cells []report.SweptCell) error {
	code := exitOK
	errOut := w.cmd.ErrOrStderr()
	for _, c := range cells {
		name := c.Cell.Name
		if len(c.Runs) == 0 {
			code = exitServer
			fmt.Fprintf(errOut, "lab: cell %s: not made: its server did not start for the cell before it\n", name)
		}
		for _, s := range c.Runs {
			switch {
			case s.Run.Failure != nil:
				code = exitServer
				fmt.Fprintf(errOut, "lab: cell %s: %v (lab show %s)\n", name, &runner.ServerFailedError{Run: s.Run}, s.Run.ID)
			case !s.Run.Valid():
				if code == exitOK {
					code = exitInvalid
				}
				fmt.Fprintf(errOut, "lab: cell %s: the measurement is invalid (lab show %s)\n", name, s.Run.ID)
			}
		}
	}
	if code == exitOK {
		return nil
	}
	if code == exitServer {
		fmt.Fprintf(errOut, "What is missing is made by: lab sweep --resume=%s\n", w.sweep.ID)
	}
	return &toldError{code}
}
