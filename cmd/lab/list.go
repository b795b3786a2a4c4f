package main

import (
	"github.com/spf13/cobra"

	"lab/internal/report"
)

func newList() *cobra.Command {
	var json bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the runs of the store, newest last",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			db, err := openStore(cmd)
			if err != nil {
				return err
			}
			entries, err := db.List()
			if err != nil {
				return err
			}
			if json {
				return report.ListJSON(cmd.OutOrStdout(), entries)
			}
			return report.List(cmd.OutOrStdout(), entries, look(cmd))
		},
	}
	cmd.Flags().BoolVar(&json, "json", false, "print the result as one JSON document")
	return cmd
}
