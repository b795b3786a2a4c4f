package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"lab/internal/lab"
	"lab/internal/report"
	"lab/internal/runner"
	"lab/profiling"
	"lab/store"
)

// profileArms makes a profiled run of each arm that asks for one, after the measured ones. What becomes of them takes nothing
// from the verdict: it is told, and is how the command ends only where the verdict does not say otherwise.
func profileArms(cmd *cobra.Command, b *bench, plan lab.Plan, readyA, readyB runner.Ready) ([]lab.Sealed, error) {
	var made []lab.Sealed
	for _, arm := range []struct {
		name  string
		ready runner.Ready
	}{{"A", readyA}, {"B", readyB}} {
		if arm.ready.Experiment.Profile == nil {
			continue
		}
		sealed, err := b.lab.ProfileArm(cmd.Context(), plan, arm.name, arm.ready)
		b.line.Close()
		if err != nil {
			return made, err
		}
		made = append(made, sealed)
		if err := captureError(cmd, sealed.Run); err != nil {
			return made, err
		}
	}
	return made, nil
}

// printEvidence prints below a verdict what the profiled runs show. It is no part of the verdict.
func printEvidence(cmd *cobra.Command, db *store.DB, made []lab.Sealed, asJSON bool) error {
	if asJSON { // stdout has the document of the verdict
		for _, sealed := range made {
			fmt.Fprintf(cmd.ErrOrStderr(), "lab: profiled run of arm %s: %s; lab profile show --json or lab profile diff --json has it\n", sealed.Run.Arm, sealed.Run.ID)
		}
		return nil
	}
	for _, sealed := range made {
		fmt.Fprintf(cmd.OutOrStdout(), "\nprofiled run of arm %s, not part of the verdict\n", sealed.Run.Arm)
		if err := report.Capture(cmd.OutOrStdout(), sealed.Run, look(cmd)); err != nil {
			return err
		}
	}
	if len(made) != 2 || made[0].Run.Profile.Lost != "" || made[1].Run.Profile.Lost != "" {
		return nil
	}
	var sides [2][]*profiling.Summary
	for i, sealed := range made {
		paths, err := tracesOfRun(db, sealed.Run.ID)
		if err != nil {
			return err
		}
		summaries, err := readTraces(cmd, paths)
		if err != nil {
			return err
		}
		for j := range summaries {
			sides[i] = append(sides[i], &summaries[j])
		}
	}
	fmt.Fprintln(cmd.OutOrStdout(), "\nevidence: the two profiled runs, step by step")
	return report.ProfileDiff(cmd.OutOrStdout(), profiling.Diff(sides[0], sides[1]), look(cmd))
}
