package report

import (
	"fmt"
	"io"
	"strconv"
	"time"

	"lab/internal/lab"
)

// SweepPlan is what a sweep would do.
type SweepPlan struct {
	Steps  []SweepStep
	Starts int // of servers
	Total  time.Duration
	Basis  string // what the time rests on
}

// SweepStep is one run of it.
type SweepStep struct {
	Cell   string        `json:"cell"`
	Repeat int           `json:"repeat"`
	Start  bool          `json:"server_start"`
	Runs   bool          `json:"server_runs_already"` // not lab's own
	Done   bool          `json:"done"`
	Took   time.Duration `json:"-"`
	Result string        `json:"result"`
}

// SweepPlanText prints the runs of a sweep in their order.
func SweepPlanText(w io.Writer, s lab.Sweep, plan SweepPlan, o Options) error {
	p := &printer{w: w, o: o}
	p.paragraph("sweep   ", fmt.Sprintf("%s: %s", s.Name, counted(len(s.Cells), "cell", s.Repeats)))
	starts := strconv.Itoa(plan.Starts)
	if plan.Starts == 0 {
		starts = "none"
	}
	p.paragraph("starts  ", starts)
	p.paragraph("time    ", fmt.Sprintf("about %s (%s)", length(plan.Total), plan.Basis))
	p.paragraph("results ", s.Results)
	p.line("")
	g := &grid{right: map[int]bool{0: true, 2: true, 4: true}, free: 5}
	g.add("run", "cell", "repeat", "server", "about", "result")
	for i, step := range plan.Steps {
		server, took := "the same", length(step.Took)
		switch {
		case step.Done:
			server, took = "", "done"
		case step.Start:
			server = "start"
		case step.Runs:
			server = "runs already"
		}
		g.add(strconv.Itoa(i+1), step.Cell, strconv.Itoa(step.Repeat), server, took, step.Result)
	}
	p.grid(g, "")
	return p.err
}

// SweepPlanJSON writes the same as a document.
func SweepPlanJSON(w io.Writer, s lab.Sweep, plan SweepPlan) error {
	type step struct {
		SweepStep
		Seconds float64 `json:"about_s"`
	}
	steps := make([]step, len(plan.Steps))
	for i, one := range plan.Steps {
		steps[i] = step{one, one.Took.Seconds()}
	}
	return document(w, struct {
		Schema  string  `json:"schema"`
		Name    string  `json:"name"`
		File    string  `json:"file"`
		Results string  `json:"results_in"`
		Seed    uint64  `json:"seed"`
		Repeats int     `json:"repeats"`
		Starts  int     `json:"server_starts"`
		Total   float64 `json:"total_s"`
		Basis   string  `json:"time_basis"`
		Steps   []step  `json:"steps"`
	}{"lab.sweepplan/v1", s.Name, s.File, s.Results, s.Seed, s.Repeats, plan.Starts, plan.Total.Seconds(), plan.Basis, steps})
}
