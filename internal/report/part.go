package report

import (
	"lab/internal/compare"
	"lab/internal/correlate"
	"lab/internal/lab"
	"lab/profiling"
	"lab/store"
)

// Part is a piece of a printed result before it is laid out for a terminal: a text, or a table. A page shows the same
// pieces, so that the two say the same.
type Part struct {
	Of    string // what it belongs to: one of the Of constants
	Phase string // of the load, where it is about one
	Label string // before the text: "stalls", "at 1.204 s"; may be empty
	Text  string
	Table *Table
}

// Table is rows of cells; the first column names the row.
type Table struct {
	Head  []string // nil: a list of names and values
	Rows  [][]string
	Right map[int]bool // columns of numbers
}

// What a part belongs to.
const (
	OfFacts    = "facts"    // what was run, when, where
	OfFailure  = "failure"  // why the server ended it
	OfCapture  = "capture"  // what became of a profiled window
	OfLoad     = "load"     // what was sent, what came of it
	OfLatency  = "latency"  // percentiles
	OfFigures  = "figures"  // the other figures of a phase
	OfClient   = "client"   // what lab measured of itself
	OfFindings = "findings" // what is doubtful

	OfSampling = "sampling"
	OfHardware = "hardware" // means of what was sampled, and how two arms differ in them
	OfEnergy   = "energy"
	OfStalls   = "stalls"
	OfLimits   = "limits" // slow requests, bottlenecks, associations, trends

	OfArms       = "arms"
	OfAnswer     = "answer"
	OfBasis      = "basis"
	OfGuards     = "guards"
	OfExplored   = "explored"
	OfSettled    = "settled"
	OfNotes      = "notes"
	OfProvenance = "provenance"

	OfCells = "cells" // of a sweep

	OfTrace = "trace" // where the time of a step went
)

// Of are the parts that belong to something.
func Of(parts []Part, what string) []Part {
	var all []Part
	for _, part := range parts {
		if part.Of == what {
			all = append(all, part)
		}
	}
	return all
}

// RunParts are what [Run] prints.
func RunParts(s lab.Sealed) []Part { return collect(func(p *printer) { p.run(s) }) }

// HardwareParts are what [Hardware] prints.
func HardwareParts(r lab.Run, h correlate.Hardware) []Part {
	return collect(func(p *printer) { p.hardware(r, h) })
}

// VerdictParts are what [Verdict] prints.
func VerdictParts(v lab.Verdict, hardware []correlate.Difference) []Part {
	return collect(func(p *printer) { p.verdict(v, hardware) })
}

// PlanHardwareParts are the table of runs in what [PlanHardware] prints, and the findings of these.
func PlanHardwareParts(plan lab.Plan, runs []ArmHardware) []Part {
	return collect(func(p *printer) {
		p.of = OfHardware
		p.armsHardware(plan, runs)
		p.of = OfFindings
		p.armsFindings(runs)
	})
}

// RulingParts are what [Rulings] prints.
func RulingParts(all []compare.Ruling) []Part {
	return collect(func(p *printer) {
		p.of = OfGuards
		p.rulings(all)
	})
}

// CaptureParts are what [Capture] prints.
func CaptureParts(r lab.Run) []Part { return collect(func(p *printer) { p.capture(r) }) }

// SweepParts are what [Sweep] prints.
func SweepParts(s lab.Sweep, cells []SweptCell) []Part {
	return collect(func(p *printer) { p.sweep(s, cells) })
}

// BaselineParts are what [Baseline] prints.
func BaselineParts(b store.Baseline, runs []lab.Sealed) []Part {
	return collect(func(p *printer) { p.baseline(b, runs) })
}

// HistoryParts are the table of runs in what [History] prints, and what of the machine changed between them.
func HistoryParts(h compare.History) []Part {
	return collect(func(p *printer) {
		p.of = OfFigures
		p.history(h)
		p.of = OfFindings
		for _, d := range h.Drifts {
			p.drift(d)
		}
	})
}

// TraceParts are what [Profile] prints.
func TraceParts(s profiling.Summary) []Part {
	return collect(func(p *printer) {
		p.of = OfTrace
		p.profile(s)
	})
}

// TraceDiffParts are what [ProfileDiff] prints.
func TraceDiffParts(d profiling.Difference) []Part {
	return collect(func(p *printer) {
		p.of = OfTrace
		p.profileDiff(d)
	})
}

// collect gathers what would be printed.
func collect(print func(*printer)) []Part {
	all := []Part{}
	print(&printer{parts: &all})
	return all
}

// part collects one. Empty lines are the terminal's.
func (p *printer) part(part Part) {
	if part.Text == "" && (part.Table == nil || len(part.Table.Rows) == 0) {
		return
	}
	part.Of, part.Phase = p.of, p.phase
	*p.parts = append(*p.parts, part)
}

func (g *grid) table() *Table {
	t := &Table{Rows: g.rows, Right: g.right}
	if g.heads && len(g.rows) > 0 {
		t.Head, t.Rows = g.rows[0], g.rows[1:]
	}
	return t
}
