package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"lab/internal/lab"
	"lab/internal/report"
	"lab/internal/runner"
	"lab/profiling"
	"lab/store"
)

func newProfile() *cobra.Command {
	var o measureOptions
	cmd := &cobra.Command{
		Use:   "profile FILE",
		Short: "Make a profiled run of an experiment, or look into a trace",
		Long: `Make one run of an experiment with vLLM's torch profiler on, and say where the time of a step went.
Such a run is recorded and never judged. The window is what the file's profile block asks for: by default
32 steps of the engine, without Python stacks, from the first request after the warm-up. When the window
opens on a condition (start: steady, queue=8, ttft.p99>500ms), the load of the file must bring it about.

The server's own limit ends the window where its version has one, else lab counts the steps. The traces
lie in the run's folder; lab rm removes them with the run. A capture that the server refused, or of which
not every file came whole, is exit 6; a server that died is exit 5. docs/profiling.md has the rest.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return profiled(cmd, o.pprof, func() error { return profileOne(cmd, args[0], o) })
		},
	}
	o.addFlags(cmd)
	for _, look := range []*cobra.Command{newProfileShow(), newProfileDiff(), newProfilePprof(), newProfileView()} {
		checkArgs(look)
		cmd.AddCommand(look)
	}
	return cmd
}

func newProfileShow() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show ID|FILE",
		Short: "Say where the time of a profiled window went",
		Long: `Read a trace of the torch profiler (*.pt.trace.json or *.pt.trace.json.gz, whoever recorded it) and say
where the time went: steps of prefill, decode and both, how long the GPU was busy, why it was idle,
categories of kernels, the largest kernels, replays of CUDA graphs. A trace without a GPU is summed up
by operator. ID is that of a profiled run; it has a trace for each worker. docs/profiling.md has each figure.

Files of any size are read in one pass. One that breaks off gives what could be read, and says so.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return showProfile(cmd, args[0], asJSON) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the result as one JSON document")
	return cmd
}

func showProfile(cmd *cobra.Command, ref string, asJSON bool) error {
	paths, err := traceOf(cmd, ref)
	if err != nil {
		return err
	}
	summaries, err := readTraces(cmd, paths)
	switch {
	case err != nil:
		return err
	case asJSON && len(summaries) == 1:
		return report.ProfileJSON(cmd.OutOrStdout(), summaries[0])
	case asJSON:
		return report.ProfilesJSON(cmd.OutOrStdout(), summaries)
	}
	return printTraces(cmd, summaries)
}

func readTraces(cmd *cobra.Command, paths []string) ([]profiling.Summary, error) {
	var all []profiling.Summary
	for _, path := range paths {
		summary, err := profiling.Read(cmd.Context(), path)
		if err != nil {
			return nil, traceError(cmd, "profile show", err)
		}
		all = append(all, summary)
	}
	return all, nil
}

func printTraces(cmd *cobra.Command, summaries []profiling.Summary) error {
	for i, summary := range summaries {
		if i > 0 {
			fmt.Fprintln(cmd.OutOrStdout())
		}
		if err := report.Profile(cmd.OutOrStdout(), summary, look(cmd)); err != nil {
			return err
		}
	}
	return nil
}

// profileOne makes a profiled run and prints what it shows.
func profileOne(cmd *cobra.Command, name string, o measureOptions) error {
	b, err := openBench(cmd, o)
	if err != nil {
		return err
	}
	defer b.view.Close()
	ready, err := b.loadToProfile(cmd, name)
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
	sealed, err := b.lab.Profile(cmd.Context(), ready)
	b.view.Close()
	if err != nil {
		return err
	}
	if err := printCapture(cmd, b.lab.DB, sealed, o.json); err != nil {
		return err
	}
	return captureError(cmd, sealed.Run)
}

// printCapture prints the manifest of a capture and the summaries of its traces, those that can be read.
func printCapture(cmd *cobra.Command, db *store.DB, sealed lab.Sealed, asJSON bool) error {
	summaries := []profiling.Summary{}
	var unread error
	for _, f := range sealed.Run.Profile.Traces() {
		found, err := readTraces(cmd, []string{filepath.Join(db.RunDir(sealed.Run.ID), f.Path)})
		if err == nil {
			summaries = append(summaries, found...)
		} else if f.Complete {
			unread = err
			break
		}
	}
	if asJSON {
		if unread != nil {
			return unread
		}
		return report.CaptureJSON(cmd.OutOrStdout(), sealed, summaries)
	}
	if err := report.Capture(cmd.OutOrStdout(), sealed.Run, look(cmd)); err != nil {
		return err
	}
	if unread != nil || len(summaries) == 0 {
		return unread
	}
	fmt.Fprintln(cmd.OutOrStdout())
	return printTraces(cmd, summaries)
}

// captureError is how a profiled run ends the command.
func captureError(cmd *cobra.Command, run lab.Run) error {
	switch {
	case run.Outcome == lab.Failed:
		err := &runner.ServerFailedError{Run: run}
		fmt.Fprintf(cmd.ErrOrStderr(), "lab: profile %s: %v\n", run.ID, err)
		tellFailure(cmd, run)
		return &toldError{exitServer}
	case run.Outcome == lab.Interrupted:
		return interrupted(cmd.Context(), cmd.Context().Err())
	case run.Profile.Lost != "":
		fmt.Fprintf(cmd.ErrOrStderr(), "lab: profile %s is lost: %s\n", run.ID, run.Profile.Lost)
		return &toldError{exitInvalid}
	}
	return nil
}

// profileAfter makes the profiled run of a file that asks for one, after its measured run.
func profileAfter(cmd *cobra.Command, b *bench, ready runner.Ready, asJSON bool) error {
	if ready.Experiment.Profile == nil {
		return nil
	}
	sealed, err := b.lab.Profile(cmd.Context(), ready)
	b.view.Close()
	if err != nil {
		return err
	}
	if asJSON { // stdout has the document of the measured run
		fmt.Fprintf(cmd.ErrOrStderr(), "lab: profiled run %s: lab profile show --json %s\n", sealed.Run.ID, sealed.Run.ID)
	} else {
		fmt.Fprintln(cmd.OutOrStdout())
		if err := printCapture(cmd, b.lab.DB, sealed, false); err != nil {
			return err
		}
	}
	return captureError(cmd, sealed.Run)
}
