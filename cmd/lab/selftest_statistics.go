package main

import (
	"errors"

	"github.com/spf13/cobra"

	"lab/internal/compare"
	"lab/internal/report"
)

func newSelftestStatistics() *cobra.Command {
	var trials int
	var seed uint64
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "statistics",
		Short: "Count how often verdicts err",
		Long: `Count how often verdicts err, over simulated A/Bs that go through the code that judges real ones: equal
arms that are told apart and slowdowns that are found, under several kinds of noise, beside what they may be.
Exit 1 where one is out of bounds.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if trials < 100 {
				return &usageError{errors.New("selftest statistics: --trials must be at least 100: of fewer the shares say nothing")}
			}
			counts := compare.CountErrors(trials, seed)
			print := func() error { return report.ErrorCounts(cmd.OutOrStdout(), counts, look(cmd)) }
			if asJSON {
				print = func() error { return report.ErrorCountsJSON(cmd.OutOrStdout(), counts) }
			}
			if err := print(); err != nil {
				return err
			}
			if !counts.Passed {
				return &toldError{exitInternal}
			}
			return nil
		},
	}
	cmd.Flags().IntVar(&trials, "trials", 2000, "A/Bs a line")
	cmd.Flags().Uint64Var(&seed, "seed", 1, "of the simulation")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the result as one JSON document")
	return cmd
}
