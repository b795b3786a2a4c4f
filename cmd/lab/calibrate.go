package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"lab/internal/compare"
	"lab/internal/lab"
	"lab/internal/report"
	"lab/internal/runner"
	"lab/store"
)

func newCalibrate() *cobra.Command {
	var o abOptions
	cmd := &cobra.Command{
		Use:   "calibrate FILE",
		Short: "Learn the noise of this box: an A/B of an experiment with itself",
		Long: `Measure an experiment against itself, as ` + "`lab ab`" + ` measures two, and say how much each figure varies from
run to run on this box, and so how small a difference an A/B can tell. Later A/Bs of the same model here
plan with it, and a verdict below it says so. --resume goes on with the last calibration, or the one whose ID is given,
and prints it.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return profiled(cmd, o.pprof, func() error {
				if o.resume != "" {
					return resumeCalibration(cmd, args, o)
				}
				if len(args) != 1 {
					return &usageError{errors.New("lab calibrate: give an experiment file, or --resume")}
				}
				return calibrate(cmd, args[0], o)
			})
		},
	}
	o.measureOptions.addFlags(cmd)
	o.ask.Plan = "standard"
	cmd.Flags().IntVar(&o.ask.Pairs, "pairs", 6, "number of pairs of runs")
	cmd.Flags().StringVar(&o.resume, "resume", "", "go on with the calibration of this `ID` (default: the last), and print it")
	cmd.Flags().Lookup("resume").NoOptDefVal = theLast
	return cmd
}

func calibrate(cmd *cobra.Command, name string, o abOptions) error {
	if o.ask.Pairs < 2 {
		return &usageError{errors.New("lab calibrate: --pairs must be at least 2: one pair shows no noise")}
	}
	b, err := openBench(cmd, o.measureOptions)
	if err != nil {
		return err
	}
	defer b.view.Close()
	ready, err := b.load(cmd, name)
	if err != nil {
		return err
	}
	ready.Experiment.Profile = nil
	o.ask.Calibrates = true
	plan, err := runner.NewPlan(ready.Experiment, ready.Experiment, o.ask)
	if err != nil {
		return err
	}
	return learn(cmd, b, plan, ready, o)
}

// resumeCalibration goes on with a calibration from what is stored.
func resumeCalibration(cmd *cobra.Command, args []string, o abOptions) error {
	ref := o.resume
	if len(args) == 1 && ref == theLast {
		ref, args = args[0], nil
	}
	if len(args) > 0 || cmd.Flags().Changed("pairs") {
		return &usageError{errors.New("lab calibrate: --resume takes experiment and pairs from what is stored: give the ID only")}
	}
	b, err := openBench(cmd, o.measureOptions)
	if err != nil {
		return err
	}
	defer b.view.Close()
	plan, err := calibrationPlan(b.lab.DB, ref)
	if err != nil {
		return err
	}
	runs, err := b.lab.DB.PlanRuns(plan.ID)
	if err != nil {
		return err
	}
	if _, more := compare.Next(plan, runs); !more {
		return printCalibration(cmd, b.lab.DB, plan, o.json)
	}
	ready, err := b.lab.Prepare(cmd.Context(), plan.A)
	if err != nil {
		return interrupted(cmd.Context(), err)
	}
	return learn(cmd, b, plan, ready, o)
}

// calibrationPlan is the calibration that a reference means, or the last one.
func calibrationPlan(db *store.DB, ref string) (lab.Plan, error) {
	if ref != theLast {
		plan, err := db.ResolvePlan(ref)
		if err == nil && !plan.Calibrates {
			err = &usageError{fmt.Errorf("lab calibrate: A/B %s is no calibration", plan.ID)}
		}
		return plan, err
	}
	plans, err := db.Plans()
	if err != nil {
		return lab.Plan{}, err
	}
	for _, p := range slices.Backward(plans) {
		if p.Calibrates {
			return p, nil
		}
	}
	return lab.Plan{}, &usageError{errors.New("lab calibrate: there is no calibration yet that could go on")}
}

// learn makes the runs of a calibration that are missing and prints it.
func learn(cmd *cobra.Command, b *bench, plan lab.Plan, ready runner.Ready, o abOptions) error {
	if _, _, err := measureAB(cmd, b, plan, ready, ready, 0); err != nil {
		return err
	}
	return printCalibration(cmd, b.lab.DB, plan, o.json)
}

func printCalibration(cmd *cobra.Command, db *store.DB, plan lab.Plan, json bool) error {
	runs, err := db.PlanRuns(plan.ID)
	if err != nil {
		return err
	}
	c := compare.Calibrate(plan, runs)
	if len(c.Noise) == 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "lab: nothing was learnt: fewer than two valid pairs. lab compare %s says why\n", plan.ID)
		return &toldError{exitInvalid}
	}
	const shown = 5
	earlier := runner.Calibrations(db, plan, shown)
	if json {
		return report.CalibrationJSON(cmd.OutOrStdout(), c, earlier)
	}
	return report.Calibration(cmd.OutOrStdout(), c, earlier, look(cmd))
}
