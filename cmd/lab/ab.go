package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"lab/internal/lab"
	"lab/internal/readout"
	"lab/internal/report"
	"lab/internal/runner"
)

type abOptions struct {
	measureOptions
	ask     runner.Ask
	gate    gateOptions
	resume  string
	dryRun  bool
	profile bool
}

func newAB() *cobra.Command {
	var o abOptions
	cmd := &cobra.Command{
		Use:   "ab A B",
		Short: "Measure two experiments in turn and say which is better",
		Long: `Measure two experiments in turn, a fresh server for each run, in an order that drift cannot fool
(ABBA blocks, the first arm chosen by a coin), and say which is better: better, no-difference,
worse, trade-off, inconclusive or invalid. ` + "`lab help verdict`" + ` explains the words.

The plan is fixed before the first run. It is judged at its looks only (standard: after 4, 6 and 8
pairs) and ends at the first that decides. A pair with an invalid run is made again, at most twice.
--resume goes on with the last A/B, or with the one whose ID is given, as it was planned.`,
		Args: cobra.MaximumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return profiled(cmd, o.pprof, func() error {
				if o.resume != "" {
					return resumeAB(cmd, args, o)
				}
				if len(args) != 2 {
					return &usageError{fmt.Errorf("lab ab: give two experiment files, or --resume; there are %d arguments", len(args))}
				}
				return ab(cmd, args[0], args[1], o)
			})
		},
	}
	o.addFlags(cmd)
	return cmd
}

func (o *abOptions) addFlags(cmd *cobra.Command) {
	o.measureOptions.addFlags(cmd)
	cmd.Flags().StringVar(&o.ask.Plan, "plan", "standard", "quick (3 pairs), standard (judged after 4, 6 and 8) or strict (after 4, 6, 8 and 10)")
	cmd.Flags().IntVar(&o.ask.Pairs, "pairs", 0, "a fixed number of pairs of runs, judged once (default: as the plan says)")
	cmd.Flags().Uint64Var(&o.ask.Seed, "seed", 0, "seed of the coin that chooses the first arm (default: drawn)")
	cmd.Flags().Var((*percent)(&o.ask.Margin), "margin", "difference that does not matter, such as 5%; of shares in percentage points (default: as the files say)")
	cmd.Flags().DurationVar(&o.ask.MaxTime, "max-time", 0, "leave out pairs that do not fit into this time")
	o.gate.addFlags(cmd)
	cmd.Flags().StringVar(&o.resume, "resume", "", "go on with the A/B of this `ID` (default: the last)")
	cmd.Flags().Lookup("resume").NoOptDefVal = theLast
	cmd.Flags().BoolVar(&o.profile, "profile", false, "add a profiled run of each arm at the end, and put what differs under the verdict")
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "say what would be done and what could be seen, and stop")
}

func ab(cmd *cobra.Command, nameA, nameB string, o abOptions) error {
	if err := o.gate.read("ab"); err != nil {
		return err
	}
	b, err := openBench(cmd, o.measureOptions)
	if err != nil {
		return err
	}
	defer b.view.Close()
	load := b.load
	if o.profile {
		load = b.loadToProfile
	}
	readyA, errA := load(cmd, nameA)
	if cmd.Context().Err() != nil {
		return errA
	}
	readyB, errB := load(cmd, nameB)
	if err := errors.Join(errA, errB); err != nil { // the faults of both files at once
		return err
	}
	return abOf(cmd, b, readyA, readyB, o)
}

// abOf plans an A/B of two experiments, makes its runs and judges it.
func abOf(cmd *cobra.Command, b *bench, readyA, readyB runner.Ready, o abOptions) error {
	plan, err := runner.NewPlan(readyA.Experiment, readyB.Experiment, o.ask)
	if err != nil {
		return err
	}
	if err := o.gate.fit(cmd.Name(), plan.A, plan.B); err != nil {
		return err
	}
	if plan, err = b.lab.Bound(plan, o.ask); err != nil {
		return err
	}
	readyA.Experiment.Margin, readyB.Experiment.Margin = plan.Margin, plan.Margin // the checks of each run go by it too
	if o.dryRun {
		return printPlan(cmd, b, plan, readyA, readyB, o)
	}
	return measurePlan(cmd, b, plan, readyA, readyB, o)
}

// measurePlan makes the runs of a plan that are missing and judges it.
func measurePlan(cmd *cobra.Command, b *bench, plan lab.Plan, readyA, readyB runner.Ready, o abOptions) error {
	profiles, lost, err := measureAB(cmd, b, plan, readyA, readyB, o.ask.MaxTime)
	if err != nil {
		return err
	}
	gate, err := readout.Verdict(b.lab.DB, plan, o.gate.rules)
	if err != nil {
		return err
	}
	var unread error
	gate.Profiles, unread = evidence(cmd, profiles)
	called := tellVerdict(cmd, gate, o.json, o.gate)
	if called != nil && !errors.As(called, new(*toldError)) {
		return called
	}
	if unread != nil {
		return unread
	}
	if lost != nil && (called == nil || !errors.As(lost, new(*toldError))) {
		return lost
	}
	return called
}

// resumeAB goes on with a plan from what is stored: the same experiments, order and looks.
func resumeAB(cmd *cobra.Command, args []string, o abOptions) error {
	ref := o.resume
	if len(args) == 1 && ref == theLast {
		ref, args = args[0], nil
	}
	if len(args) > 0 {
		return &usageError{errors.New("lab ab: --resume takes the experiments from the stored plan: give its ID only")}
	}
	for _, fixed := range []string{"plan", "pairs", "seed", "margin", "profile"} {
		if cmd.Flags().Changed(fixed) {
			return &usageError{fmt.Errorf("lab ab: --%s was fixed before the first run: --resume does not take it", fixed)}
		}
	}
	if err := o.gate.read("ab"); err != nil {
		return err
	}
	b, err := openBench(cmd, o.measureOptions)
	if err != nil {
		return err
	}
	defer b.view.Close()
	plan, err := b.lab.DB.ResolvePlan(ref)
	if err != nil {
		return err
	}
	if err := o.gate.fit(cmd.Name(), plan.A, plan.B); err != nil {
		return err
	}
	if plan.Cut > 0 {
		return &runner.AskError{Problem: fmt.Sprintf("go on with A/B %s: its time limit ended it, and its verdict was seen. More pairs after that are a new A/B", plan.ID)}
	}
	if err := b.lab.Enough(plan, o.ask.MaxTime); err != nil {
		return err
	}
	readyA, errA := b.lab.Prepare(cmd.Context(), plan.A)
	readyB, errB := b.lab.Prepare(cmd.Context(), plan.B)
	if err := errors.Join(errA, errB); err != nil {
		return interrupted(cmd.Context(), err)
	}
	if o.dryRun {
		return printPlan(cmd, b, plan, readyA, readyB, o)
	}
	return measurePlan(cmd, b, plan, readyA, readyB, o)
}

func printPlan(cmd *cobra.Command, b *bench, plan lab.Plan, readyA, readyB runner.Ready, o abOptions) error {
	b.view.Close()
	estimate, err := b.lab.Estimate(plan)
	if err != nil {
		return err
	}
	for _, r := range []runner.Ready{readyA, readyB} {
		if r.Experiment.Profile != nil { // a run more; how long the server writes nobody knows
			estimate.Starts++
			estimate.Extra++
			estimate.Total += estimate.Run
		}
	}
	shown := report.Estimate{Made: estimate.Made, Starts: estimate.Starts, Extra: estimate.Extra, Run: estimate.Run, Total: estimate.Total, Basis: estimate.Basis,
		CV: estimate.CV, CVBasis: estimate.CVBasis, MDE: estimate.MDE}
	if o.json {
		return report.PlanJSON(cmd.OutOrStdout(), plan, shown)
	}
	return report.PlanText(cmd.OutOrStdout(), plan, shown, look(cmd))
}

// measureAB makes the runs of a plan, and then the profiled ones; lost says what became of those that came to nothing.
func measureAB(cmd *cobra.Command, b *bench, plan lab.Plan, readyA, readyB runner.Ready, limit time.Duration) (profiles []lab.Sealed, lost, err error) {
	lock, err := b.lab.Lock(cmd.Context(), readyA, readyB)
	if err != nil {
		return nil, nil, interrupted(cmd.Context(), err)
	}
	defer lock.Release()
	arms, err := b.lab.LoadPoints(cmd.Context(), readyA, readyB)
	if err == nil {
		plan.A.Phases, plan.B.Phases = arms[0].Experiment.Phases, arms[1].Experiment.Phases
		b.view.Print(fmt.Sprintf("plan %s (%s): %s; records in %s", plan.ID, plan.Hash(), report.Planned(plan), b.lab.DB.Dir()))
		err = b.lab.AB(cmd.Context(), plan, arms[0], arms[1], limit)
	}
	if err != nil || cmd.Context().Err() != nil {
		b.view.Close()
	}
	var failed *runner.ServerFailedError
	if errors.As(err, &failed) {
		fmt.Fprintf(cmd.ErrOrStderr(), "lab: %v\n", failed)
		tellFailure(cmd, failed.Run)
		tellKept(cmd, plan)
		return nil, nil, &toldError{exitServer}
	}
	if err != nil {
		tellKept(cmd, plan)
		return nil, nil, interrupted(cmd.Context(), err)
	}
	if cmd.Context().Err() != nil { // all runs were made, even where the user meant to stop the last
		return nil, nil, nil
	}
	profiles, lost = profileArms(cmd, b, plan, arms[0], arms[1])
	return profiles, lost, nil
}

func tellKept(cmd *cobra.Command, plan lab.Plan) {
	fmt.Fprintf(cmd.ErrOrStderr(), "What was measured is kept. Go on: %s    See: lab compare %s\n", report.Resume(plan), plan.ID)
}
