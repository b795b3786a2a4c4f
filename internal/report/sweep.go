package report

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"lab/internal/lab"
)

// SweepFigure is what a sweep's table shows of each cell; the document has the same.
type SweepFigure struct {
	Metric string
	Name   string  // "TTFT"
	Unit   string  // "ms"
	Scale  float64 // from the figure to Unit
	Higher bool    // is better
	Share  bool    // of requests, in per cent
}

// SweepFigures are lab's own, for the kit's file those of vllm bench serve: there all requests are due at once, so that a
// TTFT from the intended moment would tell how long the client's queue was. Where there is a limit on latencies, goodput
// is among them.
func SweepFigures(s lab.Sweep) []SweepFigure {
	ttft, tpot, scale := "ttft.mean", "tpot.mean", 1e3
	if s.Kit {
		ttft, tpot, scale = "mean_ttft_ms", "mean_tpot_ms", 1
	}
	all := []SweepFigure{
		{Metric: "output_throughput", Name: "output", Unit: "tok/s", Scale: 1, Higher: true},
		{Metric: ttft, Name: "TTFT", Unit: "ms", Scale: scale}, {Metric: tpot, Name: "TPOT", Unit: "ms", Scale: scale},
	}
	if slices.ContainsFunc(s.Cells, func(c lab.Cell) bool { return len(c.Experiment.SLO) > 0 }) && !s.Kit {
		all = append(all, SweepFigure{Metric: "goodput", Name: "goodput", Unit: "%", Scale: 100, Higher: true, Share: true})
	}
	return all
}

// Valid is the cell with those runs only that may be judged.
func (c SweptCell) Valid() SweptCell {
	c.Runs = slices.DeleteFunc(slices.Clone(c.Runs), func(s lab.Sealed) bool { return !s.Run.Valid() })
	return c
}

// Values are a figure of every complete run of a cell that has it, in the order of the repeats and in the figure's unit.
func (c SweptCell) Values(s lab.Sweep, f SweepFigure) []float64 {
	values, _ := c.values(s.Kit, f.Metric)
	for i := range values {
		values[i] *= f.Scale
	}
	return values
}

// MeanAndSpread writes the mean of values and, of two and more, their standard deviation.
func MeanAndSpread(values []float64) string {
	spread, ok := spreadOfValues(values)
	if !ok {
		return "-"
	}
	return spread.plain()
}

// definition names what the figures of a run are computed by.
func definition(sweep lab.Sweep, s lab.Summary) string {
	if sweep.Kit && s.VLLM != nil {
		return s.VLLM.Definition
	}
	return fmt.Sprintf("lab-%d", s.Definitions)
}

// SweptCell is a cell of a sweep with the runs that were made of it.
type SweptCell struct {
	Cell lab.Cell
	Runs []lab.Sealed // the latest of each repeat
}

// complete are the runs whose numbers the table shows.
func (c SweptCell) complete() []lab.Sealed {
	return slices.DeleteFunc(slices.Clone(c.Runs), func(s lab.Sealed) bool { return s.Run.Outcome != lab.Complete })
}

// judged is the phase that the table shows: the first one that is judged.
func judged(s lab.Sealed) (lab.Tally, bool) {
	i := slices.IndexFunc(s.Summary.Phases, func(t lab.Tally) bool { return t.Judged })
	if i < 0 {
		return lab.Tally{}, false
	}
	return s.Summary.Phases[i], true
}

// values are a figure of every complete run that has it, in the order of the repeats.
func (c SweptCell) values(kit bool, metric string) (values []float64, unit string) {
	for _, s := range c.complete() {
		t, ok := judged(s)
		if !ok {
			continue
		}
		figures := s.Summary.Figures
		if kit && s.Summary.VLLM != nil {
			figures = s.Summary.VLLM.Figures
		}
		i := slices.IndexFunc(figures, func(f lab.Figure) bool { return f.Phase == t.Phase && f.Metric == metric })
		if i >= 0 {
			f := figures[i]
			values, unit = append(values, f.Value), f.Unit
		}
	}
	return values, unit
}

// requests counts what was sent in the complete runs and what of it did not succeed.
func (c SweptCell) requests() (offered, failed int) {
	for _, s := range c.complete() {
		if t, ok := judged(s); ok {
			offered, failed = offered+t.Offered, failed+t.Offered-t.OK
		}
	}
	return offered, failed
}

// state says what is wrong with a cell; "" where all its repeats were made and may be judged.
func (c SweptCell) state(repeats int) string {
	var parts []string
	for _, s := range c.Runs {
		repeat := ""
		if repeats > 1 && s.Run.Sweep != nil {
			repeat = fmt.Sprintf(" (repeat %d)", s.Run.Sweep.Repeat)
		}
		switch {
		case s.Run.Failure != nil:
			parts = append(parts, "FAILED: "+s.Run.Failure.Class+repeat)
		case s.Run.Outcome != lab.Complete:
			parts = append(parts, string(s.Run.Outcome)+repeat)
		case !s.Run.Valid():
			parts = append(parts, "INVALID"+repeat)
		}
	}
	if missing := repeats - len(c.Runs); missing == repeats {
		parts = append(parts, "not made")
	} else if missing > 0 {
		parts = append(parts, fmt.Sprintf("%d not made", missing))
	}
	return strings.Join(parts, ", ")
}

// mark is the worst of it in a word or two, for the table.
func (c SweptCell) mark(repeats int) string {
	state := c.state(repeats)
	for _, word := range []string{"FAILED", "INVALID", string(lab.Interrupted), "not made"} {
		if strings.Contains(state, word) {
			return word
		}
	}
	return state
}

// Sweep prints a row for each cell: means over its runs, with their spread.
func Sweep(w io.Writer, s lab.Sweep, cells []SweptCell, o Options) error {
	p := &printer{w: w, o: o}
	p.sweep(s, cells)
	return p.err
}

func (p *printer) sweep(s lab.Sweep, cells []SweptCell) {
	p.of = OfFacts
	p.paragraph("sweep  ", fmt.Sprintf("%s  %s: %s", s.ID, s.Name, counted(len(cells), "cell", s.Repeats)))
	p.line("")
	p.of = OfCells
	g := &grid{right: map[int]bool{1: true, 2: true, 3: true, 4: true, 5: true}}
	head := []string{"cell", "n"}
	for _, f := range SweepFigures(s) {
		head = append(head, f.Name+" "+f.Unit)
	}
	g.right[len(head)] = true
	g.head(append(head, "failed", "")...)
	for _, c := range cells {
		row := []string{c.Cell.Name, strconv.Itoa(len(c.complete()))}
		for _, f := range SweepFigures(s) {
			row = append(row, MeanAndSpread(c.Values(s, f)))
		}
		failed := "-"
		if offered, bad := c.requests(); offered > 0 {
			failed = fmt.Sprintf("%d of %d", bad, offered)
		}
		g.add(append(row, failed, c.mark(s.Repeats))...)
	}
	p.grid(g, "")
	p.line("")
	p.of = OfFindings
	wrong := false
	for _, c := range cells {
		if state := c.state(s.Repeats); state != "" {
			p.paragraph("  ", c.Cell.Name+": "+state)
			wrong = true
		}
	}
	if wrong {
		p.line("")
	}
	p.of = OfNotes
	note := "failed: requests. n: runs that came to their end; the figures are those of their first judged phase, TTFT and TPOT means over requests."
	if s.Kit {
		note += " All by the definitions of vllm bench serve, as in the result files."
	}
	if s.Repeats > 1 {
		note += " With n of 2 and more: mean ± standard deviation over runs; repeats on one server do not show how servers differ."
	}
	p.paragraph("", note)
}

func counted(n int, noun string, repeats int) string {
	text := fmt.Sprintf("%d %ss", n, noun)
	if n == 1 {
		text = "1 " + noun
	}
	if repeats > 1 {
		text += fmt.Sprintf(", %d runs of each", repeats)
	}
	return text
}

// sweptFigure is a figure of a cell over its runs.
type sweptFigure struct {
	Metric string   `json:"metric"`
	Unit   string   `json:"unit"`
	N      int      `json:"n"` // runs
	Mean   float64  `json:"mean"`
	SD     *float64 `json:"sd,omitempty"` // over runs; absent below two
	Min    float64  `json:"min"`
	Max    float64  `json:"max"`
}

type sweptCell struct {
	Name       string         `json:"name"`
	Values     []lab.Setting  `json:"values"`
	Results    []string       `json:"results"` // names of the result files that the complete runs have
	Runs       []string       `json:"runs"`    // IDs
	State      string         `json:"state"`   // "ok", or what is wrong
	Requests   int            `json:"requests"`
	Failed     int            `json:"failed_requests"`
	Definition string         `json:"definition,omitempty"` // of the figures
	Figures    []sweptFigure  `json:"figures"`
	Failures   []sweptFailure `json:"failures,omitempty"`
}

type sweptFailure struct {
	Run    string `json:"run"`
	Class  string `json:"class"`
	Reason string `json:"reason"`
}

// SweepJSON writes the same as a document.
func SweepJSON(w io.Writer, s lab.Sweep, cells []SweptCell) error {
	out := make([]sweptCell, len(cells))
	for i, c := range cells {
		out[i] = c.document(s)
	}
	return document(w, struct {
		Schema  string      `json:"schema"`
		ID      string      `json:"id"`
		Name    string      `json:"name"`
		File    string      `json:"file"`
		Results string      `json:"results_in"`
		Seed    uint64      `json:"seed"`
		Repeats int         `json:"repeats"`
		Cells   []sweptCell `json:"cells"`
	}{"lab.sweep/v1", s.ID, s.Name, s.File, s.Results, s.Seed, s.Repeats, out})
}

func (c SweptCell) document(sweep lab.Sweep) sweptCell {
	d := sweptCell{Name: c.Cell.Name, Values: list(c.Cell.Values), Results: []string{}, Runs: []string{}, State: c.state(sweep.Repeats), Figures: []sweptFigure{}}
	if d.State == "" {
		d.State = "ok"
	}
	d.Requests, d.Failed = c.requests()
	for _, s := range c.Runs {
		d.Runs = append(d.Runs, s.Run.ID)
		if f := s.Run.Failure; f != nil {
			d.Failures = append(d.Failures, sweptFailure{s.Run.ID, f.Class, f.Reason})
		}
		if s.Run.Outcome == lab.Complete && s.Run.Sweep != nil {
			d.Definition = definition(sweep, s.Summary)
			d.Results = append(d.Results, c.Cell.ResultName(s.Run.Sweep.Repeat))
		}
	}
	for _, f := range SweepFigures(sweep) {
		values, unit := c.values(sweep.Kit, f.Metric)
		spread, ok := spreadOfValues(values)
		if !ok {
			continue
		}
		figure := sweptFigure{Metric: f.Metric, Unit: unit, N: spread.n, Mean: spread.mean, Min: slices.Min(values), Max: slices.Max(values)}
		if spread.n > 1 {
			figure.SD = &spread.sd
		}
		d.Figures = append(d.Figures, figure)
	}
	return d
}
