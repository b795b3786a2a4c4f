package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"lab/internal/report"
	"lab/internal/report/chart"
)

func newVisualize() *cobra.Command {
	var o report.Pictures
	var table, dir, lang string
	cmd := &cobra.Command{
		Use:   "visualize",
		Short: "Draw the results of a table: pictures, an offline dashboard, a report",
		Long: `Reads the table that lab aggregate writes and draws it into a folder:

  --throughput   throughput_analysis.png and .svg
  --latency      latency_analysis.png and .svg
  --interactive  interactive_dashboard.html, one file that works without a network
  --report       performance_report.txt, with the best configurations and ratings
  --all          all of these, concurrency_performance and performance_comparison (also the default)

Rows of the same input, output and concurrency are repeats: the pictures show their spread.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if lang != "en" && lang != "zh" {
				return &usageError{fmt.Errorf("lab visualize: --lang is %q; it is en or zh", lang)}
			}
			o.Chinese = lang == "zh"
			o.All = o.All || !(o.Throughput || o.Latency || o.Interactive || o.Report)
			return visualize(cmd, table, dir, o)
		},
	}
	flags := cmd.Flags()
	flags.BoolVarP(&o.Throughput, "throughput", "t", false, "draw the throughput")
	flags.BoolVarP(&o.Latency, "latency", "l", false, "draw the latencies")
	flags.BoolVarP(&o.Interactive, "interactive", "i", false, "write the dashboard")
	flags.BoolVarP(&o.Report, "report", "r", false, "write the report")
	flags.BoolVar(&o.All, "all", false, "write everything")
	flags.StringVarP(&table, "csv", "c", "results/aggregate_results.csv", "table to read")
	flags.StringVarP(&dir, "output", "o", "figures", "folder to write to")
	flags.StringVar(&lang, "lang", "en", "language of the pictures: en or zh")
	return cmd
}

func visualize(cmd *cobra.Command, table, dir string, o report.Pictures) error {
	f, err := os.Open(table)
	if errors.Is(err, fs.ErrNotExist) {
		return &fileError{fmt.Errorf("read %s: no such file; `lab aggregate` writes it, or --csv FILE names another one", table)}
	}
	if err != nil {
		return &fileError{fmt.Errorf("read table: %w", err)}
	}
	defer f.Close()
	data, err := report.ReadAggregate(f, table)
	if err != nil {
		return &fileError{err}
	}
	fonts, err := chart.FindFonts(chart.FontDirs(os.Getenv("HOME"))...)
	if err != nil {
		return err
	}
	files, notes, err := report.Visualize(data, o, fonts)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make output folder: %w", err)
	}
	for _, note := range notes {
		fmt.Fprintln(cmd.ErrOrStderr(), "note: "+note)
	}
	out := cmd.OutOrStdout()
	fmt.Fprint(out, data.DataSummary(o.Chinese))
	fmt.Fprintln(out)
	for _, file := range files {
		name := filepath.Join(dir, file.Name)
		if err := os.WriteFile(name, file.Data, 0o644); err != nil {
			return fmt.Errorf("write picture: %w", err)
		}
		fmt.Fprintln(out, name)
	}
	return nil
}
