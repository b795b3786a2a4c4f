package page

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	"lab/internal/lab"
	"lab/internal/metric"
	"lab/internal/report"
	"lab/internal/report/chart"
)

// requests are laid out over time, and the slowest of them listed.
func (p runPage) requests(b *Body) {
	for i, t := range p.Sealed.Summary.Phases {
		of := slices.DeleteFunc(measuredRequests(p.Tables.Requests), func(r *lab.RequestRecord) bool { return r.Phase != t.Phase })
		b.requestRows(fmt.Sprintf("request-rows-%d", i), p.Say("Requests over time, phase ", "请求时间线，阶段 ")+t.Phase, of, 0, 0)
	}
	if slow := slowest(p.Tables.Requests); len(slow) > 0 {
		b.Table(p.Say("The slowest requests, by E2EL", "最慢的请求（按 E2EL）"), p.slowTable(slow))
	}
}

// rowsDrawn is how many requests are drawn at most.
const rowsDrawn = 140

// requestRows draws requests as rows over time: late, waiting for the first token, answering. From is the moment that
// counts as zero, and the axis ends so many seconds after it; 0: where the requests do.
func (b *Body) requestRows(id, title string, measured []*lab.RequestRecord, from time.Duration, end float64) {
	if len(measured) == 0 {
		return
	}
	shown := evenly(measured, rowsDrawn)
	slow := tpotBounds(shown)
	layers := []chart.Spans{
		{Name: b.Say("late at the client", "客户端发送延迟"), Style: 6},
		{Name: b.Say("waiting for the first token", "等待首 token"), Style: 4},
		{Name: b.Say("answering", "输出"), Style: 0},
		{Name: b.Say("answering, TPOT in the slowest tenth", "输出，TPOT 最慢的十分之一"), Style: 1},
		{Name: b.Say("failed", "失败"), Style: 7},
	}
	var names []string
	for row, r := range shown {
		names = append(names, "#"+strconv.Itoa(r.Seq))
		b.addRow(layers, float64(row), r, slow, from)
	}
	panel := chart.Panel{Title: title, X: chart.Axis{Title: b.Say("time (s)", "时间 (s)"), Max: end}, Y: chart.Axis{Title: b.Say("requests by arrival", "请求（按到达顺序）"), Categories: names}}
	panel.Subtitle = fmt.Sprintf(b.Say("n = %d requests, all of them", "n = %d 个请求，全部"), len(measured))
	if len(shown) < len(measured) {
		panel.Subtitle = fmt.Sprintf(b.Say("%d of n = %d requests, evenly picked by arrival", "%d 个，共 n = %d 个请求，按到达顺序均匀抽取"), len(shown), len(measured))
	}
	for _, layer := range layers {
		if len(layer.Spans) > 0 {
			panel.Layers = append(panel.Layers, layer)
		}
	}
	b.Figures(chart.Figure{ID: id, PanelWidth: 1000, PanelHeight: min(560, 120+float64(len(shown))*7), Panels: []chart.Panel{panel}})
}

// addRow puts the parts of a request on its row.
func (b *Body) addRow(layers []chart.Spans, row float64, r *lab.RequestRecord, slow time.Duration, from time.Duration) {
	text := fmt.Sprintf(b.Say("request %d, phase %s", "请求 %d，阶段 %s"), r.Seq, r.Phase)
	for _, q := range []struct {
		name string
		of   func() (time.Duration, bool)
	}{{"TTFT", r.TTFT}, {"TPOT", r.TPOT}, {"E2EL", r.E2EL}} {
		if d, ok := q.of(); ok {
			text += fmt.Sprintf("\n%s %s ms", q.name, chart.Format(float64(d)/1e6))
		}
	}
	if n, ok := r.Output(); ok {
		text += fmt.Sprintf(b.Say("\n%d tokens out", "\n输出 %d tokens"), n)
	}
	if !r.OK() {
		text += "\n" + r.Error + ": " + r.Detail
	}
	add := func(layer int, start, end time.Duration) {
		if end > start {
			layers[layer].Spans = append(layers[layer].Spans, chart.Span{Row: row, From: seconds(start - from), To: seconds(end - from), Tip: text})
		}
	}
	sent := cmp.Or(r.Sent, r.Intended)
	if sent-r.Intended >= time.Millisecond {
		add(0, r.Intended, sent)
	}
	switch answering := 2; {
	case !r.OK():
		add(4, sent, max(r.Done, sent+time.Millisecond))
	case len(r.Chunks) > 0:
		if tpot, ok := r.TPOT(); ok && tpot > slow {
			answering = 3
		}
		add(1, sent, r.Chunks[0].At)
		add(answering, r.Chunks[0].At, r.Chunks[len(r.Chunks)-1].At)
	}
}

// tpotBounds is the 90th percentile of TPOT.
func tpotBounds(all []*lab.RequestRecord) time.Duration {
	var values []float64
	for _, r := range all {
		if d, ok := r.TPOT(); ok && r.OK() {
			values = append(values, float64(d))
		}
	}
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return time.Duration(metric.Quantile(values, 0.9))
}

// measuredRequests are those of the phases, by their intended moment. They are pointed to: a record is large.
func measuredRequests(all []lab.RequestRecord) []*lab.RequestRecord {
	var measured []*lab.RequestRecord
	for i := range all {
		if all[i].Phase != lab.Warmup {
			measured = append(measured, &all[i])
		}
	}
	slices.SortFunc(measured, func(a, b *lab.RequestRecord) int {
		return cmp.Or(cmp.Compare(a.Intended, b.Intended), cmp.Compare(a.Phase, b.Phase), cmp.Compare(a.Seq, b.Seq))
	})
	return measured
}

// evenly picks at most n.
func evenly[T any](all []T, n int) []T {
	if len(all) <= n {
		return all
	}
	picked := make([]T, n)
	for i := range picked {
		picked[i] = all[i*(len(all)-1)/(n-1)]
	}
	return picked
}

// slowest are the successful requests that took longest.
func slowest(all []lab.RequestRecord) []*lab.RequestRecord {
	const listed = 10
	type taken struct {
		took time.Duration
		r    *lab.RequestRecord
	}
	var ok []taken
	for i := range all {
		r := &all[i]
		if took, has := r.E2EL(); has && r.OK() && r.Phase != lab.Warmup {
			ok = append(ok, taken{took, r})
		}
	}
	slices.SortFunc(ok, func(a, b taken) int {
		return cmp.Or(cmp.Compare(b.took, a.took), cmp.Compare(a.r.Intended, b.r.Intended), cmp.Compare(a.r.Seq, b.r.Seq))
	})
	var slow []*lab.RequestRecord
	for _, one := range ok[:min(listed, len(ok))] {
		slow = append(slow, one.r)
	}
	return slow
}

func (p runPage) slowTable(slow []*lab.RequestRecord) report.Table {
	t := report.Table{Head: []string{p.Say("request", "请求"), p.Say("phase", "阶段"), p.Say("due at", "应发时刻"), "TTFT", "TPOT", "E2EL", p.Say("tokens in", "输入 tokens"), p.Say("out", "输出")},
		Right: map[int]bool{2: true, 3: true, 4: true, 5: true, 6: true, 7: true}}
	for _, r := range slow {
		row := []string{"#" + strconv.Itoa(r.Seq), r.Phase, fmt.Sprintf("%.3f s", r.Intended.Seconds())}
		for _, of := range []func() (time.Duration, bool){r.TTFT, r.TPOT, r.E2EL} {
			text := "-"
			if d, ok := of(); ok {
				text = report.Value(d.Seconds(), "s")
			}
			row = append(row, text)
		}
		in, out := "-", "-"
		if r.Usage != nil {
			in = strconv.Itoa(r.Usage.Input)
		}
		if n, ok := r.Output(); ok {
			out = strconv.Itoa(n)
		}
		t.Rows = append(t.Rows, append(row, in, out))
	}
	return t
}
