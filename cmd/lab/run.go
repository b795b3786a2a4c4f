package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"lab/internal/lab"
	"lab/internal/report"
	"lab/internal/runner"
)

type runOptions struct{ measureOptions }

func newRun() *cobra.Command {
	var o runOptions
	cmd := &cobra.Command{
		Use:   "run FILE",
		Short: "Make one run of an experiment and print its numbers",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return profiled(cmd, o.pprof, func() error { return runOne(cmd, args[0], o) })
		},
	}
	o.addFlags(cmd)
	return cmd
}

func runOne(cmd *cobra.Command, name string, o runOptions) error {
	b, err := openBench(cmd, o.measureOptions)
	if err != nil {
		return err
	}
	defer b.view.Close()
	ready, err := b.load(cmd, name)
	if err != nil {
		return err
	}
	lock, err := b.lab.Lock(cmd.Context(), ready)
	if err != nil {
		return interrupted(cmd.Context(), err)
	}
	defer lock.Release()
	if ready, err = b.settle(cmd, ready); err != nil {
		return err
	}
	sealed, err := b.lab.Run(cmd.Context(), ready)
	b.view.Close()
	if err != nil {
		return err
	}
	if o.json {
		err = report.RunJSON(cmd.OutOrStdout(), sealed)
	} else {
		err = report.Run(cmd.OutOrStdout(), sealed, look(cmd))
	}
	if err != nil {
		return err
	}
	failed := runError(cmd, sealed.Run)
	if sealed.Run.Outcome != lab.Complete {
		return failed
	}
	after := profileAfter(cmd, b, ready, o.json)
	if after != nil && (failed == nil || !errors.As(after, new(*toldError))) {
		return after
	}
	return failed
}

// settle finds the load point where the file asks for one.
func (b *bench) settle(cmd *cobra.Command, ready runner.Ready) (runner.Ready, error) {
	arms, err := b.lab.LoadPoints(cmd.Context(), ready)
	if err == nil {
		return arms[0], nil
	}
	b.view.Close()
	var failed *runner.ServerFailedError
	if errors.As(err, &failed) {
		return ready, runError(cmd, failed.Run)
	}
	return ready, interrupted(cmd.Context(), err)
}

// runError is how a run that was recorded ends the command.
func runError(cmd *cobra.Command, run lab.Run) error {
	switch {
	case run.Outcome == lab.Failed:
		err := &runner.ServerFailedError{Run: run}
		fmt.Fprintf(cmd.ErrOrStderr(), "lab: %v\n", err)
		tellFailure(cmd, run)
		return &toldError{exitServer}
	case run.Outcome == lab.Interrupted:
		return interrupted(cmd.Context(), cmd.Context().Err())
	case slices.ContainsFunc(run.Findings, func(f lab.Finding) bool { return f.Level == lab.Invalid }): // to be profiled is no fault where it was asked for
		fmt.Fprintln(cmd.ErrOrStderr(), "lab: the measurement is invalid; it is stored and marked")
		return &toldError{exitInvalid}
	}
	return nil
}
