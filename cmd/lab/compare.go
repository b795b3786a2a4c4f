package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"lab/internal/compare"
	"lab/internal/kit"
	"lab/internal/readout"
	"lab/internal/report"
	"lab/store"
)

type compareOptions struct {
	json bool
	gate gateOptions
}

func newCompare() *cobra.Command {
	var o compareOptions
	cmd := &cobra.Command{
		Use:   "compare PLAN | A B",
		Short: "Repeat the verdict of an A/B, or set two runs or result files side by side",
		Long: `With one argument, the id of an A/B (or @last): its verdict, computed again from the store.
With two, runs or result files (of vllm bench serve, or lab's own JSON): their differences. Two
single runs show no noise between runs, so they get no verdict.`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.gate.read("compare"); err != nil {
				return err
			}
			if len(args) == 1 {
				return comparePlan(cmd, args[0], o)
			}
			for _, name := range []string{"gate", "fail-on", "junit", "markdown"} {
				if cmd.Flags().Changed(name) {
					return &usageError{fmt.Errorf("lab compare: --%s needs an A/B: two single results get no verdict", name)}
				}
			}
			return comparePair(cmd, args[0], args[1], o)
		},
	}
	cmd.Flags().BoolVar(&o.json, "json", false, "print the result as one JSON document")
	o.gate.addFlags(cmd)
	return cmd
}

func comparePlan(cmd *cobra.Command, ref string, o compareOptions) error {
	db, err := openStore(cmd)
	if err != nil {
		return err
	}
	plan, err := db.ResolvePlan(ref)
	if err != nil {
		return err
	}
	if err := o.gate.fit("compare", plan.A, plan.B); err != nil {
		return err
	}
	return printVerdict(cmd, db, plan, o.json, o.gate)
}

func comparePair(cmd *cobra.Command, refA, refB string, o compareOptions) error {
	a, err := summaryOf(cmd, refA)
	if err != nil {
		return err
	}
	b, err := summaryOf(cmd, refB)
	if err != nil {
		return err
	}
	rows := compare.Pair(a, b)
	const why = "no verdict: one run a side shows no noise between runs; `lab ab` measures it"
	if o.json {
		return report.ComparisonJSON(cmd.OutOrStdout(), a.Name, b.Name, rows, why)
	}
	return report.Comparison(cmd.OutOrStdout(), a.Name, b.Name, rows, why, look(cmd))
}

// summaryOf reads a result file, or a run from the store where there is no such file.
func summaryOf(cmd *cobra.Command, ref string) (compare.Named, error) {
	if _, err := os.Stat(ref); err == nil {
		result, err := kit.Read(ref)
		if err != nil {
			return compare.Named{}, &fileError{err}
		}
		return compare.Named{Name: result.Name, Summary: result.Summary}, nil
	}
	db, err := openStore(cmd)
	if err != nil {
		return compare.Named{}, err
	}
	id, err := db.Resolve(ref)
	var unknown *store.RefError
	if errors.As(err, &unknown) {
		return compare.Named{}, &usageError{fmt.Errorf("%s is neither a file nor a run: %w", ref, err)}
	}
	if err != nil {
		return compare.Named{}, err
	}
	sealed, err := readout.Run(db, id)
	if err != nil {
		return compare.Named{}, err
	}
	when := report.Moment(sealed.Run.Epoch.Wall)
	if sealed.Run.Profile != nil {
		when += ", PROFILED" // its server was slowed
	}
	return compare.Named{Name: fmt.Sprintf("%s (%s)", sealed.Run.Experiment.Name, when), Summary: sealed.Summary}, nil
}
