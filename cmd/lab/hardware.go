package main

import (
	"github.com/spf13/cobra"

	"lab/internal/compare"
	"lab/internal/correlate"
	"lab/internal/lab"
	"lab/internal/report"
	"lab/store"
)

// hardwareOf computes what the hardware did beside a run, from its records.
func hardwareOf(db *store.DB, id string) (correlate.Hardware, error) {
	sealed, err := db.Sealed(id)
	if err != nil {
		return correlate.Hardware{}, err
	}
	tables, err := db.Tables(id)
	if err != nil {
		return correlate.Hardware{}, err
	}
	return correlate.Explain(sealed.Run, tables), nil
}

func showHardware(cmd *cobra.Command, db *store.DB, id string, json bool) error {
	h, err := hardwareOf(db, id)
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
	arms, err := armsHardware(db, compare.Judge(plan, runs))
	if err != nil {
		return err
	}
	if json {
		return report.PlanHardwareJSON(cmd.OutOrStdout(), plan, arms, between(arms))
	}
	return report.PlanHardware(cmd.OutOrStdout(), plan, arms, between(arms), look(cmd))
}

// armsHardware is the hardware beside each run that a verdict counts, pair by pair.
func armsHardware(db *store.DB, v lab.Verdict) ([]report.ArmHardware, error) {
	var all []report.ArmHardware
	for _, r := range v.Runs {
		if !r.Valid {
			continue
		}
		h, err := hardwareOf(db, r.ID)
		if err != nil {
			return nil, err
		}
		all = append(all, report.ArmHardware{Arm: r.Arm, Block: r.Block, Hardware: h})
	}
	return all, nil
}

// between is how the hardware of the two arms differs from run to run.
func between(arms []report.ArmHardware) []correlate.Difference {
	sides := map[string][]correlate.Hardware{}
	for _, r := range arms {
		sides[r.Arm] = append(sides[r.Arm], r.Hardware)
	}
	return correlate.Between(sides["A"], sides["B"])
}
