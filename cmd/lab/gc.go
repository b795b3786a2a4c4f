package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"lab/supervisor"
)

func newGC() *cobra.Command {
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "gc",
		Short: "End servers that a killed lab left running, and only those",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return gc(cmd, dryRun) },
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "name them and stop")
	return cmd
}

func gc(cmd *cobra.Command, dryRun bool) error {
	dir, err := dataDir(cmd)
	if err != nil {
		return err
	}
	orphans, failed := supervisor.Orphans(stateDir(dir)) // an unreadable note does not keep the others from being cleaned
	out := cmd.OutOrStdout()
	if len(orphans) == 0 && failed == nil {
		fmt.Fprintln(out, "nothing was left behind")
	}
	for _, o := range orphans {
		if dryRun {
			fmt.Fprintf(out, "would end %s\n", o)
			continue
		}
		if err := o.Clean(cmd.Context()); err != nil {
			failed = errors.Join(failed, fmt.Errorf("end %s: %w", o, err))
			continue
		}
		fmt.Fprintf(out, "ended %s\n", o)
	}
	return failed
}
