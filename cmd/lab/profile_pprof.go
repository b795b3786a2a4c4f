package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"lab/profiling"
)

func newProfilePprof() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "pprof ID|FILE -o FILE",
		Short: "Write a profile that go tool pprof opens",
		Long: `Turn a trace into a profile of pprof (profile.proto, gzipped): GPU time by the stack that launched the
work, and CPU time by the stack that was open. The two are sample types of their own: -sample_index=gpu_time
(the default where a GPU worked) or cpu_time. Labels are step, category, stream, device, thread and rank.

A profile keeps at most 10000 stacks; the smallest end one frame earlier, in [folded], and no time is lost.

  lab profile pprof worker.pt.trace.json.gz -o worker.pb.gz
  go tool pprof -top worker.pb.gz`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return writePprof(cmd, args[0], name) },
	}
	cmd.Flags().StringVarP(&name, "output", "o", "", "write the profile to `FILE`")
	return cmd
}

func writePprof(cmd *cobra.Command, ref, name string) error {
	if name == "" {
		return &usageError{errors.New("lab profile pprof: say with -o to which file the profile goes")}
	}
	if trace, err := os.Stat(ref); err == nil {
		if there, err := os.Stat(name); err == nil && os.SameFile(trace, there) {
			return &usageError{fmt.Errorf("lab profile pprof: %s is the trace itself: name another file with -o", name)}
		}
	}
	s, err := readStacks(cmd, "profile pprof", ref)
	if err != nil {
		return err
	}
	f, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("write profile: %w", err)
	}
	if err := s.Write(f); err != nil {
		f.Close()
		return fmt.Errorf("write profile: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("write profile: %w", err)
	}
	errOut := cmd.ErrOrStderr()
	fmt.Fprintf(errOut, "lab: %s: %d ns on the GPU, %d ns on the CPU; go tool pprof -top %s\n", name, s.GPUTime.Nanoseconds(), s.CPUTime.Nanoseconds(), name)
	return nil
}

// readStacks reads what a reference means, and says what is doubtful about it.
func readStacks(cmd *cobra.Command, doing, ref string) (*profiling.Stacks, error) {
	paths, err := traceOf(cmd, ref)
	if err != nil {
		return nil, err
	}
	s, err := profiling.ReadStacks(cmd.Context(), paths...)
	if err != nil {
		return nil, traceError(cmd, doing, err)
	}
	if s.Damage != "" {
		fmt.Fprintf(cmd.ErrOrStderr(), "lab: %s is INCOMPLETE: %s; the profile is of what could be read\n", ref, s.Damage)
	}
	if s.Folded > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "lab: %d small stacks of %s end in [folded], to keep the profile small\n", s.Folded, ref)
	}
	return s, nil
}
