package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newRm() *cobra.Command {
	return &cobra.Command{
		Use:   "rm ID...",
		Short: "Remove runs and their files from the store",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			db, err := openStore(cmd)
			if err != nil {
				return err
			}
			ids := make([]string, len(args))
			for i, ref := range args { // all are known before any is removed
				if ids[i], err = db.Resolve(ref); err != nil {
					return err
				}
			}
			for _, id := range ids {
				if err := db.Remove(id); err != nil {
					return err
				}
				fmt.Fprintf(cmd.ErrOrStderr(), "removed %s\n", id)
			}
			return nil
		},
	}
}
