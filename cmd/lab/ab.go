package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"lab/internal/compare"
	"lab/internal/lab"
	"lab/internal/report"
	"lab/internal/runner"
	"lab/store"
)

type abOptions struct {
	measureOptions
	ask     runner.Ask
	gate    bool
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
worse, inconclusive or invalid. docs/statistics.md explains the words.`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return profiled(cmd, o.pprof, func() error { return ab(cmd, args[0], args[1], o) })
		},
	}
	o.addFlags(cmd)
	cmd.Flags().StringVar(&o.ask.Plan, "plan", "standard", "quick (3 pairs) or standard (4 pairs)")
	cmd.Flags().IntVar(&o.ask.Pairs, "pairs", 0, "number of pairs of runs (default: as the plan says)")
	cmd.Flags().Uint64Var(&o.ask.Seed, "seed", 0, "seed of the coin that chooses the first arm (default: drawn)")
	cmd.Flags().DurationVar(&o.ask.MaxTime, "max-time", 0, "leave out pairs that do not fit into this time")
	cmd.Flags().BoolVar(&o.gate, "gate", false, "exit 7 when B is worse, 8 when the call is inconclusive")
	cmd.Flags().BoolVar(&o.profile, "profile", false, "add a profiled run of each arm at the end, and put what differs under the verdict")
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "say what would be done and what could be seen, and stop")
	return cmd
}

func ab(cmd *cobra.Command, nameA, nameB string, o abOptions) error {
	b, err := openBench(cmd, o.measureOptions)
	if err != nil {
		return err
	}
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
	plan, err := runner.NewPlan(readyA.Experiment, readyB.Experiment, o.ask)
	if err != nil {
		return err
	}
	if plan, err = b.lab.Bound(plan, o.ask); err != nil {
		return err
	}
	if o.dryRun {
		return printPlan(cmd, b, plan, readyA, readyB, o)
	}
	profiles, lost, err := measureAB(cmd, b, plan, readyA, readyB, o.ask.MaxTime)
	if err != nil {
		return err
	}
	called := printVerdict(cmd, b.lab.DB, plan, o.json, o.gate)
	if called != nil && !errors.As(called, new(*toldError)) {
		return called
	}
	if err := printEvidence(cmd, b.lab.DB, profiles, o.json); err != nil {
		return err
	}
	if lost != nil && (called == nil || !errors.As(lost, new(*toldError))) {
		return lost
	}
	return called
}

func printPlan(cmd *cobra.Command, b *bench, plan lab.Plan, readyA, readyB runner.Ready, o abOptions) error {
	estimate, err := b.lab.Estimate(plan)
	if err != nil {
		return err
	}
	for _, r := range []runner.Ready{readyA, readyB} {
		if r.Experiment.Profile != nil { // a run more; how long the server writes nobody knows
			estimate.Starts++
			estimate.Total += estimate.Run
		}
	}
	shown := report.Estimate{Starts: estimate.Starts, Run: estimate.Run, Total: estimate.Total, Basis: estimate.Basis,
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
	b.line.Print(fmt.Sprintf("plan %s: %d pairs, order %s; records in %s", plan.ID, plan.Pairs, plan.Order, b.lab.DB.Dir()))
	err = b.lab.AB(cmd.Context(), plan, readyA, readyB, limit)
	b.line.Close()
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
	profiles, lost = profileArms(cmd, b, plan, readyA, readyB)
	return profiles, lost, nil
}

func tellKept(cmd *cobra.Command, plan lab.Plan) {
	fmt.Fprintf(cmd.ErrOrStderr(), "What was measured is kept: lab compare %s\n", plan.ID)
}

// printVerdict judges a plan from the store alone, as `lab compare` does.
func printVerdict(cmd *cobra.Command, db *store.DB, plan lab.Plan, json, gate bool) error {
	runs, err := db.PlanRuns(plan.ID)
	if err != nil {
		return err
	}
	verdict := compare.Judge(plan, runs)
	if json {
		err = report.VerdictJSON(cmd.OutOrStdout(), verdict)
	} else {
		err = report.Verdict(cmd.OutOrStdout(), verdict, look(cmd))
	}
	if err != nil {
		return err
	}
	return callError(verdict.Call, gate)
}

// callError is how a verdict ends the command: numbers that must not be judged always by exit 6, the rest only where
// the user asked for a gate.
func callError(call lab.Call, gate bool) error {
	switch {
	case call == lab.InvalidCall:
		return &toldError{exitInvalid}
	case gate && call == lab.Worse:
		return &toldError{exitGateFailed}
	case gate && call == lab.Inconclusive:
		return &toldError{exitUndecided}
	}
	return nil
}
