// Package live shows something that runs, on the terminal it was started from: one line that is redrawn, or plain
// lines where there is no terminal.
package live

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"charm.land/lipgloss/v2"

	"lab/internal/lab"
)

// Line shows the status of a measurement. It may be fed from any goroutine.
type Line struct {
	mu      sync.Mutex
	out     io.Writer
	width   int // columns of the terminal; 0: no terminal, plain lines
	drawn   bool
	last    lab.Status
	printed time.Time
}

// New writes to out. width is the terminal's number of columns, 0 where out is no terminal.
func New(out io.Writer, width int) *Line { return &Line{out: out, width: width} }

// How often what is shown may change: the eye needs no more, and drawing must not disturb the load.
const (
	redraw = 250 * time.Millisecond
	repeat = 10 * time.Second // plain lines within a stage
)

// Show takes the newest status.
func (l *Line) Show(s lab.Status) {
	l.mu.Lock()
	defer l.mu.Unlock()
	changed := s.Stage != l.last.Stage || s.Run != l.last.Run || s.Phase != l.last.Phase
	l.last = s
	pause := redraw
	if l.width == 0 {
		pause = repeat
	}
	if s.Stage == "" || !changed && time.Since(l.printed) < pause {
		return
	}
	l.printed = time.Now()
	if l.width == 0 {
		fmt.Fprintln(l.out, Text(s))
		return
	}
	fmt.Fprint(l.out, "\r\x1b[K", fit(Text(s), l.width-1))
	l.drawn = true
}

// Print writes a whole line of its own, above the live one.
func (l *Line) Print(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clear()
	fmt.Fprintln(l.out, text)
}

// Close takes the live line away.
func (l *Line) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clear()
}

func (l *Line) clear() {
	if l.drawn {
		fmt.Fprint(l.out, "\r\x1b[K")
		l.drawn = false
	}
}

// Text is a status as one line.
func Text(s lab.Status) string {
	var b strings.Builder
	part := func(format string, args ...any) {
		if b.Len() > 0 {
			b.WriteString(" · ")
		}
		fmt.Fprintf(&b, format, args...)
	}
	if s.Step != "" {
		part("%s", s.Step)
	}
	if s.Title != "" {
		part("%s", s.Title)
	}
	stage := s.Stage
	if s.Phase != "" && s.Stage == "load" {
		stage = s.Phase
	}
	switch {
	case s.Whole > 0:
		part("%s %s of %s", stage, clock(s.Since), clock(s.Whole))
	default:
		part("%s %s", stage, clock(s.Since))
	}
	if s.Doing != "" {
		part("%s", s.Doing)
	}
	if s.Phase != "" {
		requests(s, part)
	}
	return b.String()
}

func requests(s lab.Status, part func(string, ...any)) {
	done := s.OK + s.Errors
	if s.Want > 0 {
		part("%d of %d requests", done, s.Want)
	} else {
		part("%d requests", done)
	}
	if s.Errors > 0 {
		part("%d errors", s.Errors)
	}
	if seconds := s.Since.Seconds(); seconds >= 1 && s.OK > 0 {
		part("%.1f req/s", float64(done)/seconds)
		part("%.0f tok/s", float64(s.Tokens)/seconds)
	}
	part("%d in flight", s.InFlight)
	if s.TTFT > 0 {
		part("TTFT %s", short(s.TTFT))
	}
	if s.ITL > 0 {
		part("ITL %s", short(s.ITL))
	}
	if s.GPU != "" {
		part("%s", s.GPU)
	}
}

func clock(d time.Duration) string {
	d = d.Round(time.Second)
	return fmt.Sprintf("%d:%02d", int(d.Minutes()), int(d.Seconds())%60)
}

func short(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%.1f ms", d.Seconds()*1e3)
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}

// fit cuts a line to the columns there are; a longer one would wrap and not be redrawn in place.
func fit(text string, columns int) string {
	if lipgloss.Width(text) <= columns {
		return text
	}
	var b strings.Builder
	used := 0
	for _, r := range text {
		w := lipgloss.Width(string(r))
		if used+w > columns-1 {
			break
		}
		b.WriteRune(r)
		used += w
	}
	return b.String() + "…"
}
