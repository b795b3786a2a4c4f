package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"lab/internal/report/page"
	"lab/profiling"
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
		Use:   "report ID|BASELINE|TRACE [TRACE]",
		Short: "Write a run, an A/B, a sweep, a baseline or a profile as one HTML page that needs no network",
		Long: `Write a result as one HTML file to send to somebody. It holds everything it shows, works without a network and on
paper, and without scripts. The same records give the same file.

  a run, an A/B   the result, what was measured and on what, latency, throughput, everything over time with one
                  crosshair, single requests, stalls with their causes, energy, errors, what is doubtful
  a sweep         maps over what varies, throughput against latency with the front of what nothing beats, a ranking
                  that says which cells are not told apart, what each cell ran, what failed
  a baseline      by its name: its values over time with intervals, lasting changes, checks and their calls, what of
                  the machine changed
  a trace file    of the torch profiler: where the time went; two traces or profiled runs: what changed in a step

ID is that of a run, an A/B or a sweep, any unique prefix of it, @last or @last~1 (of the runs). The figures of a run are
set beside the last baseline of the same load on the same machine, where there is one.`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.lang != "en" && o.lang != "zh" {
				return &usageError{fmt.Errorf("lab report: --lang is %q; it is en or zh", o.lang)}
			}
			if o.out != "" && o.out != "-" {
				if err := writable(o.out); err != nil {
					return &usageError{fmt.Errorf("lab report: --output %s: %w", o.out, err)}
				}
			}
			return writeReport(cmd, args, o)
		},
	}
	cmd.Flags().StringVarP(&o.out, "output", "o", "", "`FILE` to write (default report-ID.html); - is stdout")
	cmd.Flags().StringVar(&o.lang, "lang", "en", "language of the page: en or zh; sentences that other commands print stay English")
	cmd.Flags().StringVar(&o.baseline, "baseline", "", "of a run: set its figures beside the baseline `NAME`")
	return cmd
}

func writeReport(cmd *cobra.Command, refs []string, o reportOptions) error {
	id, document, err := documentOf(cmd, refs, page.Asked{Lang: o.lang, Lab: version(), Baseline: o.baseline})
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

// documentOf makes the page that the references mean. What is a file is a trace.
func documentOf(cmd *cobra.Command, refs []string, asked page.Asked) (id string, d page.Document, err error) {
	if len(refs) == 2 {
		d, err = reportOnTwo(cmd, refs[0], refs[1], asked)
		return "diff", d, err
	}
	if plainFile(refs[0]) {
		d, err = reportOnTrace(cmd, refs[0], asked)
		name, _, _ := strings.Cut(filepath.Base(refs[0]), ".")
		return name, d, err
	}
	db, err := openStore(cmd)
	if err != nil {
		return "", d, err
	}
	return reportOn(cmd.Context(), db, refs[0], asked)
}

// reportOn makes the page of what a reference means in the store: a run, an A/B, a sweep, or the name of a baseline.
func reportOn(ctx context.Context, db *store.DB, ref string, asked page.Asked) (name string, d page.Document, err error) {
	id, none := db.Resolve(ref)
	if none == nil {
		d, err = page.LoadRun(ctx, db, id, asked)
		return id, d, err
	}
	plan, err := db.ResolvePlan(ref)
	if err == nil {
		d, err = page.LoadAB(ctx, db, plan, asked)
		return plan.ID, d, err
	}
	sweep, errSweep := db.ResolveSweep(ref)
	if errSweep == nil {
		d, err = page.LoadSweep(db, sweep, asked)
		return sweep.ID, d, err
	}
	was, errBaseline := db.ResolveBaseline(ref)
	if errBaseline == nil {
		d, err = page.LoadBaseline(db, was, asked)
		return was.Name, d, err
	}
	return "", d, nothingCalled(ref, none, err, errSweep, errBaseline)
}

// nothingCalled says what is wrong with a reference, from what was answered to each way of reading it.
func nothingCalled(ref string, answers ...error) error {
	for _, err := range answers {
		var unknown *store.RefError
		if !errors.As(err, &unknown) || len(unknown.Candidates) > 0 {
			return err
		}
	}
	return &store.RefError{Ref: ref, What: "run, A/B, sweep, baseline or file"}
}

func reportOnTrace(cmd *cobra.Command, path string, asked page.Asked) (page.Document, error) {
	traces, err := readTraces(cmd, []string{path})
	if err != nil {
		return page.Document{}, err
	}
	return page.Trace(page.TraceView{Lang: asked.Lang, Lab: asked.Lab, Trace: traces[0]}), nil
}

// reportOnTwo shows what changed in a step between two profiles.
func reportOnTwo(cmd *cobra.Command, a, b string, asked page.Asked) (page.Document, error) {
	left, err := captures(cmd, a)
	if err != nil {
		return page.Document{}, err
	}
	right, err := captures(cmd, b)
	if err != nil {
		return page.Document{}, err
	}
	return page.ProfileDiff(page.ProfileDiffView{Lang: asked.Lang, Lab: asked.Lab, A: a, B: b, Diff: profiling.Diff(left, right)}), nil
}
