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
  7    gate failed: B is worse or a trade-off, or a rule of --fail-on is broken
  8    gate undecided: inconclusive, or a rule that cannot be told
  130  interrupted by Ctrl-C after an orderly stop; what was measured is stored and marked
  143  the same, by SIGTERM; 129 by the end of the terminal`,
	}
}

// newVerdictWords is a help topic: `lab help verdict`.
func newVerdictWords() *cobra.Command {
	return &cobra.Command{
		Use:   "verdict",
		Short: "What the words of a verdict mean",
		Long: `The call
  better, worse  the interval of B against A excludes zero. "by at least 3 %":
                 all of it lies beyond the margin; "size uncertain": not all of
                 it
  no-difference  whatever the difference is, it lies within the margin: it does
                 not matter
  trade-off      the deciding metric is better, and something that must not be
                 worse is
  inconclusive   too much noise for so few runs, or the first look is not
                 reached. It does not mean that the arms are alike
  invalid        too many runs must not be judged; the reasons stand below
  historical     the runs were not made in turn, or shared one server: no
                 verdict
  fragile        without one of the pairs the call would be another

The block
  decided by     the metric that was chosen before the first run, with its
                 formula
  A, B           mean over the runs of the arm (geometric; of shares
                 arithmetic), the drift taken out as it is of the difference
  B against A    relative difference (of shares: percentage points), its
                 interval and p, from log y = mean + difference x (arm is B) +
                 slope x slot over the runs
  margin         a smaller difference does not matter
  load, scope    the load, the servers and the box for which the answer holds
  checks         what shows that the arms were measured alike: prefix cache
                 hits, how late the client sent, time in which power or heat
                 held the clocks down
  not checked    checks that are off, because the arms differ in what they look
                 at on purpose, or because of the data set
  runs           how many counted, and the order in which they were made
  judged         the runs are judged after 4, 6 and 8 pairs (standard) and
                 nowhere else; each look has a level of its own, so that all
                 together err in 5 % of cases
  noise          standard deviation from run to run, and the difference that so
                 many pairs see in 80 % of cases (minimum detectable effect)
  drift          change over the plan that both arms share; it is not in the
                 difference
  answers        share of requests that two runs answered differently: of both
                 arms, and of one arm, which batching alone may cause; a
                 warning says where the arms differ more
  sensitivity    p by other tests and without one pair; none of them decides
  must not be    guardrails, tested one-sided for being worse and corrected for
  worse          their number (Holm)
  exploratory    all other metrics; * = stands out among them (Benjamini and
                 Hochberg), ? = too noisy to tell, same = within the margin,
                 too few = independent requests beyond a p99: not comparable
  hardware       what GPU and host did in the arms, by the means of the runs
  settled on     what the servers say of themselves that differs, beyond what
                 the files ask for
  plan (hash)    what was laid down before the first run
  pp             percentage points

A rule of --fail-on, or of a baseline's check
  PASS           a harm as large as the limit can be ruled out
  FAIL           there is a harm for certain, and one as large as the limit
                 cannot be ruled out
  UNDECIDED      the runs vary too much, or too few are there

docs/statistics.md has the rules, their constants and their sources.`,
	}
}
