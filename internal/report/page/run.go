package page

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"

	"lab/internal/correlate"
	"lab/internal/lab"
	"lab/internal/report"
	"lab/profiling"
)

// RunView is what a page of a run is made of.
type RunView struct {
	Lang     string
	Lab      string // version of the program that makes the page
	Sealed   lab.Sealed
	Tables   lab.Tables
	Hardware correlate.Hardware  // of correlate.Explain
	Timeline correlate.Timeline  // of correlate.Over
	Against  *lab.Verdict        // the run beside a baseline, as compare.Against gives it; nil: beside none
	Traces   []profiling.Summary // of a profiled run
	Unread   lab.Bytes           // of its traces, where they were not read
}

// runPage is a page of a run while it is made.
type runPage struct {
	RunView
	words
	parts    []report.Part // what lab show prints
	hardware []report.Part // what lab show --hardware prints
}

// Run makes the page of one run.
func Run(v RunView) Document {
	p := runPage{RunView: v, words: words{v.Lang}, parts: report.RunParts(v.Sealed), hardware: report.HardwareParts(v.Sealed.Run, v.Hardware)}
	r := v.Sealed.Run
	d := Document{Title: p.Say("Run ", "测试 ") + r.ID, Subtitle: r.Experiment.Name, Lang: v.Lang, Lab: v.Lab, Unread: v.Unread > 0}
	d.add(v.Lang, "result", p.Say("Result", "结果"), p.result)
	d.add(v.Lang, "measured", p.Say("What was measured", "测试内容"), p.measured)
	if r.Profile != nil {
		d.add(v.Lang, "profile", p.Say("Profile", "性能剖析"), p.profile)
	}
	d.add(v.Lang, "latency", p.Say("Latency", "延迟"), p.latency)
	d.add(v.Lang, "throughput", p.Say("Throughput and saturation", "吞吐与饱和"), p.throughput)
	d.add(v.Lang, "over-time", p.Say("Over time", "时间序列"), p.overTime)
	d.add(v.Lang, "requests", p.Say("Requests", "请求"), p.requests)
	d.add(v.Lang, "stalls", p.Say("Stalls", "停顿"), p.stalls)
	d.add(v.Lang, "energy", p.Say("Energy", "能耗"), p.energy)
	d.add(v.Lang, "hardware", p.Say("Hardware", "硬件"), p.machine)
	d.add(v.Lang, "errors", p.Say("Errors", "错误"), p.errors)
	d.add(v.Lang, "validity", p.Say("Validity and method", "有效性与方法"), p.validity)
	d.add(v.Lang, "reproduce", p.Say("How to do it again", "如何复现"), p.reproduce)
	d.Data = append(d.Data,
		data("data-run", p.Say("The run and its figures (lab export)", "测试及其指标 (lab export)"), r.ID+".json", func(b *bytes.Buffer) error { return report.RunJSON(b, v.Sealed) }),
		data("data-hardware", p.Say("What the hardware did (lab show --hardware --json)", "硬件行为 (lab show --hardware --json)"), r.ID+"-hardware.json",
			func(b *bytes.Buffer) error { return report.HardwareJSON(b, v.Hardware) }))
	return d
}

// add makes a section, where there is something to put into it.
func (d *Document) add(lang, id, heading string, fill func(*Body)) {
	b := NewBody(lang)
	fill(b)
	if !b.Empty() {
		d.Sections = append(d.Sections, b.Section(id, heading))
	}
}

// data is what a command prints as JSON.
func data(id, title, file string, write func(*bytes.Buffer) error) Data {
	var text bytes.Buffer
	if err := write(&text); err != nil {
		panic("write data of a page: " + err.Error()) // memory does not fail, and the values have a JSON form: commands print them
	}
	return Data{id, title, file, json.RawMessage(text.Bytes())}
}

// overTime are the charts over time.
func (p runPage) overTime(b *Body) {
	b.Timeline(p.timeline("time", p.Timeline, p.Hardware.Stalls.Worst, 0))
}

// stalls are the gaps that stood out, with what happened then.
func (p runPage) stalls(b *Body) {
	b.Parts(p.Say("Stalls by cause", "按原因统计的停顿"), report.Of(p.hardware, report.OfStalls))
}

func (p runPage) profile(b *Body) {
	b.Parts(p.Say("Files of the capture", "采集文件"), report.Of(p.parts, report.OfCapture))
	p.unread(b, p.Unread)
	for i, trace := range p.Traces {
		id, of := "", ""
		if len(p.Traces) > 1 { // one a worker
			id, of = fmt.Sprintf("-%d", i+1), ", "+filepath.Base(trace.File)
			b.Heading(filepath.Base(trace.File))
		}
		p.whereTime(b, trace, id)
		titled(b, report.TraceParts(trace), p.Say("Of the trace", "剖析数据"), of)
	}
}

// machine is what was sampled, phase by phase, and what it says.
func (p runPage) machine(b *Body) {
	b.Parts(p.Say("Sampled beside the load", "负载期间的采样"), report.Of(p.hardware, report.OfHardware))
	b.Parts(p.Say("What goes with slowness", "与变慢相关的因素"), report.Of(p.hardware, report.OfLimits))
}
