package page

import (
	"lab/internal/correlate"
	"lab/internal/lab"
	"lab/internal/report"
)

// RunView is what a page of a run is made of.
type RunView struct {
	Lang     string
	Lab      string // version of the program that makes the page
	Sealed   lab.Sealed
	Tables   lab.Tables
	Hardware correlate.Hardware // of correlate.Explain
	Timeline correlate.Timeline // of correlate.Over
}

// Run makes the page of one run.
func Run(v RunView) Document {
	r := v.Sealed.Run
	w := words{v.Lang}
	d := Document{Title: w.Say("Run ", "测试 ") + r.ID + "  " + r.Experiment.Name, Lang: v.Lang, Lab: v.Lab}
	parts := report.RunParts(v.Sealed)
	b := NewBody(v.Lang)
	b.Parts(w.Say("What was measured", "测试内容"), report.Of(parts, report.OfFacts))
	d.Sections = append(d.Sections, b.Section("what", w.Say("What was measured", "测试内容")))
	b = NewBody(v.Lang)
	b.Timeline(w.timeline("time", v.Timeline, v.Hardware.Stalls.Worst, 0))
	d.Sections = append(d.Sections, b.Section("over-time", w.Say("Over time", "时间序列")))
	return d
}
