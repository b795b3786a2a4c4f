package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"lab/internal/readout"
	"lab/internal/report"
)

func newBaselineList() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the baselines of the store",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			db, err := openStore(cmd)
			if err != nil {
				return err
			}
			captures, err := db.Baselines()
			if err != nil {
				return err
			}
			if asJSON {
				return report.BaselinesJSON(cmd.OutOrStdout(), captures)
			}
			return report.Baselines(cmd.OutOrStdout(), captures, look(cmd))
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the result as one JSON document")
	return cmd
}

func newBaselineHistory() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "history NAME",
		Short: "Show every run of a baseline's configuration over time, and where it changed for good",
		Args:  cobra.ExactArgs(1),
		RunE:  func(cmd *cobra.Command, args []string) error { return baselineHistory(cmd, args[0], asJSON) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the result as one JSON document")
	return cmd
}

func baselineHistory(cmd *cobra.Command, name string, asJSON bool) error {
	db, err := openStore(cmd)
	if err != nil {
		return err
	}
	was, _, err := db.Standing(name)
	if err != nil {
		return err
	}
	h, err := readout.History(db, was)
	if err != nil {
		return err
	}
	if asJSON {
		return report.HistoryJSON(cmd.OutOrStdout(), name, h)
	}
	return report.History(cmd.OutOrStdout(), name, h, look(cmd))
}

func newBaselineRm() *cobra.Command {
	return &cobra.Command{
		Use:   "rm NAME",
		Short: "Forget a baseline; its runs stay",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			db, err := openStore(cmd)
			if err != nil {
				return err
			}
			if _, err := db.ResolveBaseline(args[0]); err != nil {
				return err
			}
			captures, err := db.Baselines()
			if err != nil {
				return err
			}
			for _, c := range captures {
				if c.Name != args[0] {
					continue
				}
				var ids []string
				for _, e := range c.Runs {
					ids = append(ids, e.ID)
				}
				if err := db.Mark(ids, nil); err != nil {
					return err
				}
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "forgot baseline %s; its runs stay\n", args[0])
			return nil
		},
	}
}
