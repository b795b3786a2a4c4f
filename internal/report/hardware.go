package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"lab/internal/correlate"
	"lab/internal/lab"
)

// Hardware prints what the hardware, the host and the engine did beside the load of a run, and what that says about its
// latencies. What was not measured is not shown.
func Hardware(w io.Writer, r lab.Run, h correlate.Hardware, o Options) error {
	p := &printer{w: w, o: o}
	p.line("hardware of run %s  %s", r.ID, r.Experiment.Name)
	p.line("")
	p.hardware(r, h)
	return p.err
}

func (p *printer) hardware(r lab.Run, h correlate.Hardware) {
	p.of = OfSampling
	p.coverage(h.Coverage)
	p.of = OfHardware
	for _, phase := range h.Phases {
		p.hardwarePhase(phase)
	}
	p.of = OfEnergy
	p.energy(h)
	p.of = OfStalls
	p.stalls(r, h.Stalls)
	p.of = OfLimits
	p.slow(h.Slow)
	p.bottlenecks(h.Bottlenecks)
	p.associations(h.Associations)
	p.trends(h.Trends)
	p.of = OfFindings
	if len(h.Findings) > 0 {
		p.line("")
	}
	for _, f := range h.Findings {
		p.paragraph(findingMark(f.Level), f.Code+": "+f.Detail)
	}
}

// HardwareJSON writes the same as a document.
func HardwareJSON(w io.Writer, h correlate.Hardware) error {
	return document(w, struct {
		Schema  string `json:"schema"`
		TimesIn string `json:"times_in"`
		correlate.Hardware
	}{"lab.hardware/v1", "nanoseconds since run.epoch", whole(h)})
}

// whole writes the lists and counts that are always there as empty, not as null, and causes as keys.
func whole(h correlate.Hardware) correlate.Hardware {
	h.Stalls.Worst = list(h.Stalls.Worst)
	counts := map[string]int{}
	for cause, n := range h.Stalls.ByCause {
		counts[strings.ReplaceAll(strings.ToLower(cause), " ", "_")] = n
	}
	h.Stalls.ByCause = counts
	return h
}

// HardwareLine is the short form of Hardware under a run's own numbers.
func HardwareLine(w io.Writer, id string, h correlate.Hardware, o Options) error {
	p := &printer{w: w, o: o}
	var parts []string
	for _, phase := range h.Phases {
		if e := phase.Energy; e != nil && e.PerOutputToken > 0 {
			parts = append(parts, fmt.Sprintf("%s J per output token (phase %s, n = %d tokens)", digits(e.PerOutputToken), phase.Name, e.N))
		}
	}
	if s := h.Stalls; s.Gaps > 0 {
		parts = append(parts, stallCount(s)+mainCauses(s))
	}
	if len(parts) == 0 {
		return nil
	}
	p.line("")
	p.paragraph("hardware ", strings.Join(parts, "; ")+". More: lab show "+id+" --hardware")
	return p.err
}

func stallCount(s correlate.Stalls) string {
	switch s.Count {
	case 0:
		return fmt.Sprintf("no stall in %d gaps", s.Gaps)
	case 1:
		return fmt.Sprintf("1 stall in %d gaps", s.Gaps)
	}
	return fmt.Sprintf("%d stalls in %d gaps", s.Count, s.Gaps)
}

// mainCauses names the causes that most stalls had.
func mainCauses(s correlate.Stalls) string {
	causes := causesOf(s)
	if len(causes) == 0 {
		return ""
	}
	var parts []string
	for _, cause := range few(causes, 2) {
		if n, known := s.ByCause[cause]; known {
			cause = fmt.Sprintf("%s %d", cause, n)
		}
		parts = append(parts, cause)
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

// causesOf lists the causes that were found, the most frequent first.
func causesOf(s correlate.Stalls) []string {
	var causes []string
	for cause, n := range s.ByCause {
		if n > 0 {
			causes = append(causes, cause)
		}
	}
	slices.SortFunc(causes, func(a, b string) int {
		return cmp.Or(cmp.Compare(s.ByCause[b], s.ByCause[a]), cmp.Compare(a, b))
	})
	return causes
}

// stalls prints how many gaps stood out, why, and the longest of them.
func (p *printer) stalls(r lab.Run, s correlate.Stalls) {
	if s.Gaps == 0 && s.Count == 0 {
		return
	}
	p.line("")
	if s.Count == 0 {
		p.paragraph("stalls   ", fmt.Sprintf("none in %d gaps between chunks (%s)", s.Gaps, s.Threshold))
		return
	}
	text := stallCount(s) + " between chunks"
	if s.Streams > 0 && s.Gaps > 0 {
		text += fmt.Sprintf(", which are %s gaps of streams (%.2g in 1000); together the streams waited %s longer than usual", digits(float64(s.Streams)), 1000*float64(s.Streams)/float64(s.Gaps), value(s.Lost.Seconds(), "s"))
	}
	p.paragraph("stalls   ", text+". "+capital(s.Threshold)+".")
	g := &grid{right: map[int]bool{1: true}}
	for _, cause := range causesOf(s) {
		g.add(cause, fmt.Sprint(s.ByCause[cause]), fmt.Sprintf("%.0f %%", 100*float64(s.ByCause[cause])/float64(s.Count)))
	}
	p.grid(g, "  ")
	shown := s.Worst[:min(len(s.Worst), worstStalls)]
	p.worst(shown, len(r.Experiment.Phases) > 1)
	if rest := s.Count - len(shown); rest > 0 && len(s.Worst) > len(shown) {
		p.line("  (%d more; --json has the %d longest)", rest, len(s.Worst))
	}
}

// worstStalls is how many of the longest stalls a person is shown.
const worstStalls = 5

func (p *printer) worst(all []correlate.Stall, phases bool) {
	p.line("  the longest:")
	for _, s := range all {
		text := fmt.Sprintf("%s, usual %s", value((s.To-s.From).Seconds(), "s"), value(s.Usual.Seconds(), "s"))
		switch {
		case s.Flight >= s.Streams:
			text += fmt.Sprintf(", %d of %d streams", s.Streams, s.Flight)
		case s.Streams > 0: // some began after the stall did
			text += fmt.Sprintf(", %d streams", s.Streams)
		}
		if phases {
			text += ", phase " + s.Phase
		}
		text += ": " + p.bold(s.Cause)
		if s.Evidence != "" {
			text += " (" + s.Evidence + ")"
		}
		p.paragraph(fmt.Sprintf("  at %s  ", seconds(s.From)), text)
	}
}

// seconds is a moment of a run.
func seconds(d time.Duration) string { return fmt.Sprintf("%8.3f s", d.Seconds()) }

func (p *printer) slow(all []correlate.Slow) {
	if len(all) == 0 {
		return
	}
	p.line("")
	p.paragraph("slow     ", "requests above the 95th percentile of E2EL for their tokens, and the others: the share that met each reason for a lowered clock")
	g := &grid{right: map[int]bool{1: true, 2: true, 3: true, 4: true}}
	g.head("reason", "slow", "n", "others", "n")
	for _, s := range all {
		g.add(s.Reason, value(s.Slow, "share"), fmt.Sprint(s.N), value(s.Others, "share"), fmt.Sprint(s.NOthers))
	}
	p.grid(g, "  ")
}

func (p *printer) bottlenecks(all []correlate.Bottleneck) {
	if len(all) == 0 {
		return
	}
	p.line("")
	p.paragraph("limits   ", "what bounded the load, by share of its windows of 5 s; more than one can hold at a time")
	width := 0
	for _, b := range all {
		width = max(width, len(b.Class))
	}
	for _, b := range all {
		p.paragraph(fmt.Sprintf("  %-*s  %3.0f %%  ", width, b.Class, b.Share*100), fmt.Sprintf("%d of %d windows: %s", b.Windows, b.Of, b.Evidence))
	}
}

// associations never says that one thing makes another.
func (p *printer) associations(all []correlate.Association) {
	if len(all) == 0 {
		return
	}
	p.line("")
	p.paragraph("together ", "series that go with latency beyond what the load explains. An association is not a cause.")
	for _, a := range all {
		text := fmt.Sprintf("%s is associated with %s %s: r = %.2f, 95 %% interval %.2f to %.2f, %s after correction, n = %d bins",
			SampledName(a.Device, a.Value), strings.ToUpper(a.Metric), after(a.Lag), a.Correlation, a.Low, a.High, probability(a.P), a.N)
		if a.Given != "" {
			text += "; given " + a.Given
		}
		p.paragraph("  - ", text)
	}
}

func after(lag time.Duration) string {
	if lag == 0 {
		return "at the same moment"
	}
	return fmt.Sprintf("%g s later", lag.Seconds())
}

func (p *printer) trends(all []correlate.Trend) {
	if len(all) == 0 {
		return
	}
	p.line("")
	p.paragraph("trends   ", "slopes per hour over the judged load, by means of its 20 equal parts, with 95 % intervals")
	g := &grid{right: map[int]bool{1: true, 2: true, 3: true}}
	for _, t := range all {
		mark := ""
		if t.Rising {
			mark = "RISING"
		}
		unit, scale := slope(t.Unit)
		g.add(t.What, signed(t.Slope*scale)+" "+unit, fmt.Sprintf("[%s, %s]", signed(t.Low*scale), signed(t.High*scale)), fmt.Sprintf("n = %d", t.N), mark)
	}
	p.grid(g, "  ")
}

// slope is the unit in which a person reads a slope, and what to multiply it by.
func slope(unit string) (shown string, scale float64) {
	switch unit {
	case "s/h":
		return "ms/h", 1e3
	case "share/h":
		return "pp/h", 100
	case "bytes/h":
		return "MiB/h", 1.0 / (1 << 20)
	}
	return unit, 1
}
