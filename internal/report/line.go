package report

import (
	"fmt"

	"lab/internal/lab"
	"lab/store"
)

// Line is a run as lists show it. What is not known is empty.
type Line struct {
	ID      string
	Name    string // of the experiment; of a file that cannot be read, why
	Place   string // in an A/B, such as "B 2"
	Outcome string // "complete", "INVALID", "failed", "interrupted", "live", "profiled", "imported" or "unreadable"
	TTFT    string // mean, with its unit
	TPOT    string
	Output  string // tokens a second
}

// LineOf says of a run what a list shows.
func LineOf(e store.Entry) Line {
	l := Line{ID: e.ID, Name: e.Name, Place: position(e), Outcome: string(e.Outcome),
		TTFT: headline(e, "ttft.mean"), TPOT: headline(e, "tpot.mean"), Output: headline(e, "output_throughput")}
	switch {
	case e.Problem != "":
		l.Name, l.Outcome = e.Problem, "unreadable"
	case e.Outcome == lab.Complete && e.Profiled:
		l.Outcome = "profiled"
	case e.Outcome == lab.Complete && !e.Valid:
		l.Outcome = "INVALID"
	case e.Imported != "":
		l.Outcome = "imported"
	}
	return l
}

// position says where in an A/B a run stands.
func position(e store.Entry) string {
	switch {
	case e.PlanID == "":
		return ""
	case e.Profiled:
		return e.Arm + " profile"
	case e.Block == 0:
		return e.Arm + " burn-in"
	}
	return fmt.Sprintf("%s %d", e.Arm, e.Block)
}

// telling are the figures of a run for a list, in which runs are compared: a profiled one has none.
func telling(e store.Entry) []lab.Figure {
	if e.Profiled {
		return nil
	}
	return e.Headline
}

// headline is a figure of the first phase that has it.
func headline(e store.Entry, metric string) string {
	for _, f := range telling(e) {
		if f.Metric == metric {
			return value(f.Value, f.Unit)
		}
	}
	return ""
}
