package report

import (
	"fmt"
	"io"
	"strings"

	"lab/internal/correlate"
	"lab/internal/lab"
)

// ArmHardware is the hardware beside one run of an A/B.
type ArmHardware struct {
	Arm   string `json:"arm"`
	Block int    `json:"block"`
	correlate.Hardware
}

// PlanHardware prints the hardware of the runs of an A/B, and how the arms differ in it.
func PlanHardware(w io.Writer, plan lab.Plan, runs []ArmHardware, between []correlate.Difference, o Options) error {
	p := &printer{w: w, o: o}
	p.line("hardware of the A/B %s, phase %s", plan.ID, plan.Phase)
	p.line("A  %s", plan.A.Name)
	p.line("B  %s", plan.B.Name)
	p.line("")
	if len(runs) == 0 {
		p.line("no run of it counts, so there is nothing to set side by side")
		return p.err
	}
	p.armsHardware(plan, runs)
	p.between(between)
	p.line("")
	p.armsFindings(runs)
	p.line("one run: lab show ID --hardware")
	return p.err
}

// armsHardware is the table of the runs.
func (p *printer) armsHardware(plan lab.Plan, runs []ArmHardware) {
	g := &grid{right: map[int]bool{2: true, 3: true, 4: true, 5: true}}
	g.head("", "run", "power", "SM clock", "energy", "stalls", "most of them")
	for _, r := range runs {
		phase := phaseOf(r.Hardware, plan.Phase)
		energy := "-"
		if e := phase.Energy; e != nil && e.PerOutputToken > 0 {
			energy = value(e.PerOutputToken, "J/tok")
		}
		cause := ""
		if causes := causesOf(r.Stalls); len(causes) > 0 {
			cause = causes[0]
		}
		g.add(fmt.Sprintf("%s %d", r.Arm, r.Block), r.Run, meanOf(phase, lab.GPUPower), meanOf(phase, lab.GPUSMClock), energy, fmt.Sprint(r.Stalls.Count), cause)
	}
	p.grid(g, "")
}

func (p *printer) armsFindings(runs []ArmHardware) {
	for _, r := range runs {
		for _, f := range r.Findings {
			p.paragraph(findingMark(f.Level), fmt.Sprintf("%s %d: %s: %s", r.Arm, r.Block, f.Code, f.Detail))
		}
	}
}

// PlanHardwareJSON writes the same as a document.
func PlanHardwareJSON(w io.Writer, plan lab.Plan, runs []ArmHardware, between []correlate.Difference) error {
	for i := range runs {
		runs[i].Hardware = whole(runs[i].Hardware)
	}
	return document(w, struct {
		Schema  string                 `json:"schema"`
		TimesIn string                 `json:"times_in"`
		Plan    string                 `json:"plan"`
		Runs    []ArmHardware          `json:"runs"`
		Between []correlate.Difference `json:"between"`
	}{"lab.planhardware/v1", "nanoseconds since the epoch of each run", plan.ID, list(runs), list(between)})
}

// between prints how the hardware of two arms differed from run to run.
func (p *printer) between(all []correlate.Difference) {
	if len(all) == 0 {
		return
	}
	nA, nB := 0, 0
	for _, d := range all {
		nA, nB = max(nA, d.NA), max(nB, d.NB)
	}
	g := &grid{right: map[int]bool{1: true, 2: true, 3: true}}
	g.head(fmt.Sprintf("hardware, n = %d and %d", nA, nB), "A", "B", "B - A", "95 % interval", "")
	for _, d := range all {
		unit, scale := d.Unit, 1.0
		switch unit {
		case "share":
			unit, scale = "%", 100
		case "bytes":
			unit, scale = "GiB", 1.0/(1<<30)
		case "1/1000": // which the name says
			unit = ""
		}
		bounds := "-" // one run a side shows no noise
		if d.Low != nil && d.High != nil {
			bounds = fmt.Sprintf("[%s, %s]", signed(*d.Low*scale), signed(*d.High*scale))
		}
		if d.NA != nA || d.NB != nB {
			unit = fmt.Sprintf("%s (n = %d, %d)", unit, d.NA, d.NB)
		}
		g.add(d.Value, digits(d.A*scale), digits(d.B*scale), signed(d.Delta*scale), bounds, unit)
	}
	p.line("")
	p.grid(g, "")
}

// signed writes a difference with its sign. What rounds to nothing is nothing.
func signed(v float64) string {
	text := digits(v)
	switch {
	case strings.Trim(text, "-0.") == "":
		return "+0"
	case v > 0:
		return "+" + text
	}
	return text
}

func phaseOf(h correlate.Hardware, name string) correlate.Phase {
	for _, phase := range h.Phases {
		if phase.Name == name {
			return phase
		}
	}
	return correlate.Phase{}
}

// meanOf is the mean of a GPU value over a phase: of power the sum of all GPUs, else their mean.
func meanOf(phase correlate.Phase, name string) string {
	sum, n := 0.0, 0
	for _, m := range phase.Means {
		if deviceClass(m.Device) == "gpu" && m.Value == name && m.Coverage > 0 {
			sum += m.Mean
			n++
		}
	}
	if n == 0 {
		return "-"
	}
	if name != lab.GPUPower {
		sum /= float64(n)
	}
	return value(sum, SampledUnit(name))
}
