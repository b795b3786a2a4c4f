package runner

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"lab/internal/lab"
	"lab/internal/metric"
	"lab/loadgen"
)

// Limits that are the live view's own: what a run is judged by is in metric, and seen only when it is over.
const (
	silentTime = 5 * time.Second // without a token while requests are in flight
	longQueue  = 8               // requests that wait in the engine
	fullCache  = 0.98
)

// alerts are what was seen of a run that spoils it or may. One that is over stays, with its age.
type alerts struct {
	known []alert
}

type alert struct {
	lab.Alert
	last time.Duration // when it was last so
}

// raise notes that something is so now.
func (a *alerts) raise(at time.Duration, of string, now lab.Alert) {
	now.Of = of
	i := slices.IndexFunc(a.known, func(k alert) bool { return k.Code == now.Code && k.Of == of })
	if i < 0 {
		a.known = append(a.known, alert{now, at})
		return
	}
	a.known[i] = alert{now, at}
}

// judge makes them agree with what the sealed run was found to be: what looked for a moment as if it spoilt the run may not
// have, and what spoilt it may have been seen in the end only.
func (a *alerts) judge(at time.Duration, found []lab.Finding) {
	found = slices.Clone(found)
	slices.SortStableFunc(found, func(x, y lab.Finding) int { return weight(x.Level) - weight(y.Level) })
	for i := range a.known {
		k := &a.known[i]
		switch f := slices.IndexFunc(found, k.foundBy); {
		case f >= 0:
			k.Level = found[f].Level
		case k.Level == lab.Invalid:
			k.Level = lab.Warning
		}
	}
	for _, f := range found {
		if f.Level == lab.Invalid && !slices.ContainsFunc(a.known, func(k alert) bool { return k.foundBy(f) }) {
			a.raise(at, "", lab.Alert{Code: f.Code, Level: f.Level, Text: f.Detail})
		}
	}
}

// weight orders levels, the weightiest first.
func weight(l lab.Level) int { return slices.Index([]lab.Level{lab.Invalid, lab.Warning, lab.Note}, l) }

// show gives them, the weightiest first, and of these the earliest.
func (a *alerts) show(at time.Duration) []lab.Alert {
	var all []lab.Alert
	for _, k := range a.known {
		one := k.Alert
		if ago := at - k.last; ago >= time.Second { // they are looked for four times a second
			one.Ago = ago
		}
		all = append(all, one)
	}
	slices.SortStableFunc(all, func(x, y lab.Alert) int { return weight(x.Level) - weight(y.Level) })
	return all
}

// event turns what the sampler and the server tell into an alert.
func (a *alerts) event(kind lab.EventKind, detail string, at time.Duration) {
	switch kind {
	case lab.SamplerLost:
		a.raise(at, "", lab.Alert{Code: lab.FoundUnsampled, Level: lab.Warning, Text: "hardware samples are missing: " + detail, Fix: "lab doctor says what keeps the sampler from its work"})
	case lab.GPULost:
		a.raise(at, detail, lab.Alert{Code: lab.FoundGPULost, Level: lab.Warning, Text: "the driver lost a GPU: " + detail, Fix: "look into the kernel's log: dmesg | grep -i nvrm"})
	case lab.GPUXid:
		a.raise(at, detail, lab.Alert{Code: lab.FoundXid, Level: lab.Warning, Text: "the driver reported an error of a GPU: " + detail, Fix: "look the number up in NVIDIA's list of Xid errors: dmesg | grep -i xid"})
	}
}

// foundBy says whether a finding is about the same. Where all of a phase's requests failed it has a code of its own.
func (k alert) foundBy(f lab.Finding) bool {
	code := f.Code
	if code == "no-success" {
		code = "errors"
	}
	return code == k.Code && (f.Phase == "" || f.Phase == k.Of)
}

// look goes through everything that can be seen of a load at one moment.
func (a *alerts) look(s *status, now loadgen.Snapshot, at time.Duration) {
	a.failures(s, at)
	a.silence(s, now, at)
	for _, g := range s.now.GPUs {
		a.gpu(g, at)
	}
	a.engine(s, at)
	a.client(s, at)
}

func (a *alerts) failures(s *status, at time.Duration) {
	ended, failed := s.now.OK+s.now.Errors, s.now.Errors-s.now.Failed[lab.ErrCanceled]
	if failed == 0 {
		return
	}
	n := lab.Alert{Code: "errors", Level: lab.Warning, Text: fmt.Sprintf("%d of %d requests failed, the last: %s", failed, ended, firstLine(s.now.LastError))}
	if len(s.run.Phases) > 1 {
		n.Text = "phase " + s.now.Phase + ": " + n.Text
	}
	if float64(failed) > metric.MaxErrorShare*float64(ended) && s.now.Stage != "warm-up" {
		n.Level = lab.Invalid
	}
	if !s.run.Attached() {
		n.Fix = "what the server says: lab show " + s.now.Run + " --log"
	}
	a.raise(at, s.now.Phase, n)
}

func firstLine(text string) string {
	text = strings.TrimSpace(text)
	if end := strings.IndexAny(text, "\r\n"); end >= 0 {
		text = text[:end]
	}
	return text
}

func (a *alerts) silence(s *status, now loadgen.Snapshot, at time.Duration) {
	silent := at - max(now.LastToken, now.Busy)
	if now.InFlight == 0 || now.Busy == 0 || silent < silentTime {
		return
	}
	n := lab.Alert{Code: "silent", Level: lab.Warning, Text: fmt.Sprintf("no token for %s while %d requests are in flight", silent.Round(time.Second), now.InFlight)}
	if limit := time.Duration(s.run.Server.HangTimeout); limit > 0 {
		n.Text += fmt.Sprintf("; after %s the server counts as hung", limit)
	}
	if !s.run.Attached() {
		n.Fix = "what the server says: lab show " + s.now.Run + " --log"
	}
	a.raise(at, "", n)
}

func (a *alerts) gpu(g lab.Gauges, at time.Duration) {
	if n := g.Values[lab.GPUForeign]; n > 0 {
		a.raise(at, g.Device, lab.Alert{Code: lab.FoundForeign, Level: lab.Invalid,
			Text: fmt.Sprintf("%.0f process(es) that are not the server's use %s", n, g.Device), Fix: "end them; nvidia-smi names them"})
	}
	for _, slow := range lab.Slowdowns() {
		if !slow.Held(int(g.Values[lab.GPUThrottle])) {
			continue
		}
		n := lab.Alert{Code: slow.Code, Level: lab.Invalid}
		switch slow.Code {
		case lab.FoundPowerCap:
			n.Level = lab.Note
			n.Text = g.Device + " is at its power limit" + value(g, lab.GPUPowerLimit, " of %.0f W") + value(g, lab.GPUSMClock, ", its clock at %.0f MHz") + ": normal under load"
			n.Fix = "a steadier clock, for comparing: nvidia-smi -lgc MHZ"
		case lab.FoundThermal:
			n.Text = g.Device + " slows down because it is too hot" + value(g, lab.GPUTemp, " (%.0f °C)")
			n.Fix = "cool it, or lower its limit: nvidia-smi -pl WATTS"
		default:
			n.Text = g.Device + " is slowed down by its hardware, as the power supply's brake signal does"
			n.Fix = "look at the power supply"
		}
		a.raise(at, g.Device, n)
	}
}

// value is a reading in words; nothing where it is not known.
func value(g lab.Gauges, name, format string) string {
	if v, ok := g.Values[name]; ok {
		return fmt.Sprintf(format, v)
	}
	return ""
}

func (a *alerts) engine(s *status, at time.Duration) {
	v := s.now.Engine.Values
	if n, ok := s.gauges.gained("engine", lab.EnginePreempt); ok && n > 0 {
		a.raise(at, "", lab.Alert{Code: "preemptions", Level: lab.Warning,
			Text: fmt.Sprintf("the engine preempted %.0f requests: its KV cache was full", n), Fix: "raise gpu_memory_utilization, or lower max_num_seqs"})
	}
	waiting, running := v[lab.EngineWaiting], v[lab.EngineRunning]
	l := s.now.Load
	bounded := l.Concurrency > 0 || math.IsInf(float64(l.Rate), 1)
	if s.now.Stage == "load" && l.Open() && !bounded && waiting > longQueue && waiting > running/2 {
		n := lab.Alert{Code: "saturated", Level: lab.Warning, Text: fmt.Sprintf("more comes than the server carries: %.0f requests wait in it, %.0f run", waiting, running),
			Fix: "lower load.rate, or let lab find it: load.capacity_share"}
		if v[lab.EngineKVUsage] > fullCache {
			n.Text += ", its KV cache is full"
		}
		a.raise(at, "", n)
	}
	a.warmCache(s, at)
}

// warmCache: prompts that are all different cannot be in the prefix cache, unless the server had seen them before.
func (a *alerts) warmCache(s *status, at time.Duration) {
	d := s.now.Load.Dataset
	hits, ok := s.gauges.gained("engine", lab.EngineHits)
	asked, has := s.gauges.gained("engine", lab.EngineQueries)
	if !ok || !has || asked == 0 || d.Kind != "random" || d.PrefixTokens > 0 || s.now.Stage != "load" {
		return
	}
	if share := hits / asked; share > metric.MaxHitShare {
		a.raise(at, "", lab.Alert{Code: "warm-cache", Level: lab.Invalid,
			Text: fmt.Sprintf("%.1f %% of the prompt tokens were in the prefix cache, although every prompt is new: the server was warm", share*100),
			Fix:  "start the server anew, or give the load another seed"})
	}
}

// client: what keeps lab itself from measuring.
func (a *alerts) client(s *status, at time.Duration) {
	v := s.now.Client.Values
	raise := func(code, fix, format string, args ...any) {
		a.raise(at, "", lab.Alert{Code: code, Level: lab.Warning, Text: fmt.Sprintf(format, args...), Fix: fix})
	}
	const room = "leave lab a core: pin the server to the others (taskset), end what else runs"
	if cpu, cores := v[lab.GaugeCPU], v[lab.ClientCores]; cores > 0 && cpu > metric.BusyClient*cores {
		raise("client-cpu", room, "lab itself used %.2f of the %.0f cores it may use", cpu, cores)
	}
	if late := v[lab.ClientLate]; late > metric.LateTimer.Seconds() {
		why := ""
		if wait := v[lab.GaugeRunWait]; wait > metric.BusyBox {
			why = fmt.Sprintf(": %.1f of its threads waited for a core", wait)
		}
		raise("client-late", room, "lab itself got to run %.0f ms late%s", late*1e3, why)
	}
	if steps := v[lab.ClientSteps]; steps > 0 {
		raise("clock-step", "let no time service set the clock while something is measured", "the wall clock was set %.0f times", steps)
	}
}
