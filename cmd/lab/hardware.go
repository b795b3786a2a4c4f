package main

import (
	"github.com/spf13/cobra"

	"lab/internal/compare"
	"lab/internal/lab"
	"lab/internal/readout"
	"lab/internal/report"
	"lab/store"
)

func showHardware(cmd *cobra.Command, db *store.DB, id string, json bool) error {
	h, err := readout.Hardware(db, id)
	if err != nil {
		return err
	}
	if json {
		return report.HardwareJSON(cmd.OutOrStdout(), h)
	}
	sealed, err := db.Sealed(id)
	if err != nil {
		return err
	}
	return report.Hardware(cmd.OutOrStdout(), sealed.Run, h, look(cmd))
}

func showPlanHardware(cmd *cobra.Command, db *store.DB, plan lab.Plan, json bool) error {
	runs, err := db.PlanRuns(plan.ID)
	if err != nil {
		return err
	}
	v := compare.Judge(plan, runs)
	arms, err := readout.Arms(db, v)
	if err != nil {
		return err
	}
	if json {
		return report.PlanHardwareJSON(cmd.OutOrStdout(), plan, arms, readout.Between(v, arms))
	}
	return report.PlanHardware(cmd.OutOrStdout(), plan, arms, readout.Between(v, arms), look(cmd))
}
