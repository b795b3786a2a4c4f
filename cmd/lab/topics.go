package main

import "github.com/spf13/cobra"

// newExitCodes is a help topic: `lab help exit-codes`.
func newExitCodes() *cobra.Command {
	return &cobra.Command{
		Use:   "exit-codes",
		Short: "What the exit codes mean",
		Long: `  0    done; for a gate: passed. A valid verdict of any kind (also worse, inconclusive) is 0
       unless --gate is given
  1    internal fault
  2    usage: a bad flag or argument
  3    configuration: a fault in a file, or a flag that the installed vllm does not have
  4    preflight: no vllm, data set missing, port busy, disk full, base_url unreachable, or the box
       is being measured
  5    the server under test did not start, died or hung
  6    the measurement is invalid, or a profile was refused or lost; it is stored and marked
  7    gate failed: B is worse
  8    gate undecided: inconclusive
  130  interrupted by Ctrl-C after an orderly stop; what was measured is stored and marked
  143  the same, by SIGTERM; 129 by the end of the terminal`,
	}
}
