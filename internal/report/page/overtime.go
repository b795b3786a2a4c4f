package page

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"lab/internal/correlate"
	"lab/internal/lab"
	"lab/internal/report/chart"
)

// chosen is a chart over time by what is drawn in it.
type chosen struct {
	title string
	scale float64 // of the stored unit to that of the title
	zero  bool
	curve []pick
}

// pick is a curve by its device ("gpu": each of them) and value.
type pick struct {
	device, value string
	name          string // in the legend; "": the device
	moved         bool   // only where it was ever above zero
}

// chosenCharts are the charts of a run, those that have something to show.
func (w words) chosenCharts() []chosen {
	percentiles := func(quantity string) []pick {
		return []pick{{"requests", quantity + ".p50", "p50", false}, {"requests", quantity + ".p90", "p90", false}, {"requests", quantity + ".p99", "p99", false}}
	}
	return []chosen{
		{"TTFT (ms)", 1e3, true, percentiles("ttft")},
		{"ITL (ms)", 1e3, true, percentiles("itl")},
		{w.Say("Requests: in flight by the client, running and waiting by the engine", "请求数：客户端在途；引擎运行中、排队"), 1, true, []pick{
			{"requests", "in_flight", w.Say("in flight", "在途"), false},
			{"engine", lab.EngineRunning, w.Say("running", "运行中"), false}, {"engine", lab.EngineWaiting, w.Say("waiting", "排队"), false}}},
		{w.Say("Output (tok/s)", "输出 (tok/s)"), 1, true, []pick{{"requests", "output_tokens", w.Say("output", "输出"), false}}},
		{w.Say("Errors (requests/s)", "错误 (请求/s)"), 1, true, []pick{{"requests", "errors", w.Say("errors", "错误"), true}}},
		{w.Say("KV cache in use (%)", "KV 缓存占用 (%)"), 100, true, []pick{{"engine", lab.EngineKVUsage, w.Say("KV cache", "KV 缓存"), false}}},
		{w.Say("Preemptions (1/s)", "抢占 (1/s)"), 1, true, []pick{{"engine", lab.EnginePreempt, w.Say("preemptions", "抢占"), true}}},
		{w.Say("GPU power and limit (W)", "GPU 功率与上限 (W)"), 1, true, []pick{{"gpu", lab.GPUPower, "", false}, {"gpu", lab.GPUPowerLimit, w.Say("limit", "上限"), true}}},
		{w.Say("GPU SM clock (MHz)", "GPU SM 频率 (MHz)"), 1, false, []pick{{"gpu", lab.GPUSMClock, "", false}}},
		{w.Say("GPU busy (%)", "GPU 利用率 (%)"), 1, true, []pick{{"gpu", lab.GPUUtil, "", false}}},
		{w.Say("GPU held down by a limit (% of the time)", "GPU 降频 (时间占比 %)"), 100, true, []pick{
			{"gpu", lab.GPUThrottlePower, w.Say("power cap", "功率上限"), true}, {"gpu", lab.GPUThrottleThermal, w.Say("heat (software)", "过热（软件）"), true},
			{"gpu", lab.GPUThrottleHWThermal, w.Say("heat (hardware)", "过热（硬件）"), true}, {"gpu", lab.GPUThrottleBrake, w.Say("power brake", "功率制动"), true}}},
		{w.Say("GPU memory in use (GiB)", "GPU 显存占用 (GiB)"), 1.0 / (1 << 30), true, []pick{{"gpu", lab.GPUMemUsed, "", false}}},
		{w.Say("GPU temperature (°C)", "GPU 温度 (°C)"), 1, false, []pick{{"gpu", lab.GPUTemp, "", false}}},
		{w.Say("CPU of the host (%)", "主机 CPU (%)"), 1, true, []pick{{"host", lab.HostCPU, "CPU", false}, {"host", lab.HostSteal, w.Say("stolen", "被抢占"), true}}},
		{w.Say("CPU of the server and of the client (cores)", "服务端与客户端 CPU（核）"), 1, true, []pick{
			{"server", lab.ProcCPU, w.Say("server", "服务端"), false}, {"client", lab.ClientCPU, w.Say("lab's client", "lab 客户端"), false}}},
	}
}

// timeline lays the curves of a run out. From is the moment that counts as zero.
func (w words) timeline(id string, line correlate.Timeline, stalls []correlate.Stall, from time.Duration) Timeline {
	t := Timeline{ID: id, From: seconds(line.From - from), To: seconds(line.To - from),
		Title: w.Say("Percentiles, tokens and rates are of windows of ", "百分位、token 与速率按窗口统计，窗口长 ") + windowText(line.Window) +
			w.Say("; a p90 needs 10 values in a window, a p99 100. What was sampled is drawn as it was read; a hole is where nothing was.", "；p90 至少需要 10 个值，p99 至少 100 个。采样值按读数绘制；空缺表示没有数据。"),
		Origin: w.Say("seconds since the start of the run", "测试开始后的秒数"), Short: "s"}
	t.Title += w.scaledNote(Side{Timeline: line})
	for _, p := range line.Phases {
		t.Bands = append(t.Bands, Stretch{seconds(p.From - from), seconds(p.To - from), p.Name})
	}
	for _, c := range w.chosenCharts() {
		if p := c.panel(line, from); len(p.Lines) > 0 {
			if c.title == "ITL (ms)" {
				p.Mark, p.Marks = w.Say("the longest stalls", "最长的停顿"), w.stallMarks(stalls, from)
			}
			t.Panels = append(t.Panels, p)
		}
	}
	return t
}

// scaledNote says where the tokens of a curve come from, if not from a running count of the server.
func (w words) scaledNote(sides ...Side) string {
	for _, s := range sides {
		if curveOf(s.Timeline, "output_tokens").Scaled {
			return w.Say(" Output: the server counted the tokens of a request as a whole, and they are shared out over its chunks.", " 输出：服务端只给出每个请求的 token 总数，按其数据块分摊。")
		}
	}
	return ""
}

// overlay lays the runs of a pair over each other, each from the start of its load.
func (w words) overlay(id string, pair []Side) Timeline {
	t := Timeline{ID: id, Title: fmt.Sprintf(w.Say("Percentiles, tokens and rates are of windows of %s, in both.", "百分位、token 与速率按窗口统计，两侧窗口均长 %s。"), windowText(pair[0].Timeline.Window)),
		Origin: w.Say("seconds since the start of the load", "负载开始后的秒数"), Short: "s"}
	t.Title += w.scaledNote(pair...)
	for _, s := range pair {
		t.To = max(t.To, seconds(s.Timeline.To-s.Timeline.From))
	}
	if phases := pair[0].Timeline.Phases; len(phases) > 1 {
		for _, p := range phases {
			t.Bands = append(t.Bands, Stretch{seconds(p.From - pair[0].Timeline.From), seconds(p.To - pair[0].Timeline.From), "A " + p.Name})
		}
	}
	for _, c := range w.chosenCharts() {
		both := Panel{Title: c.title, Zero: c.zero}
		for i, s := range pair {
			for k, l := range c.panel(s.Timeline, s.Timeline.From).Lines {
				if l.Name == "p90" { // four lines can be read, six cannot
					continue
				}
				l.Name, l.Style = s.Arm+" "+l.Name, sideStyle(i, k)
				both.Lines = append(both.Lines, l)
			}
		}
		if len(both.Lines) > 0 {
			t.Panels = append(t.Panels, both)
		}
	}
	return t
}

// sideStyle keeps the lines of an arm in colours of one kind: blues for A, oranges for B.
func sideStyle(side, line int) chart.Style {
	looks := [][]chart.Style{{0, 5, 2, 6}, {1, 4, 3, 7}}[side]
	return looks[line%len(looks)]
}

func (w words) stallMarks(stalls []correlate.Stall, from time.Duration) []Stretch {
	var marks []Stretch
	for _, s := range stalls {
		marks = append(marks, Stretch{seconds(s.From - from), seconds(s.To - from), w.Say("stall: ", "停顿：") + s.Cause})
	}
	slices.SortFunc(marks, func(a, b Stretch) int { return int(math.Copysign(1, a.From-b.From)) })
	return marks
}

func (c chosen) panel(line correlate.Timeline, from time.Duration) Panel {
	p := Panel{Title: c.title, Zero: c.zero}
	for _, pick := range c.curve {
		for _, curve := range line.Curves {
			if curve.Value != pick.value || curve.Device != pick.device && !(pick.device == "gpu" && strings.HasPrefix(curve.Device, "gpu")) {
				continue
			}
			if pick.moved && !moved(curve.V) {
				continue
			}
			l := Line{Name: pick.name, Style: chart.Style(len(p.Lines)), Steps: curve.Device == "engine" && !curve.Rate}
			if pick.device == "gpu" {
				l.Name = strings.TrimSpace(curve.Device + " " + pick.name)
			}
			for i, at := range curve.At {
				l.At, l.V = append(l.At, seconds(at-from)), append(l.V, curve.V[i]*c.scale)
			}
			p.Lines = append(p.Lines, l)
		}
	}
	return p
}

func moved(v []float64) bool {
	return slices.ContainsFunc(v, func(one float64) bool { return one > 0 })
}

func seconds(d time.Duration) float64 { return float64(d) / 1e9 }
