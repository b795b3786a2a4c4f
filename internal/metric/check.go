package metric

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"lab/internal/lab"
)

// The limits of validity; docs/statistics.md gives the reasons.
const (
	maxErrorShare = 0.005
	lagFloor      = 5 * time.Millisecond
	lagShare      = 0.05 // of the median TTFT
	minSentShare  = 0.99
	maxHitShare   = 0.01
	fewRequests   = 20
	lateTimer     = 50 * time.Millisecond
	fewStamps     = 0.99
	busyClient    = 0.9 // cores: one goroutine scheduler cannot do more on a box it shares

	// NVML's clocks event reasons.
	powerCapBit    = 0x04        // at its power limit: normal under load
	thermalBits    = 0x20 | 0x40 // software and hardware thermal slowdown
	powerBrakeBits = 0x80        // hardware power brake
	slowdownBit    = 0x08        // hardware slowdown for one of the two reasons above
)

// Check says what makes a run's numbers wrong or doubtful. It looks at how the run went, never at how it came out.
func Check(run lab.Run, t lab.Tables, s lab.Summary) []lab.Finding {
	c := checker{run: run, tables: t, summary: s}
	for _, p := range run.Experiment.Phases {
		if p.Judged {
			c.phase(p)
		}
	}
	c.client()
	c.hardware()
	return c.findings
}

type checker struct {
	run      lab.Run
	tables   lab.Tables
	summary  lab.Summary
	findings []lab.Finding
}

func (c *checker) add(level lab.Level, code, format string, args ...any) {
	c.findings = append(c.findings, lab.Finding{Code: code, Level: level, Detail: fmt.Sprintf(format, args...)})
}

func (c *checker) value(phase, metric string) (float64, bool) {
	f, ok := c.summary.Figure(phase, metric)
	return f.Value, ok
}

func (c *checker) phase(p lab.Phase) {
	i := slices.IndexFunc(c.summary.Phases, func(t lab.Tally) bool { return t.Phase == p.Name })
	if i < 0 {
		c.add(lab.Invalid, "no-requests", "phase %s: no request was sent", p.Name)
		return
	}
	t := c.summary.Phases[i]
	bad := t.Offered - t.OK
	switch {
	case t.OK == 0:
		c.add(lab.Invalid, "no-success", "phase %s: none of %d requests succeeded (%s)", p.Name, t.Offered, classes(t.Errors))
		return
	case float64(bad) > maxErrorShare*float64(t.Offered):
		c.add(lab.Invalid, "errors", "phase %s: %d of %d requests failed (%s); at most %.1f %% may", p.Name, bad, t.Offered, classes(t.Errors), maxErrorShare*100)
	case bad > 0:
		c.add(lab.Warning, "errors", "phase %s: %d of %d requests failed (%s)", p.Name, bad, t.Offered, classes(t.Errors))
	}
	if t.OK < fewRequests {
		c.add(lab.Warning, "few-requests", "phase %s: only %d requests succeeded; percentiles of so few say little", p.Name, t.OK)
	}
	c.lag(p, t)
	c.stamps(p)
	c.cache(p)
	c.input(p)
}

// input: random prompts are token ids, so the server must count as many as were sent. Output tokens are checked request
// by request (error class "tokens").
func (c *checker) input(p lab.Phase) {
	other, counted := 0, 0
	for _, r := range c.tables.Requests {
		if r.Phase != p.Name || r.Usage == nil || r.WantInput == 0 {
			continue
		}
		counted++
		if r.Usage.Input != r.WantInput {
			other++
		}
	}
	if other > 0 && p.Load.Dataset.Kind == "random" && p.Load.API != "chat" { // a chat template brings tokens of its own
		c.add(lab.Warning, "input-tokens", "phase %s: of %d requests the server counted other prompt lengths than were sent, in %d", p.Name, counted, other)
	}
}

func classes(errors map[string]int) string {
	var parts []string
	for class, n := range errors {
		parts = append(parts, fmt.Sprintf("%s %d", class, n))
	}
	sort.Strings(parts)
	return strings.Join(parts, ", ")
}

// lag: a client that sends late measures itself. With a bound on requests in flight an open loop waits by design.
func (c *checker) lag(p lab.Phase, t lab.Tally) {
	sent := 0
	for _, r := range c.tables.Requests {
		if r.Phase == p.Name && r.Sent > 0 {
			sent++
		}
	}
	if float64(sent) < minSentShare*float64(t.Offered) {
		c.add(lab.Invalid, "client-sent", "phase %s: only %d of %d requests could be sent", p.Name, sent, t.Offered)
	}
	lag, ok := c.value(p.Name, "lag.p99")
	ttft, has := c.value(p.Name, "ttft.p50")
	if !ok || !has || p.Load.Open() && p.Load.Concurrency > 0 {
		return
	}
	limit := max(lagFloor.Seconds(), lagShare*ttft)
	if lag > limit {
		c.add(lab.Invalid, "client-lag", "phase %s: the client was the limit: it sent up to %.1f ms late (p99; at most %.1f ms may be)", p.Name, lag*1e3, limit*1e3)
	}
}

// stamps: where the kernel gave none, the client's own lag is in the arrivals, unseen.
func (c *checker) stamps(p lab.Phase) {
	share, ok := c.summary.Figure(p.Name, "kernel_stamps")
	if ok && share.Value < fewStamps {
		c.add(lab.Note, "stamps", "phase %s: %.1f %% of %d events have the kernel's receive stamp; the others arrived when the client read them, however late that was",
			p.Name, share.Value*100, share.N)
	}
}

// cache: prompts that are all different cannot be in the prefix cache, unless the server had seen them before.
func (c *checker) cache(p lab.Phase) {
	d := p.Load.Dataset
	hits, ok := c.value(p.Name, "prefix_hit_share")
	if !ok || d.Kind != "random" || d.PrefixTokens > 0 {
		return
	}
	if hits > maxHitShare {
		c.add(lab.Invalid, "warm-cache", "phase %s: %.1f %% of the prompt tokens were in the prefix cache, although every prompt is new: the server was warm", p.Name, hits*100)
	}
}

// client: timers that fire late mean requests that leave late, and arrivals that are late where the kernel did not stamp
// them.
func (c *checker) client() {
	var late []float64
	for _, s := range c.tables.Samples {
		if v, ok := s.Values[lab.ClientLate]; ok && s.Device == "client" {
			late = append(late, v)
		}
	}
	slices.Sort(late)
	if n := len(late); n > 0 && late[n/2] > lateTimer.Seconds() {
		c.add(lab.Warning, "client-late", "the client got to run late: in half of the seconds by %.0f ms or more; requests may leave as late, and single gaps without the kernel's stamp be off by as much", late[n/2]*1e3)
	}
	if n := clockSteps(c.tables.Samples); n > 0 {
		c.add(lab.Warning, "clock-step", "the wall clock was set %d times during the load; events around it arrived when the client read them", n)
	}
	for _, t := range c.summary.Phases {
		if cpu, ok := c.value(t.Phase, "client_cpu"); ok && t.Judged && cpu > busyClient {
			c.add(lab.Warning, "client-cpu", "phase %s: the client used %.2f cores; near one core it may be the limit", t.Phase, cpu)
		}
	}
}

// hardware looks at the samples of the judged phases; another program on the GPU counts whenever it was there.
func (c *checker) hardware() {
	gpus, foreign := false, 0.0
	read, capped, thermal, brake := 0, 0, 0, 0
	for _, s := range c.tables.Samples {
		if !strings.HasPrefix(s.Device, "gpu") || len(s.Values) == 0 {
			continue
		}
		gpus = true
		foreign = max(foreign, s.Values[lab.GPUForeign])
		bits, ok := s.Values[lab.GPUThrottle]
		if !ok || !c.judged(s.At) {
			continue
		}
		read++
		switch mask := int(bits); {
		case mask&thermalBits != 0:
			thermal++
		case mask&(powerBrakeBits|slowdownBit) != 0:
			brake++
		case mask&powerCapBit != 0:
			capped++
		}
	}
	if !gpus && !c.run.Experiment.Telemetry.Off {
		c.add(lab.Note, "no-gpu", "no GPU was sampled")
	}
	c.foreign(foreign)
	if thermal > 0 {
		c.add(lab.Invalid, "throttled", "a GPU slowed down because it was too hot (%d of %d samples)", thermal, read)
	}
	if brake > 0 {
		c.add(lab.Invalid, "throttled", "a GPU was slowed down by its hardware, as the power supply's brake signal does (%d of %d samples)", brake, read)
	}
	if capped > 0 {
		c.add(lab.Note, "power-cap", "a GPU ran at its power limit in %.0f %% of the samples: normal under load, and what bounds its clock", 100*float64(capped)/float64(read))
	}
	for _, e := range c.tables.Events {
		if e.Kind == lab.SamplerLost {
			c.add(lab.Warning, "sampler-lost", "hardware samples are missing: %s", e.Detail)
		}
	}
}

// judged says whether a moment lies in a judged phase.
func (c *checker) judged(at time.Duration) bool {
	return slices.ContainsFunc(c.summary.Phases, func(t lab.Tally) bool { return t.Judged && at >= t.Start && at <= t.End })
}
