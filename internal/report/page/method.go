package page

import (
	"fmt"

	"lab/internal/lab"
	"lab/internal/metric"
	"lab/internal/report"
	"lab/matrices"
)

// validity is what is doubtful, how it was sampled, what lab measured of itself, and by which rules.
func (p runPage) validity(b *Body) {
	findings := append(report.Of(p.parts, report.OfFindings), report.Of(p.hardware, report.OfFindings)...)
	if len(findings) == 0 && p.Sealed.Run.Outcome == lab.Complete {
		b.Text(p.Say("Nothing was found that is doubtful.", "未发现可疑之处。"))
	}
	b.Parts("", findings)
	b.Heading(p.Say("How it was sampled", "采样"))
	b.Parts("", report.Of(p.hardware, report.OfSampling))
	if client := report.Of(p.parts, report.OfClient); len(client) > 0 {
		b.Heading(p.Say("What lab measured of itself", "lab 对自身的测量"))
		for _, part := range client {
			b.Parts(p.Say("The client in phase ", "客户端，阶段 ")+part.Phase, []report.Part{part})
		}
	}
	b.Heading(p.Say("Method", "方法"))
	b.Text(fmt.Sprintf(p.Say("Latencies count from the intended moment of a request, so that a late client or a queue before the server hides nothing; only successful requests enter them. Percentiles are interpolated linearly between ranks. Formulas are definitions %d of docs/metrics.md. One run shows no noise from run to run: lab ab measures it.",
		"延迟从请求的预定时刻算起，客户端迟发或服务端前的排队不会被掩盖；只统计成功的请求。百分位在名次之间线性插值。公式为 docs/metrics.md 的第 %d 版定义。单次测试无法体现测试间的波动，lab ab 可以测量。"), metric.Definitions))
	var names []string
	for _, f := range p.Sealed.Summary.Figures {
		names = append(names, f.Metric)
	}
	b.formulas(unique(names))
}

func unique(all []string) []string {
	seen := map[string]bool{}
	var kept []string
	for _, one := range all {
		if !seen[one] {
			seen[one] = true
			kept = append(kept, one)
		}
	}
	return kept
}

// reproduce says where the numbers are and how to get them again.
func (p runPage) reproduce(b *Body) {
	r := p.Sealed.Run
	b.Text(p.Say("The records of this run, in the store that made it:", "本次测试的记录，在生成它的存储中："))
	b.Code("", "lab show "+r.ID+"\nlab show "+r.ID+" --hardware\nlab show "+r.ID+" --log\nlab export --format jsonl "+r.ID)
	if r.Imported == nil {
		b.Text(p.Say("On another machine: the experiment as a file, everything said, and the command.", "在另一台机器上：完整的实验文件与命令。"))
		b.experimentFile("experiment.yaml", r.Experiment)
		b.Code("", map[bool]string{false: "lab run experiment.yaml", true: "lab profile experiment.yaml"}[r.Profile != nil])
	}
}

// experimentFile is an experiment as a file that reads as it.
func (b *Body) experimentFile(name string, e lab.Experiment) {
	text, err := matrices.Write(e)
	if err != nil {
		b.Note(err.Error())
		return
	}
	b.Details(name, func(b *Body) { b.Code("", string(text)) })
}
