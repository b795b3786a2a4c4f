package report

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"lab/internal/lab"
	"lab/internal/metric"
)

// Benchmarks writes runs in the format of Go benchmarks: a line for each run and phase, so that repetitions of one load
// have one name and benchstat sees their spread. What is the same for all runs stands in front; what differs is a
// comment, because benchstat makes a table of its own for every such value. Runs that must not be judged are comments too.
func Benchmarks(w io.Writer, runs []lab.Sealed) error {
	var out bytes.Buffer
	out.WriteString("lab-format: 1\n")
	for _, c := range []struct {
		key string
		of  func(lab.Run) string
	}{
		{"model", func(r lab.Run) string { return cmp.Or(r.Experiment.Server.Model, r.Experiment.Server.BaseURL) }},
		{"engine", func(r lab.Run) string { return named("vllm-", r.Server.Version) }},
		{"cpu", func(r lab.Run) string { return r.Host.CPU }},
		{"gpu", func(r lab.Run) string { return gpus(r.Host) }},
		{"driver", func(r lab.Run) string { return r.Host.Driver }},
	} {
		if value, same := common(runs, c.of); same && value != "" {
			fmt.Fprintf(&out, "%s: %s\n", c.key, word(value))
		}
	}
	for _, m := range metric.Catalogue() {
		if measured(runs, m.Name) && m.Sense != metric.Neither {
			better := "lower"
			if m.Sense == metric.Higher {
				better = "higher"
			}
			fmt.Fprintf(&out, "Unit %s better=%s\n", unit(m), better)
		}
	}
	_, oneArm := common(runs, func(r lab.Run) string { return r.Arm })
	if plan, same := common(runs, planOf); same && plan != "" && !oneArm {
		fmt.Fprintf(&out, "# benchstat does not know in which order the runs were made: a drift is noise to it. lab compare %s judges them\n", plan)
	}
	for _, s := range runs {
		fmt.Fprintf(&out, "# run %s %s %s\n", s.Run.ID, s.Run.Epoch.Wall.UTC().Format(time.RFC3339), word(s.Run.Experiment.Name))
		if !s.Run.Valid() {
			out.WriteString("# must not be judged: " + strings.Join(invalid(s.Run), ", ") + "\n")
		}
		for _, t := range s.Summary.Phases {
			benchmark(&out, s, t, !oneArm)
		}
	}
	if _, err := w.Write(out.Bytes()); err != nil {
		return fmt.Errorf("write benchmarks: %w", err)
	}
	return nil
}

// benchmark is the line of one phase of one run. The arm is in its name only where both arms are there: files of one arm
// each are compared by benchstat as they are.
func benchmark(out *bytes.Buffer, s lab.Sealed, t lab.Tally, arm bool) {
	var values bytes.Buffer
	for _, m := range metric.Catalogue() {
		f, ok := s.Summary.Figure(t.Phase, m.Name)
		if !ok || m.Own {
			continue
		}
		fmt.Fprintf(&values, " %s %s", strconv.FormatFloat(f.Value, 'g', -1, 64), unit(m))
	}
	if values.Len() == 0 {
		return // nothing succeeded
	}
	if !s.Run.Valid() {
		out.WriteString("# ")
	}
	out.WriteString("BenchmarkServe")
	part := func(key, value string) {
		if value != "" && value != "0" {
			fmt.Fprintf(out, "/%s=%s", key, strings.ReplaceAll(word(value), "/", "_"))
		}
	}
	if arm {
		part("arm", s.Run.Arm)
	}
	if len(s.Summary.Phases) > 1 {
		part("phase", t.Phase)
	}
	l := load(s.Run.Experiment, t.Phase)
	part("rate", l.Rate.String())
	if up := l.RampUp; up != nil {
		part("ramp", fmt.Sprintf("%s_%d_%d", up.Strategy, up.Start, up.End))
	}
	part("conc", strconv.Itoa(l.Concurrency))
	part("data", l.Dataset.Kind)
	part("isl", strconv.Itoa(l.Dataset.InputTokens))
	part("osl", strconv.Itoa(l.Dataset.OutputTokens))
	fmt.Fprintf(out, " 1%s\n", values.Bytes())
}

func planOf(r lab.Run) string {
	if r.Plan == nil {
		return ""
	}
	return r.Plan.ID
}

// invalid are the codes of what makes a run one that must not be judged, or else how it ended.
func invalid(r lab.Run) []string {
	var codes []string
	for _, f := range r.Findings {
		if f.Level == lab.Invalid {
			codes = append(codes, f.Code)
		}
	}
	if r.Profile != nil {
		codes = append(codes, "profiled")
	}
	if len(codes) == 0 {
		codes = append(codes, string(r.Outcome))
	}
	return codes
}

// unit names a metric and its unit in one word, as the format wants it: output-tok/s, ttft-p50-sec.
func unit(m metric.Metric) string {
	name := strings.NewReplacer(".", "-", "_", "-").Replace(m.Name)
	suffix := map[string]string{"s": "sec", "bytes": "B", "share": "ratio", "%": "percent"}[m.Unit]
	return strings.TrimSuffix(name, "-throughput") + "-" + cmp.Or(suffix, m.Unit)
}

// measured says whether any phase of any run has a figure.
func measured(runs []lab.Sealed, name string) bool {
	return slices.ContainsFunc(runs, func(s lab.Sealed) bool {
		return slices.ContainsFunc(s.Summary.Figures, func(f lab.Figure) bool { return f.Metric == name && f.Phase != metric.WholeRun })
	})
}

// common is the value that all runs share.
func common(runs []lab.Sealed, of func(lab.Run) string) (string, bool) {
	for _, s := range runs {
		if of(s.Run) != of(runs[0].Run) {
			return "", false
		}
	}
	if len(runs) == 0 {
		return "", true
	}
	return of(runs[0].Run), true
}

func gpus(h lab.Host) string {
	var names []string
	for _, d := range h.GPUs {
		names = append(names, d.Name)
	}
	return strings.Join(names, "+")
}

func named(prefix, value string) string {
	if value == "" {
		return ""
	}
	return prefix + value
}

// word makes one word of a text, for a format that separates by blanks.
func word(text string) string { return strings.Join(strings.Fields(text), "-") }
