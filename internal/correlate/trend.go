package correlate

import (
	"math"
	"time"

	"lab/internal/lab"
)

// The rules of trends; docs/hardware.md gives the reasons.
const (
	longRun     = 10 * time.Minute
	trendBlocks = 20
)

// trends are slopes over the load of a run that is long enough to have any: from the first judged phase's start to the
// last one's end.
func (v *view) trends() []Trend {
	var whole span
	for _, w := range v.windows {
		if !w.phase.Judged {
			continue
		}
		if whole.to == 0 {
			whole.from = w.from
		}
		whole.from, whole.to = min(whole.from, w.from), max(whole.to, w.to)
	}
	if whole.length() < longRun {
		return nil
	}
	all := v.feltTrends(whole)
	add := func(device, value, what, unit string) {
		s := v.samples.of(device, value)
		if s == nil {
			return
		}
		b := blocks{whole: whole}
		i, j := s.within(whole.from, whole.to)
		for ; i < j; i++ {
			b.put(s.at[i], s.v[i])
		}
		all = b.trend(all, what, unit)
	}
	add("server", lab.ProcRSS, "server memory", "bytes/h")
	add("host", lab.HostMemUsed, "host memory", "bytes/h")
	for _, gpu := range v.samples.gpus {
		add(gpu, lab.GPUMemUsed, gpu+" memory", "bytes/h")
		add(gpu, lab.GPUTemp, gpu+" temperature", "°C/h")
	}
	return all
}

// feltTrends are those of the requests: latencies in seconds, errors as a share.
func (v *view) feltTrends(whole span) []Trend {
	ttft, itl, errors := blocks{whole: whole}, blocks{whole: whole}, blocks{whole: whole}
	for _, w := range v.windows {
		if !w.phase.Judged {
			continue
		}
		for _, i := range w.requests {
			q := v.requests[i]
			failed := 0.0
			if !q.OK() {
				failed = 1
			}
			errors.put(q.Intended, failed)
			if d, ok := q.TTFT(); ok && q.OK() {
				ttft.put(q.Intended, d.Seconds())
			}
			for j := 1; j < len(q.Chunks); j++ {
				itl.put(q.Chunks[j].At, (q.Chunks[j].At - q.Chunks[j-1].At).Seconds())
			}
		}
	}
	return errors.trend(itl.trend(ttft.trend(nil, "ttft", "s/h"), "itl", "s/h"), "errors", "share/h")
}

// blocks are means over equal parts of the time: long parts depend little on each other, however much their readings do.
type blocks struct {
	whole span
	sum   [trendBlocks]float64
	count [trendBlocks]int
	n     int
}

func (b *blocks) put(at time.Duration, v float64) {
	i := int(float64(at-b.whole.from) / float64(b.whole.length()) * trendBlocks)
	if at < b.whole.from || i > trendBlocks {
		return
	}
	i = min(i, trendBlocks-1)
	b.sum[i] += v
	b.count[i]++
	b.n++
}

// trend fits a line through the blocks and adds it. What the blocks still depend on each other widens the interval: the
// error of the slope grows by sqrt((1+rho)/(1-rho)) with rho the residuals' correlation from block to block, where
// that is above zero, and the degrees of freedom shrink by the square of it.
func (b *blocks) trend(all []Trend, what, unit string) []Trend {
	var x, y []float64
	for i, n := range b.count {
		if n > 0 {
			x = append(x, (float64(i)+0.5)*b.whole.length().Hours()/trendBlocks)
			y = append(y, b.sum[i]/float64(n))
		}
	}
	n := float64(len(x))
	if len(x) < trendBlocks*3/4 {
		return all
	}
	cx := residuals(x)
	sxx := dot(cx, cx)
	slope := dot(cx, y) / sxx
	left := residuals(y, x)
	rss := dot(left, left)
	wider := 1.0
	if rss > 0 {
		if rho := dot(left[1:], left[:len(left)-1]) / rss; rho > 0 {
			wider = (1 + rho) / (1 - rho)
		}
	}
	df := max(1, (n-2)/wider)
	half := quantile(0.975, df) * math.Sqrt(wider*rss/(n-2)/sxx)
	return append(all, Trend{What: what, Unit: unit, Slope: slope, Low: slope - half, High: slope + half, N: b.n, Rising: slope-half > 0})
}
