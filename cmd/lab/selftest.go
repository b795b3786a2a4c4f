package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"lab/gpu"
	"lab/internal/box"
	"lab/internal/lab"
	"lab/internal/live"
	"lab/internal/report"
	"lab/internal/runner"
	"lab/internal/selftest"
)

func newSelftest() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "selftest",
		Short: "Prove on this machine that lab measures right",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	for _, part := range []*cobra.Command{newSelftestStatistics(), newSelftestClient(), newTruthServer(), newPlainClient()} {
		checkArgs(part)
		cmd.AddCommand(part)
	}
	return cmd
}

type selftestClientOptions struct {
	selftest.Options
	json bool
	wait bool
}

func newSelftestClient() *cobra.Command {
	var o selftestClientOptions
	cmd := &cobra.Command{
		Use:   "client",
		Short: "Say how far the load client's figures are from the truth",
		Long: `Load a server that knows its own timing with lab run, everything recorded as in any run, and with a plain
net/http client in turn; print how far the figures of each are from what the server did, what they cost, and the
targets that lab's client has. Server and client have a core each. docs/selftest.md says what each figure is.

Takes about a minute and a half. On a noisy machine use --repeat 5: values are medians.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return selftestClient(cmd, o) },
	}
	cmd.Flags().IntSliceVar(&o.Streams, "streams", []int{1, 10, 100, 500, 1000}, "requests in flight, a load each")
	cmd.Flags().IntSliceVar(&o.Rates, "rate", []int{2000}, "requests a second of an open loop, a load each; left out where only --streams is given")
	cmd.Flags().IntVar(&o.Repeat, "repeat", 1, "runs of each client and load")
	cmd.Flags().StringVar(&o.VLLM, "vllm", "", "also measure the vllm bench serve of this virtual environment")
	cmd.Flags().StringVar(&o.Tokenizer, "tokenizer", "", "folder of a tokenizer for vllm bench serve")
	cmd.Flags().StringVar(&o.Profiles, "pprof", "", "write a CPU profile of each of lab's runs into this folder")
	cmd.Flags().BoolVar(&o.wait, "wait", false, "wait while another lab measures on this box, instead of exit 4")
	cmd.Flags().BoolVar(&o.json, "json", false, "print the result as one JSON document")
	return cmd
}

// settle checks the flags and completes the options.
func (o *selftestClientOptions) settle(cmd *cobra.Command) error {
	switch set := cmd.Flags().Changed; {
	case set("streams") && !set("rate"):
		o.Rates = nil
	case set("rate") && !set("streams"):
		o.Streams = nil
	}
	const most = 20_000
	for _, n := range slices.Concat(o.Streams, o.Rates) {
		if n < 1 || n > most {
			return &usageError{fmt.Errorf("selftest client: streams and rates must be from 1 to %d, not %d", most, n)}
		}
	}
	switch {
	case o.Repeat < 1:
		return &usageError{fmt.Errorf("selftest client: --repeat must be 1 at least, not %d", o.Repeat)}
	case (o.VLLM == "") != (o.Tokenizer == ""):
		return &usageError{fmt.Errorf("selftest client: --vllm and --tokenizer go together")}
	}
	if o.VLLM != "" {
		if _, err := os.Stat(filepath.Join(o.VLLM, "bin", "vllm")); err != nil {
			return &runner.ObstacleError{Err: fmt.Errorf("selftest client: no vllm in --vllm: %w", err)}
		}
	}
	if o.Profiles != "" {
		if err := os.MkdirAll(o.Profiles, 0o755); err != nil {
			return fmt.Errorf("make folder of the profiles: %w", err)
		}
	}
	var err error
	if o.Self, err = os.Executable(); err != nil {
		return fmt.Errorf("find own binary: %w", err)
	}
	o.Server, o.Plain = []string{"selftest", truthServerName}, []string{"selftest", plainClientName}
	return nil
}

func selftestClient(cmd *cobra.Command, o selftestClientOptions) error {
	if err := o.settle(cmd); err != nil {
		return err
	}
	lock, host, err := lockBox(cmd, o)
	if err != nil {
		return interrupted(cmd.Context(), err)
	}
	defer lock.Release()
	o.Progress = func(step string) { fmt.Fprintln(cmd.ErrOrStderr(), step) }
	result, err := selftest.Client(cmd.Context(), o.Options)
	if err != nil {
		return interrupted(cmd.Context(), err)
	}
	result.Host, result.Lab = host, version()
	if o.json {
		return report.ClientAccuracyJSON(cmd.OutOrStdout(), result)
	}
	return report.ClientAccuracy(cmd.OutOrStdout(), result, look(cmd))
}

// lockBox takes the machine for measuring, as any run would: its GPUs, or the host where there is none.
func lockBox(cmd *cobra.Command, o selftestClientOptions) (*box.Lock, lab.Host, error) {
	host, err := gpu.Host()
	if err != nil {
		return nil, host, fmt.Errorf("read host facts: %w", err)
	}
	devices := []string{"host"}
	if found, err := gpu.Probe(cmd.Context(), []string{o.Self}, lab.Telemetry{}, ""); err == nil && len(found.Devices) > 0 {
		host.GPUs, host.Driver, devices = found.Devices, found.Driver, nil
		for _, d := range found.Devices {
			devices = append(devices, d.UUID)
		}
		slices.Sort(devices)
	}
	view := live.New(cmd.ErrOrStderr(), live.Options{})
	lock, err := box.Acquire(cmd.Context(), box.LockFolder(os.Getenv), devices, commandLine(), waiting(o.wait, view))
	var busy *box.BusyError
	if errors.As(err, &busy) {
		err = &runner.ObstacleError{Err: busy}
	}
	return lock, host, err
}

// The parts that lab plays in processes of their own.
const (
	truthServerName = "truth-server"
	plainClientName = "plain-client"
)

func newTruthServer() *cobra.Command {
	return &cobra.Command{
		Use:    truthServerName,
		Short:  "Play the server of the self-test",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE:   func(cmd *cobra.Command, _ []string) error { return selftest.ServeTruth(os.Stdin, cmd.OutOrStdout()) },
	}
}

func newPlainClient() *cobra.Command {
	return &cobra.Command{
		Use:    plainClientName,
		Short:  "Play the plain client of the self-test",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return selftest.PlainClient(cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
}
