package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"lab/internal/report"
	"lab/profiling"
)

func newProfile() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "profile",
		Short: "Look into profiles of vLLM",
		Long:  "Look into the traces that vLLM's torch profiler writes.",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	show := newProfileShow()
	checkArgs(show)
	cmd.AddCommand(show)
	for _, look := range []*cobra.Command{newProfileDiff(), newProfilePprof(), newProfileView()} {
		checkArgs(look)
		cmd.AddCommand(look)
	}
	return cmd
}

func newProfileShow() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show FILE",
		Short: "Say where the time of a profiled window went",
		Long: `Read a trace of the torch profiler (*.pt.trace.json or *.pt.trace.json.gz, whoever recorded it) and say
where the time went: steps of prefill, decode and both, how long the GPU was busy, why it was idle,
categories of kernels, the largest kernels, replays of CUDA graphs. A trace without a GPU is summed up
by operator. docs/profiling.md has each figure.

Files of any size are read in one pass. One that breaks off gives what could be read, and says so.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return showProfile(cmd, args[0], asJSON) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the result as one JSON document")
	return cmd
}

func showProfile(cmd *cobra.Command, name string, asJSON bool) error {
	summary, err := profiling.Read(cmd.Context(), name)
	if errors.As(err, new(*profiling.NotTraceError)) {
		return &fileError{fmt.Errorf("profile show: %w", err)}
	}
	if err != nil {
		return interrupted(cmd.Context(), err)
	}
	if asJSON {
		return report.ProfileJSON(cmd.OutOrStdout(), summary)
	}
	return report.Profile(cmd.OutOrStdout(), summary, look(cmd))
}
