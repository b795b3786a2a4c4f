package page

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"lab/internal/lab"
	"lab/internal/report"
)

// samplesShown is how many requests of a class of errors are listed.
const samplesShown = 20

// errors are counted by class, with samples.
func (p runPage) errors(b *Body) {
	counts := report.Table{Head: []string{p.Say("phase", "阶段"), p.Say("class", "类别"), p.Say("requests", "请求数"), p.Say("share", "比例"), p.Say("of", "总数")}, Right: map[int]bool{2: true, 3: true, 4: true}}
	offered := 0
	for _, t := range p.Sealed.Summary.Phases {
		offered += t.Offered
		for _, class := range slices.Sorted(maps.Keys(t.Errors)) {
			n := t.Errors[class]
			counts.Rows = append(counts.Rows, []string{t.Phase, class, strconv.Itoa(n), report.Value(float64(n)/float64(t.Offered), "share"), strconv.Itoa(t.Offered)})
		}
	}
	if len(counts.Rows) == 0 {
		if offered > 0 {
			b.Text(fmt.Sprintf(p.Say("No request failed (n = %d).", "没有请求失败（n = %d）。"), offered))
		} else {
			b.Text(p.Say("No request of a measured phase was recorded.", "没有记录到任何阶段的请求。"))
		}
		return
	}
	b.Table(p.Say("Errors by class", "错误分类"), counts)
	for _, class := range errorClasses(p.Tables.Requests) {
		samples := report.Table{Head: []string{p.Say("request", "请求"), p.Say("phase", "阶段"), p.Say("at", "时刻"), "HTTP", p.Say("what went wrong", "原因")}, Right: map[int]bool{2: true, 3: true}}
		total := 0
		for _, r := range p.Tables.Requests {
			if r.Error != class || r.Phase == lab.Warmup {
				continue
			}
			if total++; total <= samplesShown {
				status := ""
				if r.Status > 0 {
					status = strconv.Itoa(r.Status)
				}
				samples.Rows = append(samples.Rows, []string{"#" + strconv.Itoa(r.Seq), r.Phase, fmt.Sprintf("%.3f s", r.Done.Seconds()), status, r.Detail})
			}
		}
		b.Details(fmt.Sprintf(p.Say("%s: %d of n = %d shown", "%s：显示 %d 个，共 n = %d"), class, len(samples.Rows), total), func(b *Body) {
			b.Table(p.Say("Samples of class ", "样例，类别 ")+class, samples)
		})
	}
}

func errorClasses(all []lab.RequestRecord) []string {
	classes := map[string]bool{}
	for _, r := range all {
		if !r.OK() && r.Phase != lab.Warmup {
			classes[r.Error] = true
		}
	}
	return slices.Sorted(maps.Keys(classes))
}
