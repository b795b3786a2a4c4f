package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"lab/internal/compare"
	"lab/internal/lab"
	"lab/internal/readout"
	"lab/internal/report"
	"lab/store"
)

// gateOptions are the flags of every command that ends in a verdict.
type gateOptions struct {
	gate     bool
	failOn   []string
	junit    string
	markdown string

	rules []compare.Rule // of failOn
}

func (o *gateOptions) addFlags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.gate, "gate", false, "exit 7 when B is worse or a trade-off, 8 when the call is inconclusive")
	cmd.Flags().StringArrayVar(&o.failOn, "fail-on", nil, "exit 7 where this `RULE` is broken, 8 where it is undecided, such as 'ttft.p99 > +5%' (of A), 'goodput < -2pp' (points, of A) or 'e2el.p95 > 2s' (of B alone); may be repeated")
	cmd.Flags().StringVar(&o.junit, "junit", "", "also write the result as JUnit XML to `FILE`")
	cmd.Flags().StringVar(&o.markdown, "markdown", "", "also write the result as Markdown to `FILE`")
}

// read checks the rules, and that the files can be written, before anything is measured.
func (o *gateOptions) read(command string) error {
	for flag, name := range map[string]string{"junit": o.junit, "markdown": o.markdown} {
		if err := writable(name); name != "" && err != nil {
			return &usageError{fmt.Errorf("lab %s: --%s %s: %w", command, flag, name, err)}
		}
	}
	for _, text := range o.failOn {
		rule, err := compare.ParseRule(text)
		if err != nil {
			return &usageError{fmt.Errorf("lab %s: %w", command, err)}
		}
		o.rules = append(o.rules, rule)
	}
	return nil
}

// fit checks the rules against what is to be measured, or was.
func (o *gateOptions) fit(command string, a, b lab.Experiment) error {
	for _, rule := range o.rules {
		if err := rule.Fits(a, b); err != nil {
			return &usageError{fmt.Errorf("lab %s: %w", command, err)}
		}
	}
	return nil
}

// printVerdict judges a plan from the store alone.
func printVerdict(cmd *cobra.Command, db *store.DB, plan lab.Plan, json bool, o gateOptions) error {
	gate, err := readout.Verdict(db, plan, o.rules)
	if err != nil {
		return err
	}
	return tellVerdict(cmd, gate, json, o)
}

// writable says what keeps a file from being written. Its folder is made.
func writable(name string) error {
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		return errors.New("it is a folder: name a file")
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".lab-*")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// tellVerdict prints a verdict, writes the files that were asked for, and turns it into an exit code.
func tellVerdict(cmd *cobra.Command, gate report.Gate, json bool, o gateOptions) error {
	var err error
	if json {
		err = report.VerdictJSON(cmd.OutOrStdout(), gate)
	} else {
		err = report.Verdict(cmd.OutOrStdout(), gate.Verdict, gate.Hardware, look(cmd))
		if err == nil {
			err = report.Rulings(cmd.OutOrStdout(), gate.Rulings, look(cmd))
		}
		if err == nil {
			err = report.Profiles(cmd.OutOrStdout(), gate.Profiles, look(cmd))
		}
	}
	if err := errors.Join(err, o.write(gate)); err != nil {
		return err
	}
	return gateError(gate, o.gate || gate.Verdict.Plan.Baseline != "") // the check of a baseline is always a gate
}

// write makes the files that were asked for.
func (o *gateOptions) write(g report.Gate) error {
	for name, print := range map[string]func(io.Writer, report.Gate) error{o.junit: report.JUnit, o.markdown: report.Markdown} {
		if name == "" {
			continue
		}
		var text bytes.Buffer
		if err := print(&text, g); err != nil {
			return err
		}
		if err := save(name, text.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// gateError is how a verdict ends the command: numbers that must not be judged always by exit 6, broken rules always by
// 7, the verdict's word only where the user asked for a gate.
func gateError(g report.Gate, gate bool) error {
	call := g.Verdict.Call
	outcomes := map[compare.Outcome]bool{}
	for _, r := range g.Rulings {
		outcomes[r.Outcome] = true
	}
	switch {
	case call == lab.InvalidCall:
		return &toldError{exitInvalid}
	case outcomes[compare.Broken], gate && (call == lab.Worse || call == lab.TradeOff):
		return &toldError{exitGateFailed}
	case outcomes[compare.Undecided], gate && call == lab.Inconclusive && g.Verdict.Plan.Baseline == "": // of a baseline's check the rule tells
		return &toldError{exitUndecided}
	}
	return nil
}
