package live

import (
	"fmt"
	"strings"
	"time"

	"lab/internal/lab"
)

// Size is that of the terminal, in columns and rows.
type Size struct{ Columns, Rows int }

// block is a part of a frame. Where there is no room for all, those of the highest rank go first.
type block struct {
	rank  int
	lines []line
}

// Frame is a status as the lines of a terminal of some size; they fill at most all rows but two, one above and one below. stopping: the user has
// asked for the end.
func Frame(s lab.Status, size Size, color, stopping bool) []string {
	width := max(20, size.Columns-1) // in the last column some terminals wrap
	blocks := []block{
		{0, title(s, width)},
		{3, planLines(s, width)},
		{3, sweepLines(s, width, max(3, size.Rows/3))},
		{4, legLines(s, width)},
		{1, stageLines(s, width)},
		{2, requestLines(s)},
		{5, latencyLines(s, width)},
		{6, outputLines(s)},
		{7, gpuLines(s, width, size.Rows)},
		{8, engineLines(s)},
		{9, clientLines(s)},
		{2, alertLines(s.Alerts, width, max(1, size.Rows/8))},
		{10, []line{hint(s, width, stopping)}},
	}
	var all []string
	for _, b := range within(blocks, size.Rows-2) {
		for _, l := range b.lines {
			all = append(all, l.draw(width, color))
		}
	}
	return all
}

// within leaves out blocks until the rest fits.
func within(blocks []block, rows int) []block {
	for {
		sum, last := 0, 0
		for i, b := range blocks {
			sum += len(b.lines)
			if len(b.lines) > 0 && (len(blocks[last].lines) == 0 || b.rank > blocks[last].rank) {
				last = i
			}
		}
		if sum <= rows || sum == 0 {
			return blocks
		}
		if blocks[last].rank == 0 { // a terminal of a line or two
			blocks[last].lines = blocks[last].lines[:max(0, rows)]
			return blocks
		}
		blocks[last].lines = nil
	}
}

// title says which run this is.
func title(s lab.Status, width int) []line {
	if s.Title == "" && s.Run == "" {
		return nil
	}
	var l line
	l.add(strong, s.Title)
	rest := fields(s.Step, point(s.Load), s.Model)
	if s.Run != "" {
		rest = fields(rest, "run "+s.Run)
	}
	if width < 60 {
		rest = s.Step
	}
	if rest != "" {
		l.add(faint, " · "+rest)
	}
	return []line{l}
}

// sign stands for where something stands, and its tone.
func sign(state lab.LegState) (string, tone) {
	switch state {
	case lab.LegNow:
		return "▸", strong
	case lab.LegDone:
		return "✓", good
	case lab.LegSpoilt:
		return "!", doubtful
	case lab.LegFailed:
		return "✗", bad
	case lab.LegReused:
		return "=", good
	case lab.LegLeft:
		return "-", faint
	}
	return "·", faint
}

// legLines are the stretches of the run on one line. Where they do not fit, the first ones that are over are only counted.
func legLines(s lab.Status, width int) []line {
	if len(s.Legs) < 2 {
		return nil
	}
	for skip := range len(s.Legs) {
		l := legs(s, skip)
		if l.width() <= width || skip == len(s.Legs)-1 || s.Legs[skip].State != lab.LegDone {
			return []line{l}
		}
	}
	return nil
}

func (l line) width() int {
	sum := 0
	for _, p := range l {
		sum += wide(p.text)
	}
	return sum
}

func legs(s lab.Status, skip int) line {
	var l line
	if skip > 0 {
		l.add(faint, fmt.Sprintf("✓ %d done  ", skip))
	}
	for i, leg := range s.Legs[skip:] {
		if i > 0 {
			l.add(normal, "  ")
		}
		mark, t := sign(leg.State)
		l.add(t, mark+" ")
		switch {
		case leg.State == lab.LegNow:
			l.add(strong, leg.Name)
		case leg.State == lab.LegDone:
			l.add(normal, leg.Name+" "+lab.Stopwatch(leg.Took))
		case leg.Whole > 0:
			l.add(faint, leg.Name+" "+lab.Stopwatch(leg.Whole))
		default:
			l.add(faint, leg.Name)
		}
	}
	return l
}

// stageLines are what goes on now, with a bar where it is known how long it takes.
func stageLines(s lab.Status, width int) []line {
	if s.Stage == "" {
		return nil
	}
	s.Since = max(0, s.Since) // a reading may be from before the stage
	var l line
	l.add(strong, stageName(s))
	long := whole(s)
	if long == 0 {
		l.add(normal, " "+fields(lab.Stopwatch(s.Since), s.Doing))
		return []line{l}
	}
	share := min(1, s.Since.Seconds()/long.Seconds())
	if s.Phase != "" && s.Want > 0 && !(s.Load.Open() && s.Stage == "load") {
		share = max(share, float64(s.OK+s.Errors)/float64(s.Want))
	}
	words := fmt.Sprintf("  %3.0f %%   %s of %s   %s left", share*100, lab.Stopwatch(s.Since), lab.Stopwatch(long), lab.Stopwatch(long-s.Since))
	if s.Since >= long {
		words = fmt.Sprintf("  %s, planned %s: waits for what is in flight", lab.Stopwatch(s.Since), lab.Stopwatch(long))
		if s.Phase == "" {
			words = fmt.Sprintf("  %s, at most %s", lab.Stopwatch(s.Since), lab.Stopwatch(long))
		}
	}
	if narrow := fmt.Sprintf("  %.0f %%  %s left", share*100, lab.Stopwatch(long-s.Since)); l.width()+wide(words) > width && s.Since < long {
		words = narrow
	}
	if s.Doing != "" {
		words += "   " + s.Doing
	}
	if room := min(40, width-l.width()-wide(words)-2); room >= 10 {
		full := int(share * float64(room))
		l.add(normal, "  ")
		l.add(good, strings.Repeat("━", full))
		l.add(faint, strings.Repeat("─", room-full))
	}
	l.add(normal, words)
	return []line{l}
}

func requestLines(s lab.Status) []line {
	if s.Figures == "" {
		return nil
	}
	var l line
	l.add(faint, "requests  ")
	ended := fmt.Sprintf("%d ok", s.OK)
	if s.Want > 0 {
		ended = fmt.Sprintf("%d of %d ok", s.OK, s.Want)
	}
	l.add(normal, ended+" · ")
	if s.Errors > 0 {
		l.add(bad, fmt.Sprintf("%s (%s)", errorCount(s.Errors), classes(s.Failed)))
	} else {
		l.add(normal, errorCount(0))
	}
	l.add(normal, fmt.Sprintf(" · %d in flight", s.InFlight))
	if r := s.Requests; r.Phase > 0 {
		l.add(normal, fmt.Sprintf(" · %s req/s", rate(r.Recent)))
		l.add(faint, fmt.Sprintf(" (%s in all)", rate(r.Phase)))
	}
	return []line{l}
}

// hint says what the keys do, shorter where there is no room for all of it.
func hint(s lab.Status, width int, stopping bool) line {
	tone, texts := faint, []string{"Ctrl-C stops in good order, what was measured is kept; twice ends at once", "Ctrl-C stops in good order; twice ends at once"}
	switch {
	case stopping:
		tone, texts = doubtful, []string{"Stopping in good order: what was measured is kept. Ctrl-C again ends at once.", "Stopping in good order. Ctrl-C again ends at once."}
	case s.Stage == "":
		return nil
	}
	text := texts[0]
	if wide(text) > width {
		text = texts[1]
	}
	return line{{text, tone}}
}

// summary is what stays of a measurement: a line for what was made, and one for each thing that was wrong with it.
func summary(f feed, took time.Duration, width int, color bool) []string {
	p := f.past
	width = max(20, width-1)
	var l line
	switch {
	case p.plan != nil:
		l = planSummary(*p.plan, took)
	case p.sweep != nil:
		l = sweepSummary(*p.sweep, took)
	case p.run.Run != "":
		l = runSummary(p, took)
	default:
		return nil
	}
	all := []string{l.draw(width, color)}
	for _, k := range p.alerts() {
		if k.Level == lab.Note {
			continue
		}
		var l line
		l.add(alertTone(k.Level), "! ")
		switch of := fmt.Sprintf("%d of %d runs: ", k.runs, p.runs); {
		case k.Level == lab.Invalid && p.runs > 1:
			l.add(normal, "spoilt "+of)
		case k.Level == lab.Invalid:
			l.add(normal, "spoilt the run: ")
		case p.runs > 1:
			l.add(normal, "in "+of)
		}
		l.add(normal, k.Text)
		all = append(all, l.draw(width, color))
	}
	return all
}

func runSummary(p past, took time.Duration) line {
	s := p.run
	var l line
	switch s.Outcome {
	case lab.Complete:
		l.add(good, "✓ ")
	case lab.Failed:
		l.add(bad, "✗ ")
	default:
		l.add(doubtful, "■ ")
	}
	l.add(strong, s.Title)
	l.add(faint, " · run "+s.Run)
	for _, leg := range s.Legs {
		if leg.State != lab.LegDone || leg.OK+leg.Errors == 0 || leg.Name == "warm-up" {
			continue
		}
		l.add(normal, fmt.Sprintf(" · %s %s, %d ok, %s", leg.Name, lab.Stopwatch(leg.Took), leg.OK, errorCount(leg.Errors)))
	}
	l.add(normal, " · took "+lab.Stopwatch(took))
	return l
}
