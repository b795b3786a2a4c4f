package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"lab/gpu"
	"lab/internal/lab"
	"lab/internal/runner"
)

type recordOptions struct {
	file   string
	length time.Duration
	period time.Duration
}

// addRecord lets doctor record the GPUs instead of judging the machine.
func addRecord(cmd *cobra.Command) {
	var o recordOptions
	cmd.Flags().StringVar(&o.file, "record", "", "write what the GPUs give, as a trace for telemetry.replay, to this file; nothing is judged then")
	cmd.Flags().DurationVar(&o.length, "for", 2*time.Minute, "how long to record")
	cmd.Flags().DurationVar(&o.period, "period", 0, "how often power and energy are recorded (default 50ms)")
	judge := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if o.file != "" {
			return record(cmd, o)
		}
		if cmd.Flags().Changed("for") || cmd.Flags().Changed("period") {
			return &usageError{errors.New("lab doctor: --for and --period belong to --record FILE")}
		}
		return judge(cmd, args)
	}
}

func record(cmd *cobra.Command, o recordOptions) error {
	if o.length < time.Second || o.period < 0 {
		return &usageError{fmt.Errorf("lab doctor: --for %s --period %s: record for a second at least", o.length, o.period)}
	}
	file, err := os.OpenFile(o.file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	switch {
	case errors.Is(err, os.ErrExist):
		return &usageError{fmt.Errorf("lab doctor: %s is there already: name another file, or remove it", o.file)}
	case err != nil:
		return &usageError{fmt.Errorf("lab doctor: create trace: %w: name a file in a folder that can be written to", err)}
	}
	size, err := recordTo(cmd, o, file)
	if closed := file.Close(); err == nil && closed != nil {
		err = fmt.Errorf("write trace: %w", closed)
	}
	if size == 0 { // nothing was recorded
		os.Remove(o.file)
	}
	return err
}

// recordTo records to a file and says what, and how many bytes it has become.
func recordTo(cmd *cobra.Command, o recordOptions, file *os.File) (size int64, err error) {
	self, err := os.Executable()
	if err != nil {
		return 0, fmt.Errorf("find own binary: %w", err)
	}
	cfg := gpu.Config{Telemetry: lab.Telemetry{Period: lab.Duration(o.period)}, NVMLLib: os.Getenv("LAB_NVML_LIB")}
	recording, cut := gpu.Record(cmd.Context(), []string{self}, cfg, o.length, file)
	var none *gpu.NoGPUError
	if errors.As(cut, &none) {
		return 0, &runner.ObstacleError{Err: cut}
	}
	info, err := file.Stat()
	if err != nil {
		return 0, fmt.Errorf("write trace: %w", err)
	}
	if size = info.Size(); size > 0 && len(recording.GPUs) > 0 {
		err = printRecording(cmd, o.file, size, recording)
	}
	return size, cmp.Or(cut, err)
}

func printRecording(cmd *cobra.Command, file string, size int64, r gpu.Recording) error {
	out := cmd.OutOrStdout()
	if asJSON, _ := cmd.Flags().GetBool("json"); asJSON {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		return enc.Encode(struct {
			Schema string `json:"schema"`
			Lab    string `json:"lab_version"`
			File   string `json:"file"`
			gpu.Recording
		}{"lab.recording/v1", version(), file, r})
	}
	fmt.Fprintf(out, "%s: %d KiB, %.0f s of %d GPUs, driver %s\n", file, size>>10, r.Length, len(r.GPUs), r.Driver)
	for _, g := range r.GPUs {
		fmt.Fprintf(out, "GPU %d: %s: %d readings of power", g.Index, g.Name, g.Readings)
		for _, p := range []struct{ name, text string }{{lab.GPUPowerPeriod, "power"}, {lab.GPUEnergyPeriod, "energy"}, {lab.GPUUtilPeriod, "utilisation"}} {
			if v, ok := g.Periods[p.name]; ok {
				fmt.Fprintf(out, "; %s is renewed every %.0f ms", p.text, v*1e3)
			}
		}
		fmt.Fprintln(out)
		if g.Joules > 0 {
			fmt.Fprintf(out, "  %.1f J by the counter, %.1f J by the power: %+.1f %%\n", g.Joules, g.FromPower, 100*(g.FromPower/g.Joules-1))
		}
	}
	var names []string
	for name := range r.Sampler {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(out, "  sampler %-18s %.6g\n", name, r.Sampler[name])
	}
	for _, e := range r.Events {
		if _, err := fmt.Fprintln(out, "  "+e); err != nil {
			return err
		}
	}
	return nil
}
