package correlate

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"lab/internal/lab"
)

// classLength is the window in which a limit is looked for.
const classLength = 5 * time.Second

// The classes of limits, and the thresholds of their rules; docs/hardware.md tells them with their source.
const (
	classClient  = "client-limited"
	classPower   = "power-throttled"
	classThermal = "thermal"
	classQueue   = "queueing"
	classKV      = "KV cache full"
	classBatch   = "batch cap"
	classCompute = "compute-bound"
	classMemory  = "memory-bandwidth-bound"
	classEither  = "compute or memory bandwidth"
	classHost    = "host-bound"

	throttledShare = 0.05
	loweredClock   = 0.97
	waitingShare   = 0.5
	kvFull         = 0.95
	kvRoom         = 0.80
	tensorBound    = 50.0 // % of the time a tensor core was active
	dramBound      = 60.0
	gpuBusy        = 85.0
	busyThread     = 0.95 // cores
)

// moment is one window of the classification.
type moment struct {
	span
	v *view
	w window
}

// sign is a class that holds in a window, and the figure it rests on.
type sign struct {
	class string
	value float64
}

// bottlenecks gives the share of windows in which each limit held, over the judged phases. In a window several may hold;
// one in which none does is unattributed.
func (v *view) bottlenecks() []Bottleneck {
	counts, figures, of := map[string]int{}, map[string][]float64{}, 0
	for _, w := range v.windows {
		if !w.phase.Judged {
			continue
		}
		late := v.lateBins(w)
		for from := w.from; from+classLength <= w.to; from += classLength {
			m := moment{span{from, from + classLength}, v, w}
			of++
			signs := m.signs()
			if lag, ok := late[int((from-w.from)/classLength)]; ok {
				signs = append(signs, sign{classClient, lag})
			}
			if len(signs) == 0 {
				signs = []sign{{Unattributed, 0}}
			}
			for _, s := range signs {
				counts[s.class]++
				figures[s.class] = append(figures[s.class], s.value)
			}
		}
	}
	var all []Bottleneck
	for class, n := range counts {
		all = append(all, Bottleneck{Class: class, Share: float64(n) / float64(of), Windows: n, Of: of, Evidence: v.told(class, median(figures[class]))})
	}
	slices.SortFunc(all, func(a, b Bottleneck) int {
		return cmp.Or(cmp.Compare(b.Windows, a.Windows), strings.Compare(a.Class, b.Class))
	})
	return all
}

// told puts the median figure of a class into words.
func (v *view) told(class string, x float64) string {
	switch class {
	case classClient:
		return fmt.Sprintf("requests left %.1f ms late (p99, median over the windows)", x*1e3)
	case classPower:
		return fmt.Sprintf("at the power limit for %.0f %% of the time, SM clock below 97 %% of its maximum", 100*x)
	case classThermal:
		return fmt.Sprintf("slowed down for heat for %.0f %% of the time", 100*x)
	case classQueue:
		return fmt.Sprintf("requests waited in %.0f %% of the readings", 100*x)
	case classKV:
		return fmt.Sprintf("KV cache %.0f %% full or requests preempted, while requests waited", 100*x)
	case classBatch:
		return fmt.Sprintf("%.0f requests ran, as many as max_num_seqs allows, while others waited and the KV cache had room", x)
	case classCompute:
		return fmt.Sprintf("tensor cores active for %.0f %% of the time", x)
	case classMemory:
		return fmt.Sprintf("memory of the GPU busy for %.0f %% of the time", x)
	case classEither:
		return fmt.Sprintf("a kernel ran for %.0f %% of the time; without GPM readings compute and memory bandwidth cannot be told apart", x)
	case classHost:
		return fmt.Sprintf("the server used %.2f cores while the GPU waited for work", x)
	}
	return "no rule holds"
}

// signs are the classes that hold in a window.
func (m moment) signs() (all []sign) {
	all = append(all, m.throttling()...)
	all = append(all, m.scheduling()...)
	return append(all, m.engineRoom()...)
}

func (m moment) throttling() (all []sign) {
	power, thermal := 0.0, 0.0
	for _, gpu := range m.v.samples.gpus {
		if share, ok := m.held(gpu, reasons()[0]); ok && share > throttledShare && m.lowered(gpu) {
			power = max(power, share)
		}
		if share, ok := m.held(gpu, reasons()[1]); ok {
			thermal = max(thermal, share)
		}
	}
	if power > 0 {
		all = append(all, sign{classPower, power})
	}
	if thermal > 0 {
		all = append(all, sign{classThermal, thermal})
	}
	return all
}

// held is the share of the window in which a GPU was held down for a reason.
func (m moment) held(gpu string, r reason) (float64, bool) {
	sum, counted := 0.0, false
	for _, name := range r.Counters {
		if rise, ok := m.v.samples.of(gpu, name).rise(m.from, m.to); ok {
			sum, counted = sum+rise, true
		}
	}
	if counted {
		return min(1, sum/m.length().Seconds()), true
	}
	s := m.v.samples.of(gpu, lab.GPUThrottle)
	if s == nil {
		return 0, false
	}
	i, j := s.within(m.from, m.to)
	n := 0
	for k := i; k < j; k++ {
		if r.Held(int(s.v[k])) {
			n++
		}
	}
	return float64(n) / float64(max(1, j-i)), j > i
}

// lowered says whether the SM clock was below its maximum; where that is not known, the level under load stands for it.
func (m moment) lowered(gpu string) bool {
	clock, covered := m.v.samples.of(gpu, lab.GPUSMClock).mean(m.from, m.to)
	if covered < enoughPart {
		return false
	}
	if s := m.v.samples.of(gpu, lab.GPUMaxSMClock); s != nil {
		return clock < loweredClock*slices.Max(s.v)
	}
	return clock < loweredClock*m.v.levels[gpu]
}

// scheduling: what the engine says of its queue.
func (m moment) scheduling() (all []sign) {
	engine := func(name string) *series { return m.v.samples.of("engine", name) }
	waiting := engine(lab.EngineWaiting)
	if waiting == nil {
		return nil
	}
	const fewest = 3 // readings
	i, j := waiting.within(m.from, m.to)
	n := 0
	for k := i; k < j; k++ {
		if waiting.v[k] > 0 {
			n++
		}
	}
	share := float64(n) / float64(max(1, j-i))
	if j-i >= fewest && share > waitingShare {
		all = append(all, sign{classQueue, share})
	}
	running, covered := engine(lab.EngineRunning).mean(m.from, m.to)
	kv, _ := engine(lab.EngineKVUsage).mean(m.from, m.to)
	preempted, _ := engine(lab.EnginePreempt).rise(m.from, m.to)
	most, known := m.v.maxSeqs()
	if n == 0 || covered < enoughPart {
		return all
	}
	if (kv > kvFull || preempted > 0) && (!known || running < most) {
		all = append(all, sign{classKV, kv})
	}
	if known && running >= 0.99*most && kv < kvRoom {
		all = append(all, sign{classBatch, most})
	}
	return all
}

// maxSeqs is how many requests the engine runs at most: as asked, else as it said itself.
func (v *view) maxSeqs() (float64, bool) {
	if n := v.run.Experiment.Server.MaxNumSeqs; n != nil {
		return float64(*n), true
	}
	for _, name := range []string{"max_num_seqs", "engine.max_num_seqs", "args.max_num_seqs"} {
		if n, err := strconv.ParseFloat(v.run.Server.Resolved[name], 64); err == nil {
			return n, true
		}
	}
	return 0, false
}

// engineRoom: what of the GPU was busy while requests ran. Means are over the GPUs.
func (m moment) engineRoom() (all []sign) {
	if m.v.flight.inFlight(m.from+m.length()/2) == 0 {
		return nil
	}
	over := func(value string) (float64, bool) {
		sum, n := 0.0, 0
		for _, gpu := range m.v.samples.gpus {
			at := m.v.samples.shifted(gpu, value, m.span)
			if mean, covered := m.v.samples.of(gpu, value).mean(at.from, at.to); covered >= enoughPart {
				sum, n = sum+mean, n+1
			}
		}
		return sum / float64(max(1, n)), n > 0
	}
	tensor, gpm := over(lab.GPUTensorUtil)
	dram, _ := over(lab.GPUDRAMUtil)
	busy, known := over(lab.GPUUtil)
	if sm, ok := over(lab.GPUSMUtil); ok {
		busy, known = sm, true
	}
	if tensor > tensorBound {
		all = append(all, sign{classCompute, tensor})
	}
	if dram > dramBound {
		all = append(all, sign{classMemory, dram})
	}
	if !gpm && known && busy >= gpuBusy {
		all = append(all, sign{classEither, busy})
	}
	if cores, ok := m.serverCores(); ok && known && busy < gpuBusy && cores >= busyThread {
		all = append(all, sign{classHost, cores})
	}
	return all
}

// serverCores is what the engine's process used, or the whole server where its parts are not told apart.
func (m moment) serverCores() (float64, bool) {
	for _, device := range []string{"server.engine", "server"} {
		if cpu, ok := m.v.samples.of(device, lab.ProcCPU).rise(m.from, m.to); ok {
			return cpu / m.length().Seconds(), true
		}
	}
	return 0, false
}

// bounded: an open loop had as many requests in flight as it may, so that others had to wait by design.
func (v *view) bounded(w window) bool {
	if !w.phase.Load.Open() || w.phase.Load.Concurrency == 0 {
		return false
	}
	for i, at := range v.flight.at {
		if w.from <= at && at < w.to && v.flight.n[i] >= w.phase.Load.Concurrency {
			return true
		}
	}
	return false
}

// lateBins are the windows in which lab was late to send: p99 above 5 ms and 5 % of the median time from sent to the first
// token. Where requests must wait for a place, that is no lateness.
func (v *view) lateBins(w window) map[int]float64 {
	if v.bounded(w) {
		return nil
	}
	var took []float64
	lags := map[int][]float64{}
	for _, i := range w.requests {
		q := v.requests[i]
		if q.OK() && len(q.Chunks) > 0 {
			took = append(took, (q.Chunks[0].At - q.Sent).Seconds())
		}
		if lag, ok := q.Lag(); ok {
			bin := int((q.Intended - w.from) / classLength)
			lags[bin] = append(lags[bin], lag.Seconds())
		}
	}
	if len(took) == 0 {
		return nil
	}
	limit := max(0.005, 0.05*median(took))
	late := map[int]float64{}
	for bin, all := range lags {
		slices.Sort(all)
		if p99 := rank(all, 0.99); p99 > limit {
			late[bin] = p99
		}
	}
	return late
}
