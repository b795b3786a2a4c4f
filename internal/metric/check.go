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
	MaxErrorShare = 0.005
	MaxHitShare   = 0.01
	fewRequests   = 20
)

// Check says what makes a run's numbers wrong or doubtful. It looks at how the run went, never at how it came out.
func Check(run lab.Run, t lab.Tables, s lab.Summary) []lab.Finding {
	c := checker{run: run, tables: t, summary: s}
	for _, p := range run.Experiment.Phases {
		if p.Judged {
			c.phase(p)
		}
	}
	c.clock()
	c.restarted()
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

// addOf adds a finding about one phase.
func (c *checker) addOf(p lab.Phase, level lab.Level, code, format string, args ...any) {
	c.findings = append(c.findings, lab.Finding{Code: code, Level: level, Phase: p.Name, Detail: fmt.Sprintf(format, args...)})
}

func (c *checker) value(phase, metric string) (float64, bool) {
	f, ok := c.summary.Figure(phase, metric)
	return f.Value, ok
}

func (c *checker) phase(p lab.Phase) {
	i := slices.IndexFunc(c.summary.Phases, func(t lab.Tally) bool { return t.Phase == p.Name })
	if i < 0 {
		c.addOf(p, lab.Invalid, "no-requests", "phase %s: no request was sent", p.Name)
		return
	}
	t := c.summary.Phases[i]
	bad := t.Offered - t.OK
	switch {
	case t.OK == 0:
		c.addOf(p, lab.Invalid, "no-success", "phase %s: none of %d requests succeeded (%s)", p.Name, t.Offered, classes(t.Errors))
		return
	case float64(bad) > MaxErrorShare*float64(t.Offered):
		c.addOf(p, lab.Invalid, "errors", "phase %s: %d of %d requests failed (%s); at most %.1f %% may", p.Name, bad, t.Offered, classes(t.Errors), MaxErrorShare*100)
	case bad > 0:
		c.addOf(p, lab.Warning, "errors", "phase %s: %d of %d requests failed (%s)", p.Name, bad, t.Offered, classes(t.Errors))
	}
	if t.OK < fewRequests {
		c.add(lab.Warning, "few-requests", "phase %s: only %d requests succeeded; percentiles of so few say little", p.Name, t.OK)
	}
	c.client(p)
	c.steady(p, t)
	c.saturated(p, t)
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

// cache: prompts that are all different cannot be in the prefix cache, unless the server had seen them before.
func (c *checker) cache(p lab.Phase) {
	hits, ok := c.value(p.Name, "prefix_hit_share")
	if !ok || !FreshPrompts(p.Load.Dataset) {
		return
	}
	if hits > MaxHitShare {
		were, may := lab.Apart(hits*100, MaxHitShare*100, 1)
		c.add(lab.Invalid, "warm-cache", "phase %s: %s %% of the prompt tokens were in the prefix cache (at most %s %% may be), although every prompt is new: the server was warm", p.Name, were, may)
	}
}

// FreshPrompts says whether no two prompts of a data set begin alike, so that none can be in the prefix cache of a fresh
// server.
func FreshPrompts(d lab.Dataset) bool { return d.Kind == "random" && d.PrefixTokens == 0 }

// whyNoGPU is what the sampler said when it found no GPU.
func (c *checker) whyNoGPU() string {
	for _, e := range c.tables.Events {
		if why, ok := strings.CutPrefix(e.Detail, lab.NoGPU); ok && e.Kind == lab.SamplerNote {
			return why
		}
	}
	return ""
}

// judged says whether a moment lies in a judged phase.
func (c *checker) judged(at time.Duration) bool {
	return slices.ContainsFunc(c.summary.Phases, func(t lab.Tally) bool { return t.Judged && at >= t.Start && at <= t.End })
}
