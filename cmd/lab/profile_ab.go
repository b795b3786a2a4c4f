package main

import (
	"github.com/spf13/cobra"

	"lab/internal/lab"
	"lab/internal/report"
	"lab/internal/runner"
	"lab/profiling"
)

// profileArms makes a profiled run of each arm that asks for one, after the measured ones. What becomes of them takes nothing
// from the verdict: it is told, and is how the command ends only where the verdict does not say otherwise.
func profileArms(cmd *cobra.Command, b *bench, plan lab.Plan, readyA, readyB runner.Ready) ([]lab.Sealed, error) {
	defer b.view.Close()
	var made []lab.Sealed
	for _, arm := range []struct {
		name  string
		ready runner.Ready
	}{{"A", readyA}, {"B", readyB}} {
		if arm.ready.Experiment.Profile == nil {
			continue
		}
		sealed, err := b.lab.ProfileArm(cmd.Context(), plan, arm.name, arm.ready)
		if err != nil {
			return made, err
		}
		made = append(made, sealed)
		if sealed.Run.Outcome != lab.Complete || sealed.Run.Profile.Lost != "" {
			b.view.Close() // before a word is said of it
			return made, captureError(cmd, sealed.Run)
		}
	}
	return made, nil
}

// evidence is what the profiled runs of the arms show. It is no part of the verdict; the error says that a trace that was whole
// cannot be read.
func evidence(cmd *cobra.Command, made []lab.Sealed) (*report.ArmProfiles, error) {
	if len(made) == 0 {
		return nil, nil
	}
	arms := &report.ArmProfiles{}
	for i := range made {
		if run := &made[i].Run; run.Arm == "A" {
			arms.A = run
		} else {
			arms.B = run
		}
	}
	if arms.A == nil || arms.B == nil || arms.A.Profile.Lost != "" || arms.B.Profile.Lost != "" {
		return arms, nil
	}
	left, err := captures(cmd, arms.A.ID)
	if err != nil {
		return arms, err
	}
	right, err := captures(cmd, arms.B.ID)
	if err != nil {
		return arms, err
	}
	diff := profiling.Diff(left, right)
	arms.Diff = &diff
	return arms, nil
}
