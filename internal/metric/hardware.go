package metric

import (
	"fmt"
	"strings"
	"time"

	"lab/internal/lab"
)

// hardware looks at the samples of the judged phases; another program on the GPU counts whenever it was there.
func (c *checker) hardware() {
	gpus, foreign := false, 0.0
	for _, s := range c.tables.Samples {
		if strings.HasPrefix(s.Device, "gpu") && len(s.Values) > 0 {
			gpus, foreign = true, max(foreign, s.Values[lab.GPUForeign])
		}
	}
	if !gpus && !c.run.Experiment.Telemetry.Off {
		c.add(lab.Note, "no-gpu", "no GPU was sampled%s", c.whyNoGPU())
	}
	c.foreign(foreign)
	for _, s := range lab.Slowdowns() {
		c.slowdown(s)
	}
	c.reports(gpus)
}

// slowdown looks for one reason for held clocks: by the counters, which miss nothing between two readings, and by the
// bits of each moment, which drivers without the counters have too.
func (c *checker) slowdown(s lab.Slowdown) {
	read, held := 0, 0
	var longest time.Duration
	type place struct{ device, counter string }
	last, sum := map[place]lab.Sample{}, map[place]time.Duration{}
	for _, sample := range c.tables.Samples {
		if !strings.HasPrefix(sample.Device, "gpu") {
			continue
		}
		judged := c.judged(sample.At)
		if bits, ok := sample.Values[lab.GPUThrottle]; ok && judged {
			read++
			if s.Held(int(bits)) {
				held++
			}
		}
		for _, counter := range s.Counters {
			v, ok := sample.Values[counter]
			if !ok {
				continue
			}
			at := place{sample.Device, counter}
			before, known := last[at]
			last[at] = sample
			rise := time.Duration((v - before.Values[counter]) * float64(time.Second))
			if known && judged && c.judged(before.At) && rise > time.Millisecond {
				sum[at] += min(rise, sample.At-before.At)
				longest = max(longest, sum[at])
			}
		}
	}
	if held == 0 && longest == 0 {
		return
	}
	long := fmt.Sprintf("in %d of %d samples", held, read)
	if longest > 0 {
		long = fmt.Sprintf("for %.1f s by its counter", longest.Seconds())
	}
	switch s.Code {
	case lab.FoundPowerCap:
		c.add(lab.Note, s.Code, "a GPU ran at its power limit %s: normal under load, and what bounds its clock", long)
	case lab.FoundThermal:
		c.add(lab.Invalid, s.Code, "a GPU slowed down because it was too hot, %s", long)
	default:
		c.add(lab.Invalid, s.Code, "a GPU was slowed down by its hardware, as the power supply's brake signal does, %s", long)
	}
}

// reports passes on what the sampler said beside its samples: of each kind one finding.
func (c *checker) reports(gpus bool) {
	told := map[lab.EventKind][]string{}
	for _, e := range c.tables.Events {
		if e.Kind == lab.SamplerNote {
			if gpus {
				c.add(lab.Note, "sampler", "%s", e.Detail)
			}
			continue
		}
		told[e.Kind] = append(told[e.Kind], e.Detail)
	}
	for _, r := range []struct {
		kind       lab.EventKind
		code, what string
	}{
		{lab.SamplerLost, lab.FoundUnsampled, "hardware samples are missing"},
		{lab.GPULost, lab.FoundGPULost, "the driver lost a GPU during the run"},
		{lab.GPUXid, lab.FoundXid, "the driver reported an error of a GPU"},
	} {
		if all := told[r.kind]; len(all) > 0 {
			c.add(lab.Warning, r.code, "%s: %s", r.what, strings.Join(all, "; "))
		}
	}
}
