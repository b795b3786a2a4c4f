package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"lab/internal/kit"
	"lab/internal/lab"
	"lab/internal/readout"
	"lab/internal/report"
	"lab/store"
)

type exportOptions struct {
	format string
	output string
}

func newExport() *cobra.Command {
	var o exportOptions
	cmd := &cobra.Command{
		Use:   "export REF...",
		Short: "Write runs in a form that other programs read",
		Long: `Write runs in a form that other programs read. REF is the id of a run, of an A/B (all its measured
runs) or of a sweep (the runs that came to their end), any unique prefix of one, @last or @last~1.

  json      the run document, as lab show --json prints it
  jsonl     a line for each request, times in seconds
  csv       a row for each run, in the columns of lab aggregate
  vllm      the result JSON of vllm bench serve, computed from the records by its definitions (an
            imported run: as it came)
  benchfmt  the format of Go benchmarks, for benchstat: a line for each run; runs of both arms of an
            A/B differ in /arm (benchstat -col /arm)
  parquet   the tables requests, chunks, samples and events as files in DIR/ID/

Without --output the result goes to stdout; a folder (it exists, or ends in /) gets a file for each
run. Files are replaced as a whole.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return export(cmd, args, o) },
	}
	cmd.Flags().StringVar(&o.format, "format", "json", "json, jsonl, csv, vllm, benchfmt or parquet")
	cmd.Flags().StringVar(&o.output, "output", "", "file, or folder, to write (default stdout)")
	return cmd
}

func export(cmd *cobra.Command, refs []string, o exportOptions) error {
	write, known := exportFormats()[o.format]
	if !known && o.format != "parquet" {
		return &usageError{fmt.Errorf("lab export: --format %q is not one of json, jsonl, csv, vllm, benchfmt, parquet", o.format)}
	}
	db, err := openStore(cmd)
	if err != nil {
		return err
	}
	ids, err := db.ResolveRuns(refs)
	if err != nil {
		return err
	}
	info, err := os.Stat(o.output)
	folder := strings.HasSuffix(o.output, "/") || err == nil && info.IsDir()
	switch {
	case o.format == "parquet" && (o.output == "" || err == nil && !info.IsDir()):
		return &usageError{errors.New("lab export: parquet is several files: name a folder with --output DIR")}
	case o.format == "parquet":
		return exportTables(cmd, db, ids, o.output)
	case folder:
		return exportEach(cmd, db, ids, o, write)
	case o.format == "json" && len(ids) > 1:
		return &usageError{fmt.Errorf("lab export: json is one document a run, these are %d: name a folder with --output DIR/", len(ids))}
	}
	var text bytes.Buffer
	if err := write(&text, db, ids); err != nil {
		return err
	}
	if o.output == "" {
		_, err := cmd.OutOrStdout().Write(append(bytes.TrimSuffix(text.Bytes(), []byte("\n")), '\n'))
		return err
	}
	return saveTold(cmd, o.output, text.Bytes())
}

// exportEach writes a file for each run.
func exportEach(cmd *cobra.Command, db *store.DB, ids []string, o exportOptions, write exporter) error {
	ending := map[string]string{"vllm": "json", "benchfmt": "txt"}[o.format]
	if ending == "" {
		ending = o.format
	}
	for _, id := range ids {
		var text bytes.Buffer
		if err := write(&text, db, []string{id}); err != nil {
			return err
		}
		name := id
		if o.format == "vllm" {
			results, err := resultsOf(db, id)
			if err != nil {
				return err
			}
			if r := results[0]; r.input > 0 && r.output > 0 { // lab aggregate reads them from the name
				name += fmt.Sprintf("_io%dx%d", r.input, r.output)
			}
		}
		if err := saveTold(cmd, filepath.Join(o.output, name+"."+ending), text.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

func saveTold(cmd *cobra.Command, name string, content []byte) error {
	if err := save(name, content); err != nil {
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "wrote %s\n", name)
	return nil
}

func exportTables(cmd *cobra.Command, db *store.DB, ids []string, dir string) error {
	for _, id := range ids {
		s, err := db.Sealed(id)
		if err != nil {
			return err
		}
		tables, err := db.Tables(id)
		if err != nil {
			return err
		}
		files, err := store.Parquet(s.Run, tables)
		if err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(files)) {
			if err := saveTold(cmd, filepath.Join(dir, id, name), files[name]); err != nil {
				return err
			}
		}
	}
	return nil
}

// exporter writes runs as one text.
type exporter func(w io.Writer, db *store.DB, ids []string) error

func exportFormats() map[string]exporter {
	return map[string]exporter{
		"json": func(w io.Writer, db *store.DB, ids []string) error {
			s, err := readout.Run(db, ids[0])
			if err != nil {
				return err
			}
			return report.RunJSON(w, s)
		},
		"jsonl":    exportRequests,
		"csv":      exportCSV,
		"vllm":     exportVLLM,
		"benchfmt": exportBenchmarks,
	}
}

func exportRequests(w io.Writer, db *store.DB, ids []string) error {
	for _, id := range ids {
		tables, err := db.Tables(id)
		if err != nil {
			return err
		}
		if err := report.Requests(w, id, tables.Requests); err != nil {
			return err
		}
	}
	return nil
}

func exportCSV(w io.Writer, db *store.DB, ids []string) error {
	var table kit.Aggregate
	for _, id := range ids {
		results, err := resultsOf(db, id)
		if err != nil {
			return err
		}
		for _, r := range results {
			if err := table.Add(r.name, r.document, r.input, r.output); err != nil {
				return fmt.Errorf("read result of run %s: %w", id, err)
			}
		}
	}
	return table.CSV(w, kit.EnglishHeader, false)
}

// exportVLLM writes a result a line, as --append-result does: the last one ends without a line end.
func exportVLLM(w io.Writer, db *store.DB, ids []string) error {
	var lines [][]byte
	for _, id := range ids {
		results, err := resultsOf(db, id)
		if err != nil {
			return err
		}
		for _, r := range results {
			lines = append(lines, r.document)
		}
	}
	_, err := w.Write(bytes.Join(lines, []byte("\n")))
	return err
}

func exportBenchmarks(w io.Writer, db *store.DB, ids []string) error {
	var runs []lab.Sealed
	for _, id := range ids {
		s, err := readout.Run(db, id)
		if err != nil {
			return err
		}
		runs = append(runs, s)
	}
	return report.Benchmarks(w, runs)
}
