package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"lab/internal/compare"
	"lab/internal/lab"
	"lab/internal/report"
	"lab/internal/runner"
	"lab/store"
)

func newBaseline() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "baseline",
		Short: "Capture how a configuration does, and check later ones against it",
		Long: `Capture how a configuration does before you tune it, and check what you made of it against that.
A check with the box still there is a true A/B: it makes fresh runs of the captured configuration
and of the new one in turn. Stored numbers alone (--stored) are historical: what changed on the box
in between is in the difference.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	for _, c := range []*cobra.Command{newBaselineSet(), newBaselineCheck(), newBaselineList(), newBaselineHistory(), newBaselineRm()} {
		checkArgs(c)
		cmd.AddCommand(c)
	}
	return cmd
}

// baselineName is what a baseline may be called.
var baselineName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

func checkName(name string) error {
	const longest = 64
	if len(name) > longest || !baselineName.MatchString(name) {
		return &usageError{fmt.Errorf("lab baseline: %q is no name: letters, digits, dot, dash and underscore, at most 64", name)}
	}
	return nil
}

type setOptions struct {
	measureOptions
	runs   int
	resume bool
}

func newBaselineSet() *cobra.Command {
	var o setOptions
	cmd := &cobra.Command{
		Use:   "set NAME FILE|RUN...",
		Short: "Capture a baseline: fresh runs of an experiment, or runs that are stored",
		Long: `Capture a baseline: several runs of an experiment file, a fresh server each, or runs of one experiment
that are stored already. A name that is taken gets a new capture; the old one stays in the history.
--resume makes what is missing of a capture that was broken off.`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return &usageError{errors.New("lab baseline set: give a name, and an experiment file or runs")}
			}
			return profiled(cmd, o.pprof, func() error { return setBaseline(cmd, args[0], args[1:], o) })
		},
	}
	o.addFlags(cmd)
	cmd.Flags().IntVar(&o.runs, "runs", 5, "number of runs of an experiment file")
	cmd.Flags().BoolVar(&o.resume, "resume", false, "go on with the last capture of this name")
	return cmd
}

func setBaseline(cmd *cobra.Command, name string, args []string, o setOptions) error {
	if err := checkName(name); err != nil {
		return err
	}
	b, err := openBench(cmd, o.measureOptions)
	if err != nil {
		return err
	}
	defer b.view.Close()
	switch {
	case o.resume && len(args) == 0:
		return resumeCapture(cmd, b, name, o)
	case o.resume:
		return &usageError{errors.New("lab baseline set: --resume takes the experiment from what is stored: give the name only")}
	case len(args) == 1 && plainFile(args[0]):
		return captureFile(cmd, b, name, args[0], o)
	case len(args) == 0:
		return &usageError{errors.New("lab baseline set: give an experiment file, or runs")}
	}
	return captureRuns(cmd, b, name, args, o)
}

func plainFile(name string) bool {
	info, err := os.Stat(name)
	return err == nil && !info.IsDir()
}

func captureFile(cmd *cobra.Command, b *bench, name, file string, o setOptions) error {
	if o.runs < 2 {
		return &usageError{errors.New("lab baseline set: --runs must be at least 2: one run shows no noise")}
	}
	ready, err := b.load(cmd, file)
	if err != nil {
		return err
	}
	return makeCapture(cmd, b, ready, lab.Capture{Name: name, ID: lab.NewID(time.Now()), Runs: o.runs}, 0, o)
}

func resumeCapture(cmd *cobra.Command, b *bench, name string, o setOptions) error {
	was, err := b.lab.DB.ResolveBaseline(name)
	if err != nil {
		return err
	}
	first, err := b.lab.DB.Sealed(was.Runs[0].ID)
	if err != nil {
		return err
	}
	if was.Whole() {
		return printBaseline(cmd, b.lab.DB, was.Name, o.json)
	}
	ready, err := b.lab.Prepare(cmd.Context(), first.Run.Experiment)
	if err != nil {
		return interrupted(cmd.Context(), err)
	}
	return makeCapture(cmd, b, ready, was.Capture, len(was.Valid()), o)
}

func makeCapture(cmd *cobra.Command, b *bench, ready runner.Ready, c lab.Capture, have int, o setOptions) error {
	lock, err := b.lab.Lock(cmd.Context(), ready)
	if err != nil {
		return interrupted(cmd.Context(), err)
	}
	defer lock.Release()
	arms, err := b.lab.LoadPoints(cmd.Context(), ready)
	if err == nil {
		err = b.lab.Capture(cmd.Context(), arms[0], c, have)
	}
	b.view.Close()
	if told := tellSeries(cmd, "capture baseline "+c.Name, err); told != nil {
		return told
	}
	if err != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "What was measured is kept. Go on: lab baseline set %s --resume\n", c.Name)
		return interrupted(cmd.Context(), err)
	}
	return printBaseline(cmd, b.lab.DB, c.Name, o.json)
}

// tellSeries says why a series of runs came to nothing, if it was for the server or the numbers; nil: it was not.
func tellSeries(cmd *cobra.Command, what string, err error) error {
	var failed *runner.ServerFailedError
	var invalid *runner.InvalidError
	switch {
	case errors.As(err, &failed):
		fmt.Fprintf(cmd.ErrOrStderr(), "lab: %v\n", failed)
		tellFailure(cmd, failed.Run)
		return &toldError{exitServer}
	case errors.As(err, &invalid):
		fmt.Fprintf(cmd.ErrOrStderr(), "lab: %s: %v\n", what, invalid)
		return &toldError{exitInvalid}
	}
	return nil
}

// captureRuns makes stored runs a baseline. They must be of one experiment, and count.
func captureRuns(cmd *cobra.Command, b *bench, name string, refs []string, o setOptions) error {
	var ids []string
	var first lab.Run
	for _, ref := range refs {
		id, err := b.lab.DB.Resolve(ref)
		if err != nil && len(refs) == 1 && errors.As(err, new(*store.RefError)) {
			return &usageError{fmt.Errorf("lab baseline set: %s is neither an experiment file nor a run of the store", ref)}
		}
		if err != nil {
			return err
		}
		sealed, err := b.lab.DB.Sealed(id)
		if err != nil {
			return err
		}
		switch {
		case !sealed.Run.Valid() || sealed.Run.Imported != nil:
			return &usageError{fmt.Errorf("lab baseline set: run %s must not be judged, so it makes no baseline", id)}
		case first.ID != "" && !sealed.Run.Experiment.Alike(first.Experiment):
			return &usageError{fmt.Errorf("lab baseline set: runs %s and %s are of different experiments, or of one at different rates", first.ID, id)}
		case first.ID == "":
			first = sealed.Run
		}
		ids = append(ids, id)
	}
	if len(ids) < 2 {
		return &usageError{errors.New("lab baseline set: give at least 2 runs: one shows no noise")}
	}
	if err := b.lab.DB.Mark(ids, &lab.Capture{Name: name, ID: lab.NewID(time.Now()), Runs: len(ids)}); err != nil {
		return err
	}
	return printBaseline(cmd, b.lab.DB, name, o.json)
}

func printBaseline(cmd *cobra.Command, db *store.DB, name string, json bool) error {
	was, runs, err := baselineRuns(db, name)
	if err != nil {
		return err
	}
	if json {
		return report.BaselineJSON(cmd.OutOrStdout(), was, runs)
	}
	return report.Baseline(cmd.OutOrStdout(), was, runs, look(cmd))
}

// baselineRuns are the runs of the baseline of a name. While a later capture of it is not whole there is nothing to go by.
func baselineRuns(db *store.DB, name string) (store.Baseline, []lab.Sealed, error) {
	was, partial, err := db.Standing(name)
	if err != nil {
		return was, nil, err
	}
	if partial != nil && partial.Going {
		return was, nil, &runner.AskError{Problem: fmt.Sprintf("baseline %s is made right now: %d of %d runs are there", name, len(partial.Valid()), partial.Capture.Runs)}
	}
	if partial != nil {
		return was, nil, &runner.AskError{Problem: fmt.Sprintf("baseline %s was broken off after %d of %d runs: lab baseline set %s --resume makes the others",
			name, len(partial.Valid()), partial.Capture.Runs, name)}
	}
	runs, err := db.SealedRuns(was.Valid())
	return was, runs, err
}

type checkOptions struct {
	abOptions
	stored bool
	runs   int
}

func newBaselineCheck() *cobra.Command {
	var o checkOptions
	cmd := &cobra.Command{
		Use:   "check NAME FILE",
		Short: "Check an experiment against a baseline: exit 7 where it is worse, 8 where that is not certain",
		Long: `Check an experiment against a baseline. Fresh runs of the captured configuration (A) and of FILE (B)
are made in turn, as ` + "`lab ab`" + ` makes them, and the check passes where a harm to the deciding metric as
large as the margin can be ruled out. --stored makes runs of FILE only and sets them beside the stored
ones; that is historical, and only --fail-on can fail it.`,
		Args: cobra.MaximumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return profiled(cmd, o.pprof, func() error { return checkBaseline(cmd, args, o) })
		},
	}
	o.abOptions.addFlags(cmd)
	cmd.Flags().BoolVar(&o.stored, "stored", false, "compare with the stored numbers; the result is historical")
	cmd.Flags().IntVar(&o.runs, "runs", 3, "with --stored: number of runs of FILE")
	return cmd
}

func checkBaseline(cmd *cobra.Command, args []string, o checkOptions) error {
	if o.resume != "" {
		if len(args) != 1 || o.stored || cmd.Flags().Changed("runs") {
			return &usageError{errors.New("lab baseline check: --resume takes the experiments from the stored plan: give the baseline's name only")}
		}
		plan, err := checkToResume(cmd, args[0], o.resume)
		if err != nil {
			return err
		}
		o.resume = plan.ID
		return resumeAB(cmd, nil, o.abOptions)
	}
	if err := o.fit(cmd); err != nil {
		return err
	}
	if len(args) != 2 {
		return &usageError{errors.New("lab baseline check: give a baseline and an experiment file")}
	}
	if err := o.gate.read("baseline check"); err != nil {
		return err
	}
	b, err := openBench(cmd, o.measureOptions)
	if err != nil {
		return err
	}
	defer b.view.Close()
	was, runs, err := baselineRuns(b.lab.DB, args[0])
	if err != nil {
		return err
	}
	if o.stored {
		return checkStored(cmd, b, was, runs, args[1], o)
	}
	readyA, errA := b.lab.Prepare(cmd.Context(), runs[0].Run.Experiment)
	readyB, errB := b.load(cmd, args[1])
	if err := errors.Join(errA, errB); err != nil {
		return interrupted(cmd.Context(), err)
	}
	o.ask.Baseline = was.Name
	return abOf(cmd, b, readyA, readyB, o.abOptions)
}

// fit refuses flags that would do nothing.
func (o checkOptions) fit(cmd *cobra.Command) error {
	if !o.stored {
		if cmd.Flags().Changed("runs") {
			return &usageError{errors.New("lab baseline check: --runs is for --stored; a check in turn takes --plan or --pairs")}
		}
		return nil
	}
	for _, ofPlan := range []string{"plan", "pairs", "seed", "margin", "max-time", "profile", "dry-run", "gate"} {
		if cmd.Flags().Changed(ofPlan) {
			return &usageError{fmt.Errorf("lab baseline check: --%s is of a check in turn: --stored has no plan, and only --fail-on can fail it", ofPlan)}
		}
	}
	if o.runs < 1 {
		return &usageError{errors.New("lab baseline check: --runs must be at least 1")}
	}
	return nil
}

// checkToResume is the check of a baseline that a reference means, or the last one of it.
func checkToResume(cmd *cobra.Command, name, ref string) (lab.Plan, error) {
	db, err := openStore(cmd)
	if err != nil {
		return lab.Plan{}, err
	}
	if ref != theLast {
		plan, err := db.ResolvePlan(ref)
		if err == nil && plan.Baseline != name {
			err = &usageError{fmt.Errorf("lab baseline check: A/B %s is no check of baseline %s", plan.ID, name)}
		}
		return plan, err
	}
	plans, err := db.Plans()
	if err != nil {
		return lab.Plan{}, err
	}
	for _, p := range slices.Backward(plans) {
		if p.Baseline == name {
			return p, nil
		}
	}
	return lab.Plan{}, &usageError{fmt.Errorf("lab baseline check: baseline %s has no check yet that could go on", name)}
}

// checkStored makes runs of the new experiment only.
func checkStored(cmd *cobra.Command, b *bench, was store.Baseline, stored []lab.Sealed, file string, o checkOptions) error {
	ready, err := b.load(cmd, file)
	if err != nil {
		return err
	}
	if err := o.gate.fit("baseline check", stored[0].Run.Experiment, ready.Experiment); err != nil {
		return err
	}
	lock, err := b.lab.Lock(cmd.Context(), ready)
	if err != nil {
		return interrupted(cmd.Context(), err)
	}
	defer lock.Release()
	var now []lab.Sealed
	arms, err := b.lab.LoadPoints(cmd.Context(), runner.Ready{Experiment: stored[0].Run.Experiment}, ready)
	if err == nil {
		now, err = b.lab.Repeat(cmd.Context(), arms[1], o.runs)
	}
	b.view.Close()
	if told := tellSeries(cmd, "check against the stored runs of baseline "+was.Name, err); told != nil {
		return told
	}
	if err != nil {
		return interrupted(cmd.Context(), err)
	}
	v := compare.Against(was.Name, stored, now)
	return tellVerdict(cmd, report.Gate{Verdict: v, Rulings: compare.HistoricalRules(v, o.gate.rules)}, o.json, o.gate)
}
