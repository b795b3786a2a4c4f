package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"lab/internal/box"
	"lab/internal/lab"
	"lab/internal/live"
	"lab/internal/metric"
	"lab/internal/runner"
	"lab/matrices"
	"lab/profiling"
	"lab/store"
)

// measureOptions are the flags of every command that measures.
type measureOptions struct {
	wait  bool
	pprof string
	json  bool
	ui    uiFlag
}

func (o *measureOptions) addFlags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.wait, "wait", false, "wait while another lab measures on this box, instead of exit 4")
	cmd.Flags().StringVar(&o.pprof, "pprof", "", "write a CPU profile of lab itself to `FILE`, and one of its heap beside it")
	cmd.Flags().BoolVar(&o.json, "json", false, "print the result as one JSON document")
	o.ui.addFlag(cmd)
}

// bench is the place where a command measures: the lab, and the view that shows how it goes.
type bench struct {
	lab  *runner.Lab
	view *live.View
}

// openBench opens the store and finds the places that a measurement needs. Its view is to be closed.
func openBench(cmd *cobra.Command, o measureOptions) (*bench, error) {
	db, err := openStore(cmd)
	if err != nil {
		return nil, err
	}
	cache, err := cacheDir()
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own binary: %w", err)
	}
	view, err := o.ui.view(cmd)
	if err != nil {
		return nil, err
	}
	return &bench{view: view, lab: &runner.Lab{
		DB: db, Self: self, Path: os.Getenv("PATH"), CacheDir: cache, StateDir: stateDir(db.Dir()),
		LockDir: box.LockFolder(os.Getenv), Getenv: os.Getenv, Command: commandLine(),
		Version: version(), Status: announced(db.Announce(commandLine()), view), Waiting: waiting(o.wait, view), Notice: view.Print,
	}}, nil
}

// announced shows a status here, and tells it to `lab ui`.
func announced(a *store.Announcer, view *live.View) func(lab.Status) {
	return func(s lab.Status) {
		a.Say(s)
		view.Show(s)
	}
}

// waiting says that a command waits for the box, where it was asked to.
func waiting(wait bool, view *live.View) func(error) {
	if !wait {
		return nil
	}
	return func(busy error) { view.Print("waiting: " + busy.Error()) }
}

// stateDir is where running servers are written down, so that `lab gc` finds what a killed lab left.
func stateDir(dir string) string { return filepath.Join(dir, "servers") }

func commandLine() string {
	return strings.Join(append([]string{"lab"}, os.Args[1:]...), " ")
}

// load reads an experiment and checks it against this machine. What the installed vllm refuses is shown at its place
// in the file.
func (b *bench) load(cmd *cobra.Command, name string) (runner.Ready, error) {
	file, err := matrices.Load(name)
	if err != nil {
		return runner.Ready{}, err
	}
	return b.check(cmd, file)
}

// loadToProfile reads an experiment that will be profiled, whether its file has a word about that or not.
func (b *bench) loadToProfile(cmd *cobra.Command, name string) (runner.Ready, error) {
	file, err := matrices.Load(name)
	if err != nil {
		return runner.Ready{}, err
	}
	if file.Experiment.Profile == nil {
		w := lab.ProfileWindow{}.WithDefaults()
		file.Experiment.Profile = &w
		if faults := file.Experiment.Validate(); len(faults) > 0 {
			return runner.Ready{}, file.Locate(faults)
		}
	}
	return b.check(cmd, file)
}

func (b *bench) check(cmd *cobra.Command, file *matrices.File) (runner.Ready, error) {
	if faults := checkPrimary(file.Experiment); faults != nil {
		return runner.Ready{}, file.Locate(faults)
	}
	if s := file.Experiment.Server; s.BaseURL == "" && s.Simulator == nil { // a real vllm takes seconds to say its help
		b.view.Show(lab.Status{Title: file.Experiment.Name, Stage: "asking vllm for its flags"})
		defer b.view.Show(lab.Status{})
	}
	ready, err := b.lab.Prepare(cmd.Context(), file.Experiment)
	var faults lab.Faults
	if errors.As(err, &faults) {
		return ready, file.Locate(faults)
	}
	return ready, interrupted(cmd.Context(), err)
}

// checkPrimary refuses metrics that are not in the catalogue, or cannot guard.
func checkPrimary(e lab.Experiment) lab.Faults {
	var faults lab.Faults
	if _, known := metric.Find(e.Primary); !known && e.Primary != "" {
		faults = append(faults, lab.Fault{Path: "primary", Problem: unknownMetric(e.Primary)})
	}
	for i, name := range e.Guardrails {
		if m, known := metric.Find(name); !known {
			faults = append(faults, lab.Fault{Path: fmt.Sprintf("guardrails[%d]", i), Problem: unknownMetric(name)})
		} else if m.Sense == metric.Neither {
			faults = append(faults, lab.Fault{Path: fmt.Sprintf("guardrails[%d]", i), Problem: fmt.Sprintf("%s is neither good nor bad when it is high, so it cannot guard", name)})
		}
	}
	return faults
}

func unknownMetric(name string) string {
	text := fmt.Sprintf("unknown metric %q", name)
	if near := metric.Suggest(name); near != "" {
		return text + fmt.Sprintf(" (did you mean %q?)", near)
	}
	return text + "; docs/metrics.md lists them"
}

// profiled runs f under a profile of lab itself where one was asked for.
func profiled(cmd *cobra.Command, name string, f func() error) error {
	if name == "" {
		return f()
	}
	self, err := profiling.StartSelf(name)
	if err != nil {
		return err
	}
	failed := f()
	usage, err := self.Stop(commandLine())
	errOut := cmd.ErrOrStderr()
	if err != nil {
		fmt.Fprintf(errOut, "lab: %v\n", err)
		return failed
	}
	fmt.Fprintf(errOut, "lab itself used %.2f s of CPU in %.0f s (profile: %s), its heap holds %.1f MB at the end (%s); most of the CPU in\n", usage.CPU.Seconds(), usage.Wall.Seconds(), usage.File, float64(usage.Held)/1e6, usage.Heap)
	for _, fn := range usage.Top {
		fmt.Fprintf(errOut, "  %6.2f s  %s\n", fn.CPU.Seconds(), fn.Name)
	}
	return failed
}

// tellFailure prints what a person needs to know about a server that failed: the log's last telling lines and where
// the rest is.
func tellFailure(cmd *cobra.Command, run lab.Run) {
	errOut := cmd.ErrOrStderr()
	f := run.Failure
	if f == nil {
		return
	}
	if len(f.Quote) > 0 {
		fmt.Fprintln(errOut, "The server's log says:")
		for _, line := range f.Quote {
			fmt.Fprintf(errOut, "  | %s\n", line)
		}
	}
	if f.Exit != "" {
		fmt.Fprintf(errOut, "It ended with %s.\n", f.Exit)
	}
	if !run.Experiment.Attached() { // the log of a server that ran already is not lab's
		fmt.Fprintf(errOut, "The whole log: lab show %s --log\n", run.ID)
	}
}
