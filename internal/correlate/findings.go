package correlate

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"lab/internal/lab"
)

// longHole is a pause of readings worth a finding: an engine or a host is read once a second.
const longHole = 2 * time.Second

// findings are what happened to the hardware and to its readings, each thing once with its figures and times.
func (v *view) findings(l *ledger) []lab.Finding {
	var all []lab.Finding
	add := func(level lab.Level, code, format string, args ...any) {
		// What follows for the run, its own check has said: a slowdown spoils it only in a judged phase.
		if i := slices.IndexFunc(v.run.Findings, func(f lab.Finding) bool { return f.Code == code }); i >= 0 {
			level = v.run.Findings[i].Level
		}
		all = append(all, lab.Finding{Code: code, Level: level, Detail: fmt.Sprintf(format, args...)})
	}
	if l != nil {
		if off := l.integrated/l.matched - 1; l.matchedFor >= crossCheckFor && l.integrated > 0 && math.Abs(off) > crossCheck {
			apart, may := lab.Apart(100*math.Abs(off), 100*crossCheck, 0)
			add(lab.Warning, "energy-disagrees", "over the same %.0f s the energy counters gained %.1f J and the instant power adds up to %.1f J: %s %% apart (at most %s %% may be); do not trust either to better than that",
				l.matchedFor.Seconds(), l.matched, l.integrated, apart, may)
		}
		if len(l.resets) > 0 {
			add(lab.Warning, "energy-reset", "an energy counter started anew (%s): what was drawn around it is not counted", strings.Join(l.resets, ", "))
		}
	}
	v.losses(add)
	v.holes(add)
	v.slowdowns(add)
	v.strangers(add)
	return all
}

type adder func(level lab.Level, code, format string, args ...any)

// losses are events of the sampler and the driver.
func (v *view) losses(add adder) {
	for _, kind := range []struct {
		kind       lab.EventKind
		code, what string
		level      lab.Level
	}{
		{lab.SamplerLost, lab.FoundUnsampled, "the sampler was lost", lab.Warning},
		{lab.GPULost, lab.FoundGPULost, "a GPU did not answer", lab.Warning},
		{lab.GPUXid, lab.FoundXid, "the driver reported an Xid error", lab.Warning},
	} {
		var told []string
		for _, e := range v.tables.Events {
			if e.Kind != kind.kind {
				continue
			}
			one := "at " + seconds(e.At)
			if e.Detail != "" {
				one += ": " + e.Detail
			}
			if kind.kind == lab.GPULost {
				for _, gone := range v.lostGPU() {
					if gone.from == e.At {
						one += fmt.Sprintf(" (back after %s)", gone.length().Round(100*time.Millisecond))
					}
				}
			}
			told = append(told, one)
		}
		if len(told) > 0 {
			add(kind.level, kind.code, "%s %s", kind.what, strings.Join(told, "; "))
		}
	}
}

// holes are pauses of the readings that no event explains.
func (v *view) holes(add adder) {
	type hole struct {
		span
		devices []string
	}
	var all []hole
	for _, k := range v.samples.keys {
		s := v.samples.all[k]
		if !isGPU(k.device) && k.device != "host" && k.device != "engine" {
			continue
		}
		for i := 1; i < len(s.at); i++ {
			pause := span{s.at[i-1], s.at[i]}
			if pause.length() <= max(maxHold*s.period, longHole) || v.lossAround(pause) {
				continue
			}
			at := slices.IndexFunc(all, func(h hole) bool { return 2*h.overlap(pause) >= pause.length() })
			if at < 0 {
				all = append(all, hole{pause, []string{k.device}})
				continue
			}
			if !slices.Contains(all[at].devices, k.device) {
				all[at].devices = append(all[at].devices, k.device)
			}
		}
	}
	if len(all) == 0 {
		return
	}
	var told []string
	for _, h := range all {
		told = append(told, fmt.Sprintf("%s for %.1f s from %s", strings.Join(h.devices, ", "), h.length().Seconds(), seconds(h.from)))
	}
	add(lab.Warning, "telemetry-gap", "no readings: %s", strings.Join(told, "; "))
}

// lossAround says whether an event tells of a loss of readings within a pause or shortly after it began: a sampler that
// falls silent is given up after seconds.
func (v *view) lossAround(pause span) bool {
	wide := span{pause.from - time.Second, pause.to + time.Second}
	return slices.ContainsFunc(v.tables.Events, func(e lab.Event) bool {
		return (e.Kind == lab.SamplerLost || e.Kind == lab.GPULost || e.Kind == lab.GPUBack) && e.At >= wide.from && e.At <= wide.to
	})
}

// slowdowns are reasons for held clocks that were there at any time.
func (v *view) slowdowns(add adder) {
	for _, r := range reasons() {
		var told []string
		for _, gpu := range v.samples.gpus {
			spans, sum := v.throttled(gpu, r)
			if len(spans) == 0 {
				continue
			}
			whole := span{spans[0].from, spans[len(spans)-1].to}
			told = append(told, fmt.Sprintf("%s for %.1f s in %d stretch(es) between %s and %s", gpu, sum.Seconds(), len(spans), seconds(whole.from), seconds(whole.to)))
		}
		if len(told) == 0 {
			continue
		}
		switch r.Code {
		case lab.FoundPowerCap:
			add(lab.Note, r.Code, "at the power limit, which bounds the clock: %s", strings.Join(told, "; "))
		case lab.FoundThermal:
			add(lab.Warning, r.Code, "slowed down because it was too hot: %s", strings.Join(told, "; "))
		default:
			add(lab.Warning, r.Code, "slowed down by the power supply's brake: %s", strings.Join(told, "; "))
		}
	}
}

// strangers are processes on a GPU that are not the server's: how many at a moment, by the samples, and by name those that
// the driver named.
func (v *view) strangers(add adder) {
	var told []string
	for _, gpu := range v.samples.gpus {
		s := v.samples.of(gpu, lab.GPUForeign)
		if s == nil {
			continue
		}
		most, n := 0.0, 0
		var whole span
		for i, foreign := range s.v {
			if foreign <= 0 {
				continue
			}
			if n == 0 {
				whole.from = s.at[i]
			}
			whole.to = s.at[i]
			most, n = max(most, foreign), n+1
		}
		if n > 0 {
			told = append(told, fmt.Sprintf("%s: up to %.0f in %d of %d readings, from %s to %s", gpu, most, n, len(s.v), seconds(whole.from), seconds(whole.to)))
		}
	}
	for _, use := range v.run.Server.GPUs {
		for _, p := range use.Foreign {
			if name := p.String(); !slices.Contains(told, name) {
				told = append(told, name)
			}
		}
	}
	if len(told) > 0 {
		add(lab.Invalid, lab.FoundForeign, "processes that are not the server's were on a GPU: %s", strings.Join(told, "; "))
	}
}
