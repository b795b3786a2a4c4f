package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"lab/internal/report"
	"lab/profiling"
)

func newProfileDiff() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "diff A B",
		Short: "Say what changed in a step between two profiles",
		Long: `Compare two profiles step by step: how long a step of the same kind and size takes, and in which
category and kernel the difference lies; kernels that are new or vanished. Ramps, waits for requests and the
last step are left out. Where too few steps are of equal size, the comparison is per token, and says so.

A and B are profiled runs or trace files. Several captures of one side, separated by commas, show how much
captures differ by themselves; one a side is called indicative.

  lab profile diff base.pt.trace.json.gz new.pt.trace.json.gz
  lab profile diff a1.json,a2.json b1.json,b2.json`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error { return diffProfiles(cmd, args[0], args[1], asJSON) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the result as one JSON document")
	return cmd
}

func diffProfiles(cmd *cobra.Command, a, b string, asJSON bool) error {
	left, err := captures(cmd, a)
	if err != nil {
		return err
	}
	right, err := captures(cmd, b)
	if err != nil {
		return err
	}
	d := profiling.Diff(left, right)
	if asJSON {
		return report.ProfileDiffJSON(cmd.OutOrStdout(), d)
	}
	return report.ProfileDiff(cmd.OutOrStdout(), d, look(cmd))
}

// captures reads the traces of one side, whose references are separated by commas.
func captures(cmd *cobra.Command, side string) ([]*profiling.Summary, error) {
	var all []*profiling.Summary
	for _, ref := range refs(side) {
		paths, err := traceOf(cmd, ref)
		if err != nil {
			return nil, err
		}
		for _, path := range paths {
			s, err := profiling.Read(cmd.Context(), path)
			if err != nil {
				return nil, traceError(cmd, "profile diff", err)
			}
			all = append(all, &s)
		}
	}
	return all, nil
}

// refs splits a list, unless it is the name of a file.
func refs(list string) []string {
	if _, err := os.Stat(list); err == nil {
		return []string{list}
	}
	return strings.Split(list, ",")
}

// traceError says whether a trace, the user or lab is the cause.
func traceError(cmd *cobra.Command, doing string, err error) error {
	if errors.As(err, new(*profiling.NotTraceError)) {
		return &fileError{fmt.Errorf("%s: %w", doing, err)}
	}
	return interrupted(cmd.Context(), err)
}
