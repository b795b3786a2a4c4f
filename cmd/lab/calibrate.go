package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"lab/internal/compare"
	"lab/internal/report"
	"lab/internal/runner"
)

func newCalibrate() *cobra.Command {
	var o abOptions
	cmd := &cobra.Command{
		Use:   "calibrate FILE",
		Short: "Learn the noise of this box: an A/B of an experiment with itself",
		Long: `Measure an experiment against itself, as ` + "`lab ab`" + ` measures two, and say how much each figure varies from
run to run on this box, and so how small a difference an A/B can tell. Later A/Bs of the same model here
plan with it, and a verdict below it says so.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return profiled(cmd, o.pprof, func() error { return calibrate(cmd, args[0], o) })
		},
	}
	o.measureOptions.addFlags(cmd)
	o.ask.Plan = "standard"
	cmd.Flags().IntVar(&o.ask.Pairs, "pairs", 6, "number of pairs of runs")
	return cmd
}

func calibrate(cmd *cobra.Command, name string, o abOptions) error {
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
	if _, _, err := measureAB(cmd, b, plan, ready, ready, 0); err != nil {
		return err
	}
	runs, err := b.lab.DB.PlanRuns(plan.ID)
	if err != nil {
		return err
	}
	c := compare.Calibrate(plan, runs)
	if len(c.Noise) == 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "lab: nothing was learnt: fewer than two valid pairs. lab compare %s says why\n", plan.ID)
		return &toldError{exitInvalid}
	}
	if o.json {
		return report.CalibrationJSON(cmd.OutOrStdout(), c)
	}
	return report.Calibration(cmd.OutOrStdout(), c, look(cmd))
}
