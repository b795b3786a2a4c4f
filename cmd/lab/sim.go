package main

import (
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"lab/internal/sim"
)

func newSim() *cobra.Command {
	return &cobra.Command{
		Use:                "sim MODEL [flags]",
		Short:              "Run a simulated vLLM server with vLLM's own flags (lab sim --help)",
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			signal.Reset(syscall.SIGINT, syscall.SIGTERM) // a server under test has its own ways with signals
			if code := sim.Main(args, cmd.OutOrStdout(), cmd.ErrOrStderr()); code != 0 {
				return &toldError{code}
			}
			return nil
		},
	}
}
