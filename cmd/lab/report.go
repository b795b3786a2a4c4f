package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"lab/internal/report/page"
	"lab/store"
)

type reportOptions struct {
	out      string
	lang     string
	baseline string
}

func newReport() *cobra.Command {
	var o reportOptions
	cmd := &cobra.Command{
		Use:   "report ID",
		Short: "Write a run or an A/B as one HTML page that needs no network",
		Long: `Write a run, or the verdict of an A/B, as one HTML file to send to somebody: the result, what was measured and on
what, latency, throughput, everything over time with one crosshair, single requests, stalls with their causes, energy,
errors, what is doubtful, and how to do it again. It holds everything it shows, works without a network and on paper,
and without scripts. The same records give the same file.

ID is a run's or an A/B's, any unique prefix of it, @last or @last~1. The figures of a run are set beside the last
baseline of the same load on the same machine, where there is one.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.lang != "en" && o.lang != "zh" {
				return &usageError{fmt.Errorf("lab report: --lang is %q; it is en or zh", o.lang)}
			}
			return writeReport(cmd, args[0], o)
		},
	}
	cmd.Flags().StringVarP(&o.out, "output", "o", "", "`FILE` to write (default report-ID.html); - is stdout")
	cmd.Flags().StringVar(&o.lang, "lang", "en", "language of the page: en or zh; sentences that other commands print stay English")
	cmd.Flags().StringVar(&o.baseline, "baseline", "", "of a run: set its figures beside the baseline `NAME`")
	return cmd
}

func writeReport(cmd *cobra.Command, ref string, o reportOptions) error {
	db, err := openStore(cmd)
	if err != nil {
		return err
	}
	id, document, err := reportOn(cmd.Context(), db, ref, page.Asked{Lang: o.lang, Lab: version(), Baseline: o.baseline})
	if err != nil {
		return err
	}
	var html bytes.Buffer
	if err := document.WriteHTML(&html); err != nil {
		return err
	}
	if o.out == "-" {
		_, err := cmd.OutOrStdout().Write(html.Bytes())
		return err
	}
	if o.out == "" {
		o.out = "report-" + id + ".html"
	}
	if err := save(o.out, html.Bytes()); err != nil {
		return err
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), o.out)
	return err
}

// reportOn makes the page of a run or of an A/B, whichever the reference means.
func reportOn(ctx context.Context, db *store.DB, ref string, asked page.Asked) (string, page.Document, error) {
	id, err := db.Resolve(ref)
	var unknown *store.RefError
	if errors.As(err, &unknown) {
		if plan, planErr := db.ResolvePlan(ref); planErr == nil {
			document, err := page.LoadAB(ctx, db, plan, asked)
			return plan.ID, document, err
		}
	}
	if err != nil {
		return "", page.Document{}, err
	}
	document, err := page.LoadRun(ctx, db, id, asked)
	return id, document, err
}
