package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"lab/internal/correlate"
	"lab/internal/lab"
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
		Short: "Show a run, the verdict of an A/B, or the cells of a sweep",
		Long: `Show a run: what was asked, what the server said of itself, the numbers and what is doubtful about them,
and small pictures of what changed over time and of how TTFT lies (--json holds their data).
ID is a run's, an A/B's or a sweep's, any unique prefix of it, @last or @last~1 (of the runs). With --hardware: what the GPU, the host
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
		if sweep, sweepErr := db.ResolveSweep(ref); sweepErr == nil {
			return showSweep(cmd, db, sweep, o)
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
	return showRun(cmd, db, id, o.json)
}

// showSweep prints the table of a sweep from the store, however far it has come.
func showSweep(cmd *cobra.Command, db *store.DB, sweep lab.Sweep, o showOptions) error {
	if o.log || o.hardware {
		return &usageError{fmt.Errorf("lab show: %s is a sweep, which has many runs: name one of them for its log or its hardware", sweep.ID)}
	}
	cells, err := readout.Sweep(db, sweep)
	if err != nil {
		return err
	}
	if o.json {
		return report.SweepJSON(cmd.OutOrStdout(), sweep, cells)
	}
	return report.Sweep(cmd.OutOrStdout(), sweep, cells, look(cmd))
}

// jsonWindows is how many windows of time a document has at most.
const jsonWindows = 200

// showRun prints a run with its pictures.
func showRun(cmd *cobra.Command, db *store.DB, id string, json bool) error {
	sealed, err := readout.Run(db, id)
	if err != nil {
		return err
	}
	tables, err := db.Tables(id)
	if err != nil {
		return err
	}
	out, o := cmd.OutOrStdout(), look(cmd)
	if json {
		return report.ShowJSON(out, sealed, report.PlotsOf(sealed.Run, tables, jsonWindows))
	}
	if err := report.Run(out, sealed, o); err != nil {
		return err
	}
	if err := report.HardwareLine(out, id, correlate.Explain(sealed.Run, tables), o); err != nil {
		return err
	}
	if columns(out) == 0 {
		o.Width = plainWidth
	}
	return report.Plot(out, report.PlotsOf(sealed.Run, tables, report.PlotColumns(o)), sealed.Run, sealed.Summary, o)
}

// plainWidth is how wide pictures are where nobody knows how wide the screen is on which they are looked at.
const plainWidth = 80

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
