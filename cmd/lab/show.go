package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"lab/internal/readout"
	"lab/internal/report"
	"lab/store"
)

type showOptions struct {
	json     bool
	log      bool
	hardware bool
}

func newShow() *cobra.Command {
	var o showOptions
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show a run, or the verdict of an A/B",
		Long: `Show a run: what was asked, what the server said of itself, the numbers and what is doubtful about them.
ID is a run's or an A/B's, any unique prefix of it, @last or @last~1. With --hardware: what the GPU, the host
and the engine did beside the load, where the energy went, and what each stall of the streams goes back to.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return show(cmd, args[0], o) },
	}
	cmd.Flags().BoolVar(&o.json, "json", false, "print the result as one JSON document")
	cmd.Flags().BoolVar(&o.log, "log", false, "print the server's log instead")
	cmd.Flags().BoolVar(&o.hardware, "hardware", false, "print what the hardware did and what it says about latency instead")
	return cmd
}

func show(cmd *cobra.Command, ref string, o showOptions) error {
	db, err := openStore(cmd)
	if err != nil {
		return err
	}
	id, err := db.Resolve(ref)
	var unknown *store.RefError
	if errors.As(err, &unknown) {
		if plan, planErr := db.ResolvePlan(ref); planErr == nil {
			if o.hardware {
				return showPlanHardware(cmd, db, plan, o.json)
			}
			return printVerdict(cmd, db, plan, o.json, gateOptions{})
		}
	}
	if err != nil {
		return err
	}
	if o.log {
		return showLog(cmd, db, id)
	}
	if o.hardware {
		return showHardware(cmd, db, id, o.json)
	}
	sealed, err := readout.Run(db, id)
	if err != nil {
		return err
	}
	if o.json {
		return report.RunJSON(cmd.OutOrStdout(), sealed)
	}
	if err := report.Run(cmd.OutOrStdout(), sealed, look(cmd)); err != nil {
		return err
	}
	h, err := readout.Hardware(db, id)
	if err != nil {
		return err
	}
	return report.HardwareLine(cmd.OutOrStdout(), id, h, look(cmd))
}

func showLog(cmd *cobra.Command, db *store.DB, id string) error {
	tables, err := db.Tables(id)
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	for _, line := range tables.Log {
		stream := "out"
		if line.Stderr {
			stream = "err"
		}
		if _, err := fmt.Fprintf(out, "%8.3f %s | %s\n", line.At.Seconds(), stream, line.Text); err != nil {
			return err
		}
	}
	return nil
}
