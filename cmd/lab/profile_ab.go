package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"lab/internal/lab"
	"lab/internal/report"
	"lab/internal/runner"
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

// printEvidence prints below a verdict what the profiled runs show.
func printEvidence(cmd *cobra.Command, made []lab.Sealed, asJSON bool) error {
	if asJSON { // stdout has the document of the verdict
		for _, sealed := range made {
			fmt.Fprintf(cmd.ErrOrStderr(), "lab: profiled run of arm %s: lab profile show --json %s\n", sealed.Run.Arm, sealed.Run.ID)
		}
		return nil
	}
	for _, sealed := range made {
		fmt.Fprintf(cmd.OutOrStdout(), "\nprofile of arm %s (not judged)\n", sealed.Run.Arm)
		if err := report.Capture(cmd.OutOrStdout(), sealed.Run, look(cmd)); err != nil {
			return err
		}
	}
	return nil
}
