package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"lab/internal/kit"
)

type aggregateOptions struct {
	runs    []string
	headers string
	excel   bool
	output  string
}

func newAggregate() *cobra.Command {
	var o aggregateOptions
	cmd := &cobra.Command{
		Use:   "aggregate [DIR]",
		Short: "Gather results of vllm bench serve, or runs, in one CSV",
		Long: `Gather the result files (*.json) of a folder, results/ unless you name one, in DIR/aggregate_results.csv:
a row for each result, a column for each key in the order of first appearance, then input_len and
output_len (from io256x128 in the name of the file) and filename. Files of vLLM of any age are read,
those with several results of --append-result too.

Mappings are spread with dots. Lists (latencies, queue_times, what --save-detailed adds) have no
single value and are left out. Numbers are written as pandas writes them, but whole numbers stay
whole where some are missing; what is missing is empty. The key "request_goodput:" of some versions
goes into the column request_goodput. A result that was read before under another name is left out.

A file that cannot be read is named, the others go on, and the exit code is 3.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return aggregate(cmd, args, o) },
	}
	cmd.Flags().StringSliceVar(&o.runs, "runs", nil, "take runs of the store too: ids of runs, of an A/B or of a sweep, @last, separated by commas")
	cmd.Flags().StringVar(&o.headers, "headers", "en", "names of the columns: en, zh or both (two rows)")
	cmd.Flags().BoolVar(&o.excel, "excel", false, "begin with the byte order mark by which Excel knows UTF-8")
	cmd.Flags().StringVar(&o.output, "output", "", "file to write (default DIR/aggregate_results.csv)")
	return cmd
}

func aggregate(cmd *cobra.Command, args []string, o aggregateOptions) error {
	headers := kit.Headers(o.headers)
	if headers != kit.EnglishHeader && headers != kit.ChineseHeader && headers != kit.BothHeaders {
		return &usageError{fmt.Errorf("lab aggregate: --headers %q is not one of en, zh, both", o.headers)}
	}
	dir := "results"
	if len(args) > 0 {
		dir = args[0]
	}
	g := gathering{cmd: cmd, seen: map[string]string{}}
	if _, err := os.Stat(dir); err == nil || len(args) > 0 || len(o.runs) == 0 { // runs alone need no folder
		if err := g.files(dir); err != nil {
			return err
		}
	}
	if err := g.runs(o.runs); err != nil {
		return err
	}
	if g.table.Rows() == 0 {
		return &fileError{fmt.Errorf("aggregate %s: no result is in it: it takes the *.json files of vllm bench serve, or runs with --runs", dir)}
	}
	output := o.output
	if output == "" {
		output = filepath.Join(dir, "aggregate_results.csv")
	}
	var text bytes.Buffer
	if err := g.table.CSV(&text, headers, o.excel); err != nil {
		return err
	}
	if err := save(output, text.Bytes()); err != nil {
		return err
	}
	if lists := g.table.LeftOut(); len(lists) > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "lists left out: %s\n", strings.Join(lists, ", "))
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s: %d results, %d columns\n", output, g.table.Rows(), len(g.table.Columns()))
	if g.broken > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "lab: %d of the files could not be read, see above\n", g.broken)
		return &toldError{exitConfig}
	}
	return nil
}

// gathering fills the table and tells what it leaves out.
type gathering struct {
	cmd    *cobra.Command
	table  kit.Aggregate
	seen   map[string]string // hash of a result, and its occasion: the file it was first in
	broken int
}

func (g *gathering) tell(format string, args ...any) {
	fmt.Fprintf(g.cmd.ErrOrStderr(), format+"\n", args...)
}

// files takes every result file of a folder, in order of their names.
func (g *gathering) files(dir string) error {
	names, err := resultFiles(dir)
	if err != nil {
		return &fileError{fmt.Errorf("aggregate: %w (name the folder of the results, or runs with --runs)", err)}
	}
	for _, name := range names {
		if err := g.file(name); err != nil {
			g.broken++
			g.tell("lab: %v", err)
		}
	}
	return nil
}

func (g *gathering) file(name string) error {
	documents, err := kit.Documents(name)
	if err != nil {
		return err
	}
	var faults error
	for i, document := range documents {
		hash := kit.Hash(document)
		if first, again := g.seen[hash]; again {
			g.tell("%s: the same result as in %s, left out", numbered(name, i, len(documents)), first)
			continue
		}
		g.seen[hash] = numbered(name, i, len(documents))
		if occasion := kit.Occasion(document); occasion != "" {
			g.seen[occasion] = g.seen[hash]
		}
		input, output := kit.LengthsIn(name)
		if err := g.table.Add(filepath.Base(name), document, input, output); err != nil {
			faults = errors.Join(faults, fmt.Errorf("read result %s: %w", numbered(name, i, len(documents)), err))
		}
	}
	return faults
}

// runs takes runs of the store, measured by the kit's definitions.
func (g *gathering) runs(refs []string) error {
	if len(refs) == 0 {
		return nil
	}
	db, err := openStore(g.cmd)
	if err != nil {
		return err
	}
	ids, err := db.ResolveRuns(refs)
	if err != nil {
		return err
	}
	for _, id := range ids {
		results, err := resultsOf(db, id)
		if err != nil {
			return err
		}
		for _, r := range results {
			if first, again := g.seen[kit.Occasion(r.document)]; again { // lab sweep has written it there
				g.tell("%s: the same result as in %s, left out", r.name, first)
				continue
			}
			if err := g.table.Add(r.name, r.document, r.input, r.output); err != nil {
				return fmt.Errorf("read result of run %s: %w", id, err)
			}
		}
	}
	return nil
}

// resultFiles lists the result files of a folder by name. The copies that vLLM makes for PyTorch's benchmark are none.
func resultFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir) // sorted by name
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if name := e.Name(); strings.HasSuffix(name, ".json") && !strings.HasSuffix(name, ".pytorch.json") && !e.IsDir() {
			names = append(names, filepath.Join(dir, name))
		}
	}
	return names, nil
}

// numbered names one of several results in a file.
func numbered(name string, i, n int) string {
	if n == 1 {
		return name
	}
	return fmt.Sprintf("%s (result %d of %d)", name, i+1, n)
}
