package metric

import (
	"cmp"
	"slices"
	"time"

	"lab/internal/lab"
)

// steps are the parts of the way from the intended moment to the first token, and the client's lag in reading. Each has
// several statistics, over all requests that got so far.
var steps = []struct{ name, title, formula string }{
	{"lag", "client lag", "sent - intended moment, of all requests sent"},
	{"connect", "connect", "connected - sent, of the requests for which no open connection was free"},
	{"write", "write", "written - connected, or - sent on a connection that stood"},
	{"first_byte", "first byte", "first byte of the answer - written"},
	{"first_token", "first token", "first chunk with output - first byte of the answer"},
	{"read_lag", "read lag", "an event's reading by the client - its arrival in the kernel"},
}

// extents are the statistics of a step.
var extents = []struct {
	name     string
	quantile float64 // -1: mean
}{{"mean", -1}, {"p50", 0.50}, {"p99", 0.99}, {"max", 1}}

// own are the other figures of the client itself, one a phase.
var own = []Metric{
	{Name: "ttft_sent.mean", Title: "TTFT from sent, mean", Unit: "s", Formula: "mean of first chunk with output - sent, of successful requests"},
	{Name: "ttft_sent.p99", Title: "TTFT from sent, p99", Unit: "s", Formula: "99th percentile of first chunk with output - sent, of successful requests"},
	{Name: "kernel_stamps", Title: "kernel stamps", Unit: "share", Formula: "events with the kernel's receive stamp / events"},
	{Name: "shared_stamps", Title: "shared stamps", Unit: "share", Formula: "events with the stamp of a later event in the same read / events with the kernel's receive stamp"},
	{Name: "clock_steps", Title: "clock steps", Unit: "count", Formula: "how often the wall clock was set during the phase"},
	{Name: "client_cpu", Title: "client CPU", Unit: "cores", Formula: "CPU time of lab itself over the phase / its length"},
	{Name: "client_cores", Title: "client may use", Unit: "cores", Formula: "cores that lab may use at once, by affinity and its group of processes"},
	{Name: "client_wait", Title: "client waits for a core", Unit: "threads", Formula: "time in which lab's threads could run and had no core, over the phase / its length"},
	{Name: "client_rss.max", Title: "client memory", Unit: "bytes", Formula: "largest sample of lab's resident memory"},
	{Name: "gc_cpu", Title: "GC CPU", Unit: "cores", Formula: "CPU time of lab's garbage collector over the phase / its length"},
	{Name: "gc_pause.max", Title: "GC pause max", Unit: "s", Formula: "longest pause of lab's garbage collector in the phase"},
	{Name: "unread.max", Title: "unread in one socket", Unit: "bytes", Formula: "largest sample of the bytes that one connection holds unread in the kernel"},
	{Name: "sent_rate", Title: "sending rate", Unit: "req/s", Formula: "(requests sent - 1) / (last sent - first sent), open loop"},
	{Name: "sent_ratio", Title: "sent against asked", Unit: "share", Formula: "sending rate / the rate of the same requests' intended moments"},
	{Name: "arrival_ks", Title: "arrival gaps off, KS", Unit: "ratio", Formula: "Kolmogorov-Smirnov distance of the gaps between sendings, each times the rate asked then, to the gamma distribution of the asked burstiness with mean 1"},
	{Name: "arrival_dispersion", Title: "arrivals variance/mean", Unit: "ratio", Formula: "variance / mean of the number of requests sent in each whole second; 1 for a Poisson process"},
}

// stepMetrics lists the steps with their statistics.
func stepMetrics() []Metric {
	var all []Metric
	for _, s := range steps {
		for _, e := range extents {
			all = append(all, Metric{
				Name: s.name + "." + e.name, Title: s.title + " " + e.name, Unit: "s", Sense: Neither, Formula: e.name + " of " + s.formula,
				Own: s.name+"."+e.name != "lag.p99", // which shows that two arms were loaded alike
			})
		}
	}
	return all
}

// ownMetrics lists what else is known of the client.
func ownMetrics() []Metric {
	all := slices.Clone(own)
	for i := range all {
		all[i].Sense, all[i].Own, all[i].Share = Neither, true, slices.Contains([]string{"share", "count", "ratio"}, all[i].Unit)
	}
	return all
}

// step gives the values of a step in seconds, over the requests that got through it.
func (w *window) step(name string) []float64 {
	var all []float64
	for _, r := range w.requests {
		if v, ok := stepOf(r, name); ok {
			all = append(all, v.Seconds())
		}
	}
	return all
}

func stepOf(r lab.RequestRecord, name string) (time.Duration, bool) {
	switch name {
	case "lag":
		return r.Lag()
	case "connect":
		return r.Connected - r.Sent, r.Connected > 0
	case "write":
		return r.Written - max(r.Connected, r.Sent), r.Written > 0
	case "first_byte":
		return r.FirstByte - r.Written, r.FirstByte > 0 && r.Written > 0
	case "first_token":
		if len(r.Chunks) == 0 {
			return 0, false
		}
		return max(0, r.Chunks[0].At-r.FirstByte), r.FirstByte > 0 // a recorded chunk has whole microseconds
	}
	return 0, false
}

// stepFigures computes the statistics of every step.
func (w *window) stepFigures() []lab.Figure {
	var all []lab.Figure
	for _, s := range steps {
		values := w.step(s.name)
		slices.Sort(values)
		for _, e := range extents {
			f := lab.Figure{Phase: w.phase.Name, Metric: s.name + "." + e.name, Unit: "s", N: len(values)}
			ok := len(values) > 0
			switch {
			case ok && e.quantile < 0:
				f.Value = mean(values)
			case ok:
				f.Value = Quantile(values, e.quantile)
			}
			if s.name == "read_lag" {
				f.Value, f.N, ok = w.readLag(e.quantile)
			}
			if ok {
				all = append(all, f)
			}
		}
	}
	return all
}

// readLag is over the events with the kernel's stamp, counted by size as they came.
func (w *window) readLag(q float64) (seconds float64, n int, ok bool) {
	s := w.stamps
	switch q {
	case -1:
		lag, ok := s.Lag.Mean()
		return lag.Seconds(), s.Kernel, ok
	case 1:
		return s.Lag.Max.Seconds(), s.Kernel, s.Kernel > 0
	}
	lag, ok := s.Lag.Quantile(q)
	return lag.Seconds(), s.Kernel, ok
}

// ownFigure computes one of the client's other figures.
func (w *window) ownFigure(name string) (value float64, n int, ok bool) {
	all := w.stamps.Kernel + w.stamps.Reading
	switch name {
	case "ttft_sent.mean", "ttft_sent.p99":
		values := fromSent(w.requests, w.phase.Name)
		if len(values) == 0 {
			return 0, 0, false
		}
		if name == "ttft_sent.mean" {
			return mean(values), len(values), true
		}
		return Quantile(values, 0.99), len(values), true
	case "kernel_stamps":
		return float64(w.stamps.Kernel) / float64(max(all, 1)), all, all > 0
	case "shared_stamps":
		return float64(w.stamps.Shared) / float64(max(w.stamps.Kernel, 1)), w.stamps.Kernel, w.stamps.Kernel > 0
	case "client_cpu":
		return w.gained(lab.ClientCPU)
	case "client_wait":
		return w.gained(lab.ClientRunWait)
	case "gc_cpu":
		return w.gained(lab.ClientGCCPU)
	case "client_cores":
		return w.most(lab.ClientCores)
	case "client_rss.max":
		return w.most(lab.ClientRSS)
	case "gc_pause.max":
		return w.most(lab.ClientGCMax)
	case "unread.max":
		return w.most(lab.ClientUnreadMax)
	case "clock_steps":
		return w.most(lab.ClientSteps) // each load counts from 0
	}
	return w.arrived(name)
}

// fromSent are the times from the sending to the first token in a phase, sorted.
func fromSent(requests []lab.RequestRecord, phase string) []float64 {
	var values []float64
	for i := range requests {
		if r := &requests[i]; r.Phase == phase && r.OK() && len(r.Chunks) > 0 && r.Sent > 0 {
			values = append(values, (r.Chunks[0].At - r.Sent).Seconds())
		}
	}
	slices.Sort(values)
	return values
}

// clientPoints are the client's samples of one value around the phase: from the last before its start, which the client takes
// on purpose, to the first after its end.
func (w *window) clientPoints(name string) []point {
	all := w.series("client", name)
	first, last := 0, len(all)
	for i, p := range all {
		if p.at <= w.start {
			first = i
		}
		if p.at >= w.end {
			last = min(last, i+1)
		}
	}
	return all[min(first, last):last]
}

// usualLateness is the lateness of the client's timer that half of the phase's time had at least. A sample counts for as
// long as it is since the one before.
func (w *window) usualLateness() (seconds float64, ok bool) {
	type stretch struct {
		late float64
		long time.Duration
	}
	var all []stretch
	whole, before := time.Duration(0), w.start
	for _, p := range w.clientPoints(lab.ClientLate) {
		if p.at <= w.start {
			continue
		}
		all = append(all, stretch{p.value, p.at - before})
		whole, before = whole+p.at-before, p.at
	}
	slices.SortFunc(all, func(a, b stretch) int { return cmp.Compare(b.late, a.late) })
	sum := time.Duration(0)
	for _, s := range all {
		if sum += s.long; 2*sum >= whole {
			return s.late, true
		}
	}
	return 0, false
}

// gained is how much a counter of the client grew in a second of the phase.
func (w *window) gained(name string) (float64, int, bool) {
	all := w.clientPoints(name)
	if len(all) < 2 {
		return 0, 0, false
	}
	from, to := all[0], all[len(all)-1]
	return (to.value - from.value) / (to.at - from.at).Seconds(), len(all), to.at > from.at && to.value >= from.value
}

// most is the largest value since the phase began.
func (w *window) most(name string) (float64, int, bool) {
	all := slices.DeleteFunc(w.clientPoints(name), func(p point) bool { return p.at <= w.start })
	if len(all) == 0 {
		return 0, 0, false
	}
	return slices.MaxFunc(all, func(a, b point) int {
		switch {
		case a.value < b.value:
			return -1
		case a.value > b.value:
			return 1
		}
		return 0
	}).value, len(all), true
}
