// Command lab runs honest performance experiments on vLLM on one box and says which configuration is better.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// run is the whole program: arguments and streams in, exit code out.
func run(args []string, in io.Reader, out, errOut io.Writer) int {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	defer watchSignals(cancel, errOut)()

	root := newRoot()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	cmd, err := root.ExecuteContextC(ctx)
	var told *toldError
	gone := errors.Is(err, syscall.EPIPE) // who read our output has enough, as in `lab show | head`
	if err != nil && !gone && !errors.As(err, &told) {
		fmt.Fprintf(errOut, "lab: %v\n", err)
	}
	if errors.As(err, new(*usageError)) {
		fmt.Fprintf(errOut, "See: %s --help\n", cmd.CommandPath())
	}
	return exitCode(err)
}

// interrupt is the cause of an end that the user asked for.
type interrupt struct{ signal syscall.Signal }

func (i *interrupt) Error() string { return "interrupted by " + signalName(i.signal) }

func signalName(s syscall.Signal) string {
	switch s {
	case syscall.SIGINT:
		return "Ctrl-C"
	case syscall.SIGHUP:
		return "the end of the terminal"
	}
	return "SIGTERM"
}

// watchSignals turns the first SIGINT, SIGTERM or SIGHUP into an orderly end and the second into an immediate one. The
// returned function stops watching.
func watchSignals(cancel context.CancelCauseFunc, errOut io.Writer) func() {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	// A reader of our output that ends (`lab run x | tee` and Ctrl-C) is an error of a write, not the end of lab in the
	// middle of stopping a server. Caught rather than ignored: what is ignored stays ignored in the server.
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, syscall.SIGPIPE)
	done := make(chan struct{})
	go func() {
		var first *interrupt
		for {
			select {
			case <-done:
				return
			case s := <-signals:
				if first != nil {
					fmt.Fprintln(errOut, "lab: ended at once; a server may still run: `lab gc` ends it")
					os.Exit(exitCode(first))
				}
				first = &interrupt{s.(syscall.Signal)}
				cancel(first)
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		signal.Stop(broken)
		close(done)
	}
}
