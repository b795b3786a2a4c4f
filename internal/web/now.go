package web

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"lab/internal/lab"
	"lab/store"
)

// nowView is what is measured at this moment.
type nowView struct {
	Items []nowItem
}

// nowItem is what one lab process does.
type nowItem struct {
	Run     string // whose page shows more; empty between runs
	Title   string
	Step    string // of an A/B or a sweep
	Stage   string
	Command string
	Elapsed string
	Whole   string
	Left    string // of the whole series
	Share   int    // of the stage, in per cent; -1: its end is not known
	Facts   []fact
	Alerts  []alert

	// What the page about it shows beyond that.
	Legs      []mark
	Latencies []latencyRow
	Series    string // how far the A/B or the sweep is
	Address   string // of that
	Marks     []mark // its pairs or cells
	Devices   []fact
}

type fact struct{ Name, Value string }

type alert struct {
	Level     lab.Level
	Text, Fix string
	Past      string // how long ago it was last so; empty: it is so now
}

// mark is one stretch, pair or cell with where it stands.
type mark struct{ State, Name, More string }

type latencyRow struct {
	Name          string
	Recent, Phase [4]string // p50, p90, p99, max
	N             string
}

func (s *Site) now() nowView { return nowOf(s.DB.Announced()) }

func nowOf(all []store.Announcement) nowView {
	var v nowView
	for _, a := range all {
		if a.Status.Stage == "" && a.Status.Plan == nil && a.Status.Sweep == nil { // a single run that is over
			continue
		}
		v.Items = append(v.Items, nowItemOf(a))
	}
	return v
}

func nowItemOf(a store.Announcement) nowItem {
	s := a.Status
	item := nowItem{Run: s.Run, Title: s.Title, Step: s.Step, Stage: stageOf(s), Command: a.Command, Share: -1}
	if s.Stage != "" {
		item.Elapsed = lab.Stopwatch(s.Since)
	}
	if s.Left > 0 {
		item.Left = "about " + lasted(s.Left) + " left"
		if s.Plan != nil { // it may be decided earlier
			item.Left = "at most " + item.Left
		}
	}
	done := s.OK + s.Errors
	switch {
	case s.Want > 0:
		item.Share = 100 * min(done, s.Want) / s.Want
	case s.Whole > 0:
		item.Whole = lab.Stopwatch(s.Whole)
		item.Share = int(100 * min(s.Since, s.Whole) / s.Whole)
	}
	if s.Phase != "" {
		item.Facts = loadFacts(s)
		item.Latencies = latencyRows(s.Latencies)
	}
	for _, x := range s.Alerts {
		one := alert{Level: x.Level, Text: x.Text, Fix: x.Fix}
		if x.Ago > 0 {
			one.Past = lasted(x.Ago) + " ago"
		}
		item.Alerts = append(item.Alerts, one)
	}
	for _, leg := range s.Legs {
		m := mark{State: stateOf(leg.State), Name: leg.Name}
		if leg.Took > 0 {
			m.More = lab.Stopwatch(leg.Took)
		}
		item.Legs = append(item.Legs, m)
	}
	item.series(s)
	item.devices(s)
	return item
}

func stageOf(s lab.Status) string {
	stage := s.Stage
	switch {
	case stage == "":
		stage = "between two runs"
	case s.Phase != "" && stage == "load":
		stage = s.Phase
	}
	if s.Doing != "" {
		stage += ": " + s.Doing
	}
	return stage
}

// stateOf is the word for where something stands.
func stateOf(s lab.LegState) string {
	word, known := map[lab.LegState]string{lab.LegTodo: "to do", lab.LegNow: "now", lab.LegDone: "done", lab.LegSpoilt: "invalid", lab.LegFailed: "failed",
		lab.LegReused: "made earlier", lab.LegLeft: "left out"}[s]
	if !known { // of another version of lab
		return "?"
	}
	return word
}

// loadFacts are the counts of a phase of load. How the arms of an A/B compare is not among them.
func loadFacts(s lab.Status) []fact {
	var facts []fact
	add := func(name, format string, args ...any) {
		facts = append(facts, fact{name, fmt.Sprintf(format, args...)})
	}
	done := s.OK + s.Errors
	if s.Want > 0 {
		add("requests", "%s of %s", thousands(done), thousands(s.Want))
	} else {
		add("requests", "%s", thousands(done))
	}
	if s.Errors > 0 {
		add("errors", "%s (%s)", thousands(s.Errors), classes(s.Failed))
	}
	add("in flight", "%s", thousands(s.InFlight))
	if s.Requests.Recent > 0 {
		add("req/s", "%.1f", s.Requests.Recent)
	}
	if s.Output.Recent > 0 {
		add("tok/s", "%s", thousands(int(math.Round(s.Output.Recent))))
	}
	for _, l := range s.Latencies {
		if l.Recent.N > 0 {
			add(l.Name+" p50", "%s", milliseconds(l.Recent.P50))
		}
	}
	if g := s.Goodput; g != nil && g.Recent.Of > 0 {
		add("goodput", "%.1f %%", 100*float64(g.Recent.Good)/float64(g.Recent.Of))
	}
	return facts
}

// classes lists errors by class.
func classes(failed map[string]int) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(failed)) {
		parts = append(parts, fmt.Sprintf("%s %s", name, thousands(failed[name])))
	}
	return strings.Join(parts, ", ")
}

func latencyRows(all []lab.Latency) []latencyRow {
	var rows []latencyRow
	of := func(s lab.Spread) [4]string {
		if s.N == 0 {
			return [4]string{"–", "–", "–", "–"}
		}
		return [4]string{milliseconds(s.P50), milliseconds(s.P90), milliseconds(s.P99), milliseconds(s.Max)}
	}
	for _, l := range all {
		if l.Phase.N > 0 {
			rows = append(rows, latencyRow{l.Name, of(l.Recent), of(l.Phase), thousands(l.Phase.N)})
		}
	}
	return rows
}

// series says how far an A/B or a sweep is: its pairs, never what they came to, or its cells.
func (item *nowItem) series(s lab.Status) {
	done := 0
	switch {
	case s.Plan != nil:
		for i, p := range s.Plan.Pairs {
			if p.State == lab.LegDone {
				done++
			}
			m := mark{State: stateOf(p.State), Name: fmt.Sprintf("pair %d: %s", i+1, p.Arms)}
			if p.Spoilt > 0 {
				m.More = fmt.Sprintf("made again %d×", p.Spoilt)
			}
			item.Marks = append(item.Marks, m)
		}
		item.Series, item.Address = fmt.Sprintf("A/B %s against %s: %d of at most %d pairs done", s.Plan.A, s.Plan.B, done, len(s.Plan.Pairs)), "/ab/"+s.Plan.ID
	case s.Sweep != nil:
		for _, c := range s.Sweep.Cells {
			if c.State != lab.LegTodo && c.State != lab.LegNow {
				done++
			}
			item.Marks = append(item.Marks, mark{State: stateOf(c.State), Name: c.Name, More: fmt.Sprintf("%d of %d", c.Made, max(1, s.Sweep.Repeats))})
		}
		item.Series, item.Address = fmt.Sprintf("sweep %s: %d of %d cells done", s.Sweep.Name, done, len(s.Sweep.Cells)), "/sweep/"+s.Sweep.ID
	}
}

// devices are one line each: the GPUs, the engine, lab's own client.
func (item *nowItem) devices(s lab.Status) {
	line := func(name string, g lab.Gauges, values []gaugeFormat) {
		var parts []string
		for _, f := range values {
			v, ok := g.Values[f.name]
			if !ok {
				continue
			}
			text := fmt.Sprintf(f.format, v*f.factor)
			if most, ok := g.Values[f.most]; ok {
				text += fmt.Sprintf(" of "+f.format, most*f.factor)
			}
			parts = append(parts, text)
		}
		if len(parts) > 0 {
			item.Devices = append(item.Devices, fact{name, strings.Join(parts, " · ")})
		}
	}
	for _, g := range s.GPUs {
		line(strings.TrimSpace(g.Device+" "+g.Name), g, []gaugeFormat{{lab.GPUTemp, "%.0f °C", 1, ""}, {lab.GPUUtil, "%.0f %%", 1, ""}, {lab.GPUSMClock, "%.0f MHz", 1, ""},
			{lab.GPUPower, "%.0f W", 1, lab.GPUPowerLimit}, {lab.GPUMemUsed, "%.1f GiB", 1.0 / (1 << 30), ""}, {lab.GaugePerToken, "%.3f J/token", 1, ""}})
	}
	line("engine", s.Engine, []gaugeFormat{{lab.EngineRunning, "%.0f running", 1, ""}, {lab.EngineWaiting, "%.0f waiting", 1, ""}, {lab.EngineKVUsage, "KV cache %.0f %%", 100, ""}})
	line("host", s.Host, []gaugeFormat{{lab.HostCPU, "CPU %.0f %%", 1, ""}, {lab.HostMemUsed, "%.1f GiB used", 1.0 / (1 << 30), ""}})
	line("lab's client", s.Client, []gaugeFormat{{lab.GaugeCPU, "%.2f cores", 1, ""}, {lab.ClientLag, "read up to %.1f ms late", 1e3, ""}})
}

// gaugeFormat writes one value of a gauge, and how much it can be where that is read too.
type gaugeFormat struct {
	name, format string
	factor       float64
	most         string
}

// nowHTML is what is measured now as the shell shows it.
func (s *Site) nowHTML(all []store.Announcement) string {
	var b bytes.Buffer
	if err := s.templates["list"].ExecuteTemplate(&b, "now", nowOf(all)); err != nil {
		return ""
	}
	return b.String()
}

func milliseconds(d time.Duration) string {
	switch {
	case d < 100*time.Millisecond:
		return fmt.Sprintf("%.1f ms", d.Seconds()*1e3)
	case d < 10*time.Second:
		return fmt.Sprintf("%.0f ms", d.Seconds()*1e3)
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}
