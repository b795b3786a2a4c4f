package metric

import (
	"fmt"
	"math"
	"slices"
	"time"

	"lab/internal/lab"
)

// Whether a phase was in a steady state: docs/statistics.md gives the rules and their source.
const (
	fewBins        = 20   // seconds: below, nothing is said
	maxCut         = 0.25 // of the window that MSER-5 may want cut
	fewArrivals    = 40
	longWindow     = 120 * time.Second // above it the rules for saturation are calibrated
	windowHead     = 20 * time.Second  // of a long window left out, or until the first requests have ended
	shortestRest   = 60 * time.Second  // of it that a backlog can be told from
	backlogSlope   = 0.25              // growth of requests in flight over the window, of their mean
	fewCompletions = 0.97
	slowerTTFT     = 1.5
	certain        = 2.58 // standard errors, 1 %: a run has several chances to look unsettled
)

// steady warns of a phase that had not settled.
func (c *checker) steady(p lab.Phase, t lab.Tally) {
	bins := c.bins(p, t)
	if len(bins) < fewBins {
		return
	}
	// On few bins MSER-5 alone would now and then cut noise, so what it cuts must also differ from the rest.
	if cut := mser5(bins); float64(cut) > maxCut*float64(len(bins)) && standsOut(bins[:cut], bins[cut:]) {
		c.addOf(p, lab.Warning, "not-steady", "phase %s had not settled: its first %d of %d seconds differ from the rest (MSER-5)", p.Name, cut, len(bins))
		return
	}
	third := len(bins) / 3
	middle, last := mean(bins[third:len(bins)-third]), mean(bins[len(bins)-third:])
	if middle <= 0 || last <= 0 {
		return
	}
	margin := c.run.Experiment.Margin
	if margin == 0 {
		margin = 0.03
	}
	if change := math.Log(last / middle); math.Abs(change) > math.Log1p(margin)/2 && standsOut(bins[third:len(bins)-third], bins[len(bins)-third:]) {
		c.addOf(p, lab.Warning, "not-steady", "phase %s had not settled: %s in its last third is %+.1f %% of that in the middle one", p.Name, binned(p), math.Expm1(change)*100)
	}
}

func binned(p lab.Phase) string {
	if p.Load.Open() {
		return "time per token"
	}
	return "output throughput"
}

// standsOut says whether the means of two stretches differ by more than their noise, seconds in a row being alike.
func standsOut(a, b []float64) bool {
	error := func(x []float64) float64 {
		m, sum := mean(x), 0.0
		for _, v := range x {
			sum += (v - m) * (v - m)
		}
		return sum / float64(len(x)-1) / float64(len(x)) * correlationTime(x)
	}
	return math.Abs(mean(a)-mean(b)) > certain*math.Sqrt(error(a)+error(b))
}

// bins are what a phase did in each whole second: of a closed loop the tokens that arrived, of an open loop the mean time
// per token of the requests that ended. Seconds without any take the value before.
func (c *checker) bins(p lab.Phase, t lab.Tally) []float64 {
	n := int((t.End - t.Start) / time.Second)
	if n < fewBins {
		return nil
	}
	sum, count := make([]float64, n), make([]float64, n)
	add := func(at time.Duration, v float64) {
		if i := int((at - t.Start) / time.Second); at >= t.Start && i < n {
			sum[i] += v
			count[i]++
		}
	}
	for _, r := range c.tables.Requests {
		if r.Phase != p.Name || !r.OK() {
			continue
		}
		if !p.Load.Open() {
			for _, chunk := range r.Chunks {
				add(chunk.At, float64(max(1, chunk.Tokens)))
			}
		} else if v, ok := r.TPOT(); ok {
			add(r.Done, v.Seconds())
		}
	}
	if !p.Load.Open() {
		return sum
	}
	var bins []float64
	for i := range sum {
		switch {
		case count[i] > 0:
			bins = append(bins, sum[i]/count[i])
		case len(bins) > 0:
			bins = append(bins, bins[len(bins)-1])
		}
	}
	return bins
}

// mser5 is how many values at the beginning of a series should be cut so that the mean of the rest is known best (White
// 1997, with batches of 5): half of them means that no steady state was found.
func mser5(x []float64) int {
	k := len(x) / 5
	batches := make([]float64, k)
	for i := range batches {
		batches[i] = mean(x[5*i : 5*i+5])
	}
	best, at := math.Inf(1), 0
	for d := 0; d <= k/2; d++ {
		rest := batches[d:]
		if len(rest) == 0 {
			break
		}
		m, sum := mean(rest), 0.0
		for _, b := range rest {
			sum += (b - m) * (b - m)
		}
		if v := sum / float64(len(rest)*len(rest)); v < best {
			best, at = v, d
		}
	}
	return 5 * at
}

// saturated warns of an open loop whose requests piled up: its latencies then say how long it ran, not how fast the
// server is.
func (c *checker) saturated(p lab.Phase, t lab.Tally) {
	if !p.Load.Open() || math.IsInf(float64(p.Load.Rate), 1) {
		return
	}
	a := arrivalsOf(c.tables.Requests, p.Name)
	if len(a.intended) < fewArrivals {
		return
	}
	if why := a.piledUp(t.Start); why != "" {
		c.addOf(p, lab.Warning, "saturated", "phase %s: the server did not keep up with the arrivals: %s", p.Name, why)
	}
}

// arriving is when the requests of a phase came and went, in the order of their arrival.
type arriving struct {
	intended, done []time.Duration
	took           []time.Duration // until the end of each, by arrival
	ttft           []float64       // of successes, by arrival
	ttftAt         []time.Duration
}

func arrivalsOf(all []lab.RequestRecord, phase string) arriving {
	w := window{}
	for _, r := range all {
		if r.Phase == phase {
			w.requests = append(w.requests, r)
		}
	}
	var a arriving
	for _, r := range w.arrivals() {
		a.intended, a.done, a.took = append(a.intended, r.Intended), append(a.done, r.Done), append(a.took, r.Done-r.Intended)
		if v, ok := r.TTFT(); ok && r.OK() {
			a.ttft, a.ttftAt = append(a.ttft, v.Seconds()), append(a.ttftAt, r.Intended)
		}
	}
	slices.Sort(a.done)
	return a
}

// piledUp says why a phase was saturated, or nothing.
func (a arriving) piledUp(start time.Duration) string {
	last := a.intended[len(a.intended)-1]
	growth := a.ttftGrowth((start + last) / 2)
	if last-start < longWindow { // no rule is calibrated for so short a window: only what leaves no doubt
		middle, end := a.flying((start+last)/2), a.flying(last)
		if growth > 2 && float64(end) > 1.5*float64(middle) && end-middle >= 5 {
			return fmt.Sprintf("TTFT of its second half is %.1f times that of the first, and requests in flight rose from %d to %d", growth, middle, end)
		}
		return ""
	}
	start += a.head((start + last) / 2)
	if last-start < shortestRest {
		return a.slower(growth)
	}
	if rise, mean, ok := a.backlog(start, last); ok {
		return fmt.Sprintf("requests in flight rose by %.0f over the phase, at %.0f on average", rise, mean)
	}
	came, went := between(a.intended, start, last), between(a.done, start, last)
	// What is in flight at either end varies by chance, the more the more there is.
	chance := certain * math.Sqrt(2*float64(a.flying(start)))
	if short := float64(came - went); short > (1-fewCompletions)*float64(came) && short > chance {
		return fmt.Sprintf("%d requests came and %d were answered meanwhile", came, went)
	}
	return a.slower(growth)
}

func (a arriving) slower(growth float64) string {
	if growth > slowerTTFT {
		return fmt.Sprintf("the median TTFT of its second half is %.1f times that of the first", growth)
	}
	return ""
}

// head is how long requests in flight may rise at the beginning because none of them has ended yet: until most that came
// before a moment would have.
func (a arriving) head(before time.Duration) time.Duration {
	n, _ := slices.BinarySearch(a.intended, before)
	if n == 0 {
		return windowHead
	}
	took := slices.Sorted(slices.Values(a.took[:n]))
	return max(windowHead, took[(n-1)*95/100])
}

func between(sorted []time.Duration, from, to time.Duration) int {
	a, _ := slices.BinarySearch(sorted, from)
	b, _ := slices.BinarySearch(sorted, to)
	return b - a
}

// flying is how many requests were in flight at a moment.
func (a arriving) flying(at time.Duration) int {
	came, _ := slices.BinarySearch(a.intended, at)
	went, _ := slices.BinarySearch(a.done, at)
	return came - went
}

// ttftGrowth is the median TTFT of arrivals after a moment over that of those before it.
func (a arriving) ttftGrowth(middle time.Duration) float64 {
	i, _ := slices.BinarySearch(a.ttftAt, middle)
	if i == 0 || i == len(a.ttft) {
		return 0
	}
	first, second := slices.Sorted(slices.Values(a.ttft[:i])), slices.Sorted(slices.Values(a.ttft[i:]))
	return Quantile(second, 0.5) / Quantile(first, 0.5)
}

// backlog says by how much the requests in flight rose over a window, where they did for certain: the slope of their
// means over 10 s is above zero with p < 0.01 and makes more than a quarter of their mean.
func (a arriving) backlog(start, end time.Duration) (rise, average float64, ok bool) {
	var x, y []float64
	for from := start; from+10*time.Second <= end; from += 10 * time.Second {
		sum := 0.0
		for s := range 10 {
			sum += float64(a.flying(from + time.Duration(s)*time.Second))
		}
		x, y = append(x, (from+5*time.Second).Seconds()), append(y, sum/10)
	}
	if len(x) < 4 {
		return 0, 0, false
	}
	mx, my := mean(x), mean(y)
	var sxx, sxy float64
	for i := range x {
		sxx += (x[i] - mx) * (x[i] - mx)
		sxy += (x[i] - mx) * (y[i] - my)
	}
	slope := sxy / sxx
	rss := 0.0
	for i := range x {
		e := y[i] - my - slope*(x[i]-mx)
		rss += e * e
	}
	df := len(x) - 2
	t := slope / math.Sqrt(rss/float64(df)/sxx)
	rise = slope * (end - start).Seconds()
	return rise, my, slope > 0 && t > critical01(df) && rise > backlogSlope*my
}

// critical01 is the two-sided 1 % point of Student's t, by the expansion of Cornish and Fisher around the normal one; it
// is right to 2 % from 4 degrees of freedom on.
func critical01(df int) float64 {
	const n = 2.5758293
	v := float64(df)
	g1 := (n*n*n + n) / 4
	g2 := (5*math.Pow(n, 5) + 16*n*n*n + 3*n) / 96
	g3 := (3*math.Pow(n, 7) + 19*math.Pow(n, 5) + 17*n*n*n - 15*n) / 384
	return n + g1/v + g2/(v*v) + g3/(v*v*v)
}
