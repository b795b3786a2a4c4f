package main

import (
	"github.com/spf13/cobra"

	"lab/gpu"
)

// newSampler is what lab starts as its child: hardware is read in a process of its own, so that a driver that hangs or
// kills its caller costs only samples.
func newSampler() *cobra.Command {
	var probe bool
	cmd := &cobra.Command{
		Use:    "sampler",
		Short:  "Read hardware for another lab process",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if probe {
				return gpu.ServeProbe(cmd.InOrStdin(), cmd.OutOrStdout())
			}
			return gpu.Serve(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
	cmd.Flags().BoolVar(&probe, "probe", false, "say which GPUs there are and stop")
	return cmd
}
