package report

import (
	"fmt"
	"io"

	"lab/internal/compare"
	"lab/internal/lab"
	"lab/internal/metric"
	"lab/store"
)

// Baseline prints a capture: what it is of, and its figures over the runs.
func Baseline(w io.Writer, b store.Baseline, runs []lab.Sealed, o Options) error {
	p := &printer{w: w, o: o}
	p.baseline(b, runs)
	return p.err
}

func (p *printer) baseline(b store.Baseline, runs []lab.Sealed) {
	first := runs[0].Run
	p.of = OfFacts
	p.line("baseline %s: %s, %d runs, captured %s", b.Name, first.Experiment.Name, len(runs), Moment(first.Epoch.Wall))
	p.line("%s", server(first))
	p.line("")
	p.of = OfFigures
	g := &grid{right: map[int]bool{1: true, 2: true}}
	g.head("over the runs", "mean", "varies by")
	for _, f := range compare.Spreads(runs) {
		if detail(f.Metric) {
			continue
		}
		g.add(title(f.Metric)+phaseSuffix(f.Phase, runs), value(f.Mean, f.Unit), varies(f))
	}
	p.grid(g, "")
	p.line("")
	p.of = OfNotes
	p.paragraph("", fmt.Sprintf("Check what you make of it: lab baseline check %s FILE", b.Name))
}

// varies says how much a figure varies from run to run.
func varies(s compare.Spread) string {
	if s.Absolute {
		return two(s.SD*100) + " pp"
	}
	return two(s.SD*100) + " %"
}

// phaseSuffix names the phase where the runs have several.
func phaseSuffix(phase string, runs []lab.Sealed) string {
	if len(runs[0].Summary.Phases) < 2 || phase == metric.WholeRun {
		return ""
	}
	return ", " + phase
}

// BaselineJSON writes a capture as a document.
func BaselineJSON(w io.Writer, b store.Baseline, runs []lab.Sealed) error {
	return document(w, struct {
		Schema     string           `json:"schema"`
		Name       string           `json:"name"`
		ID         string           `json:"id"`
		Runs       []string         `json:"runs"`
		Key        string           `json:"key"`
		Host       lab.Host         `json:"host"`
		Server     string           `json:"server_version"`
		Experiment lab.Experiment   `json:"experiment"`
		Figures    []compare.Spread `json:"figures"`
	}{"lab.baseline/v1", b.Name, b.ID, b.Valid(), runs[0].Run.Experiment.Key(), runs[0].Run.Host, runs[0].Run.Server.Version, runs[0].Run.Experiment, list(compare.Spreads(runs))})
}

// Baselines lists the captures of the store, newest last.
func Baselines(w io.Writer, all []store.Baseline, o Options) error {
	p := &printer{w: w, o: o}
	if len(all) == 0 {
		p.line("no baselines yet; `lab baseline set NAME FILE` makes one")
		return p.err
	}
	g := &grid{right: map[int]bool{2: true}, free: 1}
	g.add("baseline", "experiment", "runs", "captured", "")
	for _, b := range all {
		state := ""
		switch standing, _ := store.Standing(all, b.Name); {
		case b.Going && !b.Whole():
			state = fmt.Sprintf("goes on: %d planned", b.Capture.Runs)
		case !b.Whole():
			state = fmt.Sprintf("broken off: %d planned", b.Capture.Runs)
		case standing.ID != b.ID:
			state = "replaced since"
		}
		g.add(b.Name, b.Runs[0].Name, fmt.Sprint(len(b.Valid())), Moment(b.Runs[0].Started), state)
	}
	p.grid(g, "")
	return p.err
}

// BaselinesJSON writes the captures of the store as a document.
func BaselinesJSON(w io.Writer, all []store.Baseline) error {
	type capture struct {
		Name  string   `json:"name"`
		ID    string   `json:"id"`
		Runs  []string `json:"runs"`
		Want  int      `json:"runs_planned"`
		Whole bool     `json:"whole"`
		Key   string   `json:"key"`
	}
	captures := []capture{}
	for _, b := range all {
		captures = append(captures, capture{b.Name, b.ID, list(b.Valid()), b.Capture.Runs, b.Whole(), b.Runs[0].Key})
	}
	return document(w, struct {
		Schema    string    `json:"schema"`
		Baselines []capture `json:"baselines"`
	}{"lab.baselines/v1", captures})
}

// History prints a figure of one configuration over time, and where it changed for good.
func History(w io.Writer, name string, h compare.History, o Options) error {
	p := &printer{w: w, o: o}
	p.line("%s of %s in phase %s, every valid run of this configuration", title(h.Metric), name, h.Phase)
	p.line("")
	if len(h.Points) == 0 {
		p.line("no run yet")
		return p.err
	}
	p.history(h)
	p.course(h)
	for _, d := range h.Drifts {
		p.drift(d)
	}
	return p.err
}

func (p *printer) history(h compare.History) {
	g := &grid{right: map[int]bool{2: true}}
	g.head("when", "run", title(h.Metric), "server", "")
	for _, point := range h.Points {
		g.add(Moment(point.At), point.Run, value(point.Value, h.Unit), "vllm "+point.Server, changeMark(h, point))
	}
	p.grid(g, "")
}

// course draws the last values run by run, where there are enough of them for a picture.
func (p *printer) course(h compare.History) {
	var values []float64
	for _, point := range h.Points {
		values = append(values, point.Value)
	}
	shown := values[max(0, len(values)-PlotColumns(p.o)):]
	low, high := ends(shown)
	if len(shown) < fewestWindows {
		return
	}
	p.line("")
	p.paragraph(sparkline(shown, p.levels())+"  ", fmt.Sprintf("the last %d runs, from %s to %s", len(shown), value(low, h.Unit), value(high, h.Unit)))
	p.line("")
}

// changeMark says that a lasting change begins at a point.
func changeMark(h compare.History, point compare.Point) string {
	if point.Change == 0 {
		return ""
	}
	word := "worse"
	if (point.Change > 0) == h.Higher {
		word = "better"
	}
	return fmt.Sprintf("<- from here %+.1f %%, %s", point.Change*100, word)
}

// drift says what of the machine or of vllm changed between two runs.
func (p *printer) drift(d compare.Drift) {
	p.paragraph("changed  ", fmt.Sprintf("%s: %s until run %s, %s from run %s on", d.Fact, d.Was, d.From, d.Is, d.To))
}

// HistoryJSON writes a history as a document.
func HistoryJSON(w io.Writer, name string, h compare.History) error {
	h.Points, h.Groups, h.Drifts = list(h.Points), list(h.Groups), list(h.Drifts)
	return document(w, struct {
		Schema   string `json:"schema"`
		Baseline string `json:"baseline"`
		compare.History
	}{"lab.history/v1", name, h})
}
