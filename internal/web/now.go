package web

import (
	"bytes"
	"fmt"
	"time"

	"lab/internal/lab"
	"lab/store"
)

// nowView is what is measured at this moment.
type nowView struct {
	Items []nowItem
}

type nowItem struct {
	Run     string // whose page shows more; empty between runs
	Title   string
	Step    string // of an A/B or a sweep
	Stage   string
	Command string
	Elapsed string
	Whole   string
	Share   int // of the stage, in per cent; -1: its end is not known
	Facts   []fact
}

type fact struct{ Name, Value string }

func (s *Site) now() nowView { return nowOf(s.DB.Announced()) }

func nowOf(all []store.Announcement) nowView {
	var v nowView
	for _, a := range all {
		if a.Status.Stage == "" { // between two runs nothing goes on that could be told
			continue
		}
		v.Items = append(v.Items, nowItemOf(a))
	}
	return v
}

func nowItemOf(a store.Announcement) nowItem {
	s := a.Status
	item := nowItem{Run: s.Run, Title: s.Title, Step: s.Step, Stage: s.Stage, Command: a.Command, Elapsed: clock(s.Since), Share: -1}
	if s.Phase != "" && s.Stage == "load" {
		item.Stage = s.Phase
	}
	if s.Doing != "" {
		item.Stage += ": " + s.Doing
	}
	done := s.OK + s.Errors
	switch {
	case s.Want > 0:
		item.Share = 100 * min(done, s.Want) / s.Want
	case s.Whole > 0:
		item.Whole = clock(s.Whole)
		item.Share = int(100 * min(s.Since, s.Whole) / s.Whole)
	}
	if s.Phase != "" {
		item.Facts = loadFacts(s, done)
	}
	return item
}

// loadFacts are the counts of a phase of load. How the arms of an A/B compare is not among them.
func loadFacts(s lab.Status, done int) []fact {
	var facts []fact
	add := func(name, format string, args ...any) {
		facts = append(facts, fact{name, fmt.Sprintf(format, args...)})
	}
	if s.Want > 0 {
		add("requests", "%s of %s", thousands(done), thousands(s.Want))
	} else {
		add("requests", "%s", thousands(done))
	}
	if s.Errors > 0 {
		add("errors", "%s", thousands(s.Errors))
	}
	add("in flight", "%s", thousands(s.InFlight))
	if seconds := s.Since.Seconds(); seconds >= 1 && s.OK > 0 {
		add("req/s", "%.1f", float64(done)/seconds)
		add("tok/s", "%s", thousands(int(float64(s.Tokens)/seconds)))
	}
	if s.TTFT > 0 {
		add("TTFT, recent p50", "%s", milliseconds(s.TTFT))
	}
	if s.ITL > 0 {
		add("ITL, recent p50", "%s", milliseconds(s.ITL))
	}
	if s.GPU != "" {
		add("GPU", "%s", s.GPU)
	}
	return facts
}

// nowHTML is what is measured now as the shell shows it.
func (s *Site) nowHTML(all []store.Announcement) string {
	var b bytes.Buffer
	if err := s.templates["list"].ExecuteTemplate(&b, "now", nowOf(all)); err != nil {
		return ""
	}
	return b.String()
}

func clock(d time.Duration) string {
	d = d.Round(time.Second)
	return fmt.Sprintf("%d:%02d", int(d.Minutes()), int(d.Seconds())%60)
}

func milliseconds(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%.1f ms", d.Seconds()*1e3)
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}
