package page

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"lab/internal/compare"
	"lab/internal/correlate"
	"lab/internal/lab"
	"lab/internal/readout"
	"lab/internal/report"
	"lab/internal/report/chart"
	"lab/store"
)

// CompareView is what a page of runs beside each other is made of. The first is what the others are set against; Arm is
// the name of each in tables and pictures.
type CompareView struct {
	Lang string
	Lab  string
	Runs []Side

	Undecided []string // A/Bs of which runs of both arms are here, and which will be judged again
}

// LoadCompare makes the page of runs of the store beside each other.
func LoadCompare(_ context.Context, db *store.DB, ids []string, asked Asked) (Document, error) {
	v := CompareView{Lang: asked.Lang, Lab: asked.Lab}
	for i, id := range ids {
		sealed, err := readout.Run(db, id)
		if err != nil {
			return Document{}, err
		}
		tables, err := db.Tables(id)
		if err != nil {
			return Document{}, err
		}
		v.Runs = append(v.Runs, Side{Arm: strconv.Itoa(i + 1), Sealed: sealed, Tables: tables, Timeline: correlate.Over(sealed.Run, tables)})
	}
	alikeWindows(v.Runs)
	var err error
	if v.Undecided, err = undecided(db, v.Runs); err != nil {
		return Document{}, err
	}
	return Compare(v), nil
}

// undecided are the A/Bs of which runs of both arms are among these, and which are to be judged again.
func undecided(db *store.DB, sides []Side) ([]string, error) {
	arms := map[string]map[string]bool{}
	for _, s := range sides {
		if p := s.Sealed.Run.Plan; p != nil && s.Sealed.Run.Arm != "" {
			if arms[p.ID] == nil {
				arms[p.ID] = map[string]bool{}
			}
			arms[p.ID][s.Sealed.Run.Arm] = true
		}
	}
	var open []string
	for _, id := range slices.Sorted(maps.Keys(arms)) {
		if len(arms[id]) < 2 {
			continue
		}
		plan, err := db.ResolvePlan(id) // a time limit may have cut it since
		if err != nil {
			return nil, err
		}
		runs, err := db.PlanRuns(id)
		if err != nil {
			return nil, err
		}
		if !compare.Judge(plan, runs).Look.Final {
			open = append(open, id)
		}
	}
	return open, nil
}

// Compare makes the page of runs beside each other. Single runs show no noise from run to run, so nothing is called better.
func Compare(v CompareView) Document {
	w := words{v.Lang}
	first := v.Runs[0].Sealed.Run
	d := Document{Title: fmt.Sprintf(w.Say("%d runs beside each other", "%d 次测试并列"), len(v.Runs)), Lang: v.Lang, Lab: v.Lab,
		Subtitle: fmt.Sprintf(w.Say("against run %s. One run a side shows no noise from run to run, so there is no verdict: lab ab gives one", "以 %s 为基准。每侧一次测试看不出测试间的波动，因此不作结论；lab ab 给出结论"), first.ID)}
	d.add(v.Lang, "figures", w.Say("Figures", "指标"), v.figures)
	d.add(v.Lang, "different", w.Say("What differs", "差异"), v.different)
	d.add(v.Lang, "latency", w.Say("Latency", "延迟"), v.latency)
	d.add(v.Lang, "over-time", w.Say("Over time", "时间序列"), v.overTime)
	return d
}

func (v CompareView) figures(b *Body) {
	for _, id := range v.Undecided {
		b.Banner(Banner{Kind: "unsure", Word: fmt.Sprintf(b.Say("A/B %s is not decided", "A/B %s 尚未判定"), id), Text: b.Say(
			"Runs of both of its arms are here, and it will be judged again. Whoever ends it because of what is seen here spoils its verdict: it may be judged only at the looks that were laid down before it began.",
			"此处含有其两侧的测试，而它还将再次判定。若因此处所见而提前结束，结论即告无效：只能在开始前定下的时点判定。")})
	}
	which := report.Table{Head: []string{"", b.Say("run", "测试"), b.Say("experiment", "实验"), b.Say("server", "服务"), b.Say("when", "时间"), b.Say("outcome", "结果")}}
	var named []compare.Named
	for _, s := range v.Runs {
		named = append(named, compare.Named{Name: s.Arm, Summary: s.Sealed.Summary})
		r := s.Sealed.Run
		which.Rows = append(which.Rows, []string{s.Arm, r.ID, r.Experiment.Name, r.Experiment.Server.Model + r.Experiment.Server.BaseURL,
			report.Moment(r.Epoch.Wall), outcomeOf(r)})
	}
	b.Table(b.Say("Runs", "测试"), which)
	t, reasons := report.Beside(named)
	b.Table(fmt.Sprintf(b.Say("Figures of each run, and by how much they differ from those of run %s", "各次测试的指标，及其相对测试 %s 的差异"), v.Runs[0].Arm), t)
	if len(t.Rows) == 0 {
		b.Text(b.Say("They have no figure in common.", "没有共同的指标。"))
	}
	for i, reason := range reasons {
		b.Note(fmt.Sprintf("(%d) %s", i+1, reason))
	}
}

func outcomeOf(r lab.Run) string {
	switch {
	case r.Profile != nil:
		return "profiled"
	case r.Outcome == lab.Complete && !r.Valid():
		return "INVALID"
	}
	return string(r.Outcome)
}

// different shows only what is not alike: settings, what the servers made of them, the machine.
func (v CompareView) different(b *Body) {
	settings := v.differ(func(base, other lab.Run) []lab.Difference { return lab.Diff(base.Experiment, other.Experiment) })
	if len(settings.Rows) == 0 {
		b.Text(b.Say("The experiments are the same but for their names.", "除名称外，实验完全相同。"))
	}
	b.Table(b.Say("Settings", "设置"), settings)
	b.Table(b.Say("What the servers settled on themselves", "服务自行确定的值"), v.differ(func(base, other lab.Run) []lab.Difference {
		return lab.DiffValues(base.Server.Resolved, other.Server.Resolved)
	}))
	b.Table(b.Say("The machine", "机器"), v.differ(func(base, other lab.Run) []lab.Difference {
		return lab.DiffValues(base.Host.Fingerprint(), other.Host.Fingerprint())
	}))
}

// differ lists the values in which any run differs from the first, a column a run.
func (v CompareView) differ(diff func(base, other lab.Run) []lab.Difference) report.Table {
	t := report.Table{Head: []string{""}}
	values := map[string][]string{}
	for i, s := range v.Runs {
		t.Head = append(t.Head, s.Arm)
		for _, d := range diff(v.Runs[0].Sealed.Run, s.Sealed.Run) {
			if values[d.Path] == nil {
				values[d.Path] = slices.Repeat([]string{d.A}, len(v.Runs)) // alike where nothing else is said
			}
			values[d.Path][i] = d.B
		}
	}
	for _, path := range slices.Sorted(maps.Keys(values)) {
		row := []string{path}
		for _, value := range values[path] {
			if value == "" {
				value = "–"
			}
			row = append(row, value)
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// latency draws the distributions of the first judged phase over each other.
func (v CompareView) latency(b *Body) {
	var figures []chart.Figure
	for _, q := range quantities {
		var samples []sample
		for i, s := range v.Runs {
			phase := judgedPhase(s.Sealed.Summary)
			picked := Latencies(s.Tables.Requests, phase)[q.name]
			if len(picked.Picked) >= fewestDrawn {
				samples = append(samples, sample{s.Arm, chart.Style(i), scaled(picked.Picked, q.scale), picked.N})
			}
		}
		if len(samples) > 0 {
			figures = append(figures, b.ecdf("ecdf-"+q.name, q.title, q.unit, samples))
		}
	}
	b.Figures(figures...)
}

func judgedPhase(s lab.Summary) string {
	for _, t := range s.Phases {
		if t.Judged {
			return t.Phase
		}
	}
	return ""
}

// overTime lays the runs over each other, each from the start of its load: two with all their lines, more with one each.
func (v CompareView) overTime(b *Body) {
	if len(v.Runs) == 2 {
		b.Timeline(b.overlay("time", v.Runs))
		return
	}
	t := Timeline{ID: "time", Title: fmt.Sprintf(b.Say("Medians, tokens and rates are of windows of %s, in all.", "中位数、token 与速率按窗口统计，窗口长 %s。"), windowText(v.Runs[0].Timeline.Window)),
		Origin: b.Say("seconds since the start of the load", "负载开始后的秒数"), Short: "s"}
	t.Title += b.scaledNote(v.Runs...)
	for _, s := range v.Runs {
		t.To = max(t.To, seconds(s.Timeline.To-s.Timeline.From))
	}
	for _, c := range b.chosenCharts() {
		all := Panel{Title: c.title, Zero: c.zero}
		for i, s := range v.Runs {
			if lines := c.panel(s.Timeline, s.Timeline.From).Lines; len(lines) > 0 {
				l := lines[0]
				l.Name, l.Style = s.Arm+" "+l.Name, chart.Style(i)
				all.Lines = append(all.Lines, l)
			}
		}
		if len(all.Lines) > 0 {
			t.Panels = append(t.Panels, all)
		}
	}
	b.Timeline(t)
}
