package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"lab/internal/kit"
	"lab/internal/lab"
	"lab/internal/report"
	"lab/internal/runner"
)

func newBench() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench [FLAGS of vllm bench serve]",
		Short: "Load a running server as vllm bench serve does, with its flags and its result",
		Long: `Load a running server as vllm bench serve (and benchmark_serving.py before it) does: the same
flags, the same result block on stdout, the same result file; and a record in lab's store, where
what is wrong in that file is right. docs/from-vllm-bench.md goes through the differences.`,
		DisableFlagParsing: true, // the flags are vLLM's, and are read as vLLM reads them
		RunE: func(cmd *cobra.Command, words []string) error {
			args, err := kit.ParseArguments(words)
			if err != nil {
				return err
			}
			if args.Has("help") {
				return cmd.Help()
			}
			if dir := args.Word("dir"); dir != "" {
				if err := cmd.Flags().Set("dir", dir); err != nil {
					return err
				}
			}
			typed := strings.Join(append([]string{"lab bench"}, kit.HideHeaders(words)...), " ")
			return profiled(cmd, args.Word("pprof"), func() error { return benchServer(cmd, args, typed) })
		},
	}
	cmd.SetHelpFunc(func(cmd *cobra.Command, _ []string) { // also for `lab help bench`
		fmt.Fprintln(cmd.OutOrStdout(), cmd.Long)
		kit.WriteHelp(cmd.OutOrStdout())
	})
	return cmd
}

// benchServer makes the run that was typed.
func benchServer(cmd *cobra.Command, args *kit.Arguments, typed string) error {
	experiment, err := args.Experiment()
	if err != nil {
		return err
	}
	if _, err := args.Apply(kit.Bench{}); err != nil { // before anything is measured
		return err
	}
	if err := resultPlace(args); err != nil {
		return err
	}
	o := measureOptions{wait: args.Has("wait"), ui: uiFlag(args.Word("ui"))}
	if args.Has("disable-tqdm") {
		o.ui = "none"
	}
	b, err := openBench(cmd, o)
	if err != nil {
		return err
	}
	defer b.view.Close()
	b.lab.Command = typed
	for _, note := range args.Notes {
		b.view.Print(note)
	}
	sealed, err := b.attach(cmd, args, experiment)
	if err != nil {
		return err
	}
	tables, err := b.lab.DB.Tables(sealed.Run.ID)
	if err != nil {
		return err
	}
	result, err := resultOf(args, sealed, tables)
	if err != nil {
		return err
	}
	fmt.Fprint(cmd.ErrOrStderr(), result.Lists.Failures())
	if args.Has("json") {
		err = report.RunJSON(cmd.OutOrStdout(), sealed)
	} else {
		_, err = fmt.Fprint(cmd.OutOrStdout(), result.Console())
	}
	if err != nil {
		return err
	}
	tellFindings(cmd, sealed.Run)
	if !saves(args) {
		return runError(cmd, sealed.Run)
	}
	if sealed.Run.Outcome == lab.Interrupted { // it would pass for a whole one in lab aggregate
		fmt.Fprintln(cmd.ErrOrStderr(), "No result file is written of a run that was interrupted")
		if result.Completed+result.Failed > 0 {
			fmt.Fprintf(cmd.ErrOrStderr(), "What was measured: lab export --format vllm %s\n", sealed.Run.ID)
		}
	} else if err := saveResult(args, result); err != nil { // last: the block above is not lost by it
		return err
	}
	return runError(cmd, sealed.Run)
}

// attach waits for the server where that was asked for, and makes the run.
func (b *bench) attach(cmd *cobra.Command, args *kit.Arguments, e lab.Experiment) (lab.Sealed, error) {
	ctx := cmd.Context()
	header, err := args.Header()
	if err != nil {
		return lab.Sealed{}, err
	}
	b.lab.Manners = runner.Manners{
		Header: header, Insecure: args.Has("insecure"), RequestID: args.Word("request-id-prefix"), Profile: args.Has("profile"),
	}
	const key = "OPENAI_API_KEY"
	if os.Getenv(key) != "" {
		e.Server.APIKeyEnv = key
	}
	if limit := args.ReadyCheck(); limit > 0 {
		b.view.Show(lab.Status{Title: e.Name, Stage: "waiting for the server", Whole: limit})
		if err := b.lab.AwaitServer(ctx, e.Server, limit); err != nil {
			return lab.Sealed{}, interrupted(ctx, err)
		}
	}
	ready, err := b.lab.Prepare(ctx, e)
	if err != nil {
		return lab.Sealed{}, interrupted(ctx, err)
	}
	lock, err := b.lab.Lock(ctx, ready)
	if err != nil {
		return lab.Sealed{}, interrupted(ctx, err)
	}
	defer lock.Release()
	sealed, err := b.lab.Run(ctx, ready)
	b.view.Close()
	return sealed, err
}

// resultOf measures the run by vLLM's definitions. Where not even one request was sent, all of it is 0, as there.
func resultOf(args *kit.Arguments, sealed lab.Sealed, tables lab.Tables) (kit.Report, error) {
	tally := lab.Tally{Phase: "load"}
	if len(sealed.Summary.Phases) > 0 {
		tally = sealed.Summary.Phases[0]
	}
	b, err := args.Apply(kit.BenchOf(sealed.Run, tally))
	if err != nil {
		return kit.Report{}, err
	}
	b.Spec = kit.Speculation(tables.Samples, tally.Start)
	return b.Of(sealed.Run, tally, tables.Requests), nil
}

// saves says whether a result file was asked for.
func saves(args *kit.Arguments) bool { return args.Has("save-result") || args.Has("append-result") }

// resultPlace makes the folder of the result file before anything is measured, and refuses a name that is a folder's.
func resultPlace(args *kit.Arguments) error {
	if !saves(args) {
		return nil
	}
	name := filepath.Join(args.Word("result-dir"), args.Word("result-filename"))
	if args.Word("result-filename") != "" {
		if info, err := os.Stat(name); err == nil && info.IsDir() {
			return &kit.ArgumentError{Flag: "--result-filename", Problem: name + " is a folder: name a file in it, or say --result-dir"}
		}
		name = filepath.Dir(name)
	}
	if name == "" {
		return nil
	}
	if err := os.MkdirAll(name, 0o777); err != nil {
		return &runner.ObstacleError{Err: fmt.Errorf("make the folder of results: %w", err)}
	}
	return nil
}

// saveResult writes the result file.
func saveResult(args *kit.Arguments, result kit.Report) error {
	name := args.Word("result-filename")
	if name == "" {
		name = result.Bench.FileName()
	}
	name = filepath.Join(args.Word("result-dir"), name)
	if err := kit.AppendResult(name, result.JSON(), args.Has("append-result")); err != nil {
		return fmt.Errorf("%w; the run is stored all the same", err)
	}
	return nil
}

// tellFindings says on stderr what the result block has no place for.
func tellFindings(cmd *cobra.Command, run lab.Run) {
	errOut := cmd.ErrOrStderr()
	for _, f := range run.Findings {
		fmt.Fprintf(errOut, "%s: %s\n", f.Level, f.Detail)
	}
	fmt.Fprintf(errOut, "Recorded: lab show %s\n", run.ID)
}
