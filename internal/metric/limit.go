package metric

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"lab/internal/lab"
)

// The limits of the client's own share in the numbers; docs/client.md gives the reasons.
const (
	lagFloor    = 5 * time.Millisecond
	lagShare    = 0.05 // of the median time from sent to the first token
	behindShare = 0.05 // of the mean E2EL
	behindDoubt = 5 * time.Millisecond
	behindFloor = 20 * time.Millisecond
	stalled     = time.Second
	manyShared  = 0.1  // of the events with a stamp
	coarseShare = 0.25 // of the mean gap
	fewStamps   = 0.99
	LateTimer   = 50 * time.Millisecond

	BusyClient  = 0.9      // of the cores it may use
	BusyBox     = 0.1      // threads that wait for a core, on average
	busyGC      = 0.25     // of the cores it may use
	fullSocket  = 64 << 10 // bytes unread: half of what Linux begins with
	stolenShare = 5.0      // per cent of the machine
	oddArrivals = 1.95     // over the root of n: one fair draw in a thousand lies further off
	oddFloor    = 0.05     // however many requests: at 2000/s lateness of a tenth of a millisecond moves it by some hundredths
	slowSending = 0.98     // of the rate asked
	few         = 30       // gaps; of fewer the distance says nothing
)

// client says whether lab itself was the limit of a phase, and by what. Where it was, the numbers are its own, not the
// server's.
func (c *checker) client(p lab.Phase) {
	bounded := c.bounded(p)
	late := !bounded && c.late(p)
	behind := c.behind(p)
	if !behind {
		behind = c.coarse(p)
	}
	if cpu, ok := c.value(p.Name, "client_cpu"); ok && !late && !behind {
		if cores, ok := c.value(p.Name, "client_cores"); ok && cpu > BusyClient*cores {
			c.add(lab.Warning, "client-cpu", "phase %s: lab used %.2f of the %.0f cores it may use: with a little more load it is the limit", p.Name, cpu, cores)
		}
	}
	c.stamps(p)
	c.timers(p)
	c.arrivals(p, bounded)
}

// bounded: a request waits by design where an open loop has as many in flight as it may.
func (c *checker) bounded(p lab.Phase) bool {
	most, ok := c.value(p.Name, "concurrency.max")
	return p.Load.Open() && p.Load.Concurrency > 0 && ok && most >= float64(p.Load.Concurrency)
}

// late: a client that sends late measures itself.
func (c *checker) late(p lab.Phase) bool {
	lag, ok := c.value(p.Name, "lag.p99")
	took := fromSent(c.tables.Requests, p.Name) // the TTFT of the summary has the lag in it
	if !ok || len(took) == 0 {
		return false
	}
	limit := max(lagFloor.Seconds(), lagShare*Quantile(took, 0.5))
	if lag > limit {
		was, may := lab.Apart(lag*1e3, limit*1e3, 1)
		c.add(lab.Invalid, "client-lag", "phase %s: the client was the limit: it sent up to %s ms late (p99; at most %s ms may be). %s", p.Name, was, may, c.cause(p, lag))
	}
	return lag > limit
}

// behind: the kernel's stamps keep arrivals right where they are read late. But a closed loop that learns late of an
// answer's end leaves its slot empty for as long, and whoever reads too late holds up the server.
func (c *checker) behind(p lab.Phase) bool {
	if p.Load.Open() {
		lag, ok := c.value(p.Name, "read_lag.p99")
		if ok && lag > stalled.Seconds() {
			was, may := lab.Apart(lag*1e3, stalled.Seconds()*1e3, 0)
			c.add(lab.Invalid, "client-behind", "phase %s: the client was the limit: it read up to %s ms late (p99; at most %s ms may be), and the server may have had to wait for it. %s",
				p.Name, was, may, c.cause(p, lag))
		}
		return ok && lag > stalled.Seconds()
	}
	lag, ok := c.value(p.Name, "read_lag.mean")
	e2el, has := c.value(p.Name, "e2el.mean")
	if !ok || !has {
		return false
	}
	share := behindShare * e2el
	switch limit := max(behindFloor.Seconds(), share); {
	case lag > limit:
		was, may := lab.Apart(lag*1e3, limit*1e3, 1)
		c.add(lab.Invalid, "client-behind", "phase %s: the client was the limit: it read %s ms late on average (at most %s ms may be), and so long a slot stood empty before its next request. %s",
			p.Name, was, may, c.cause(p, lag))
		return true
	case lag > max(behindDoubt.Seconds(), share):
		c.add(lab.Warning, "client-behind", "phase %s: lab read %.1f ms late on average, and so long a slot stood empty before its next request: throughput is understated by up to %.0f %%. %s",
			p.Name, lag*1e3, 100*lag/e2el, c.cause(p, lag))
	}
	return false
}

// coarse: what stands unread when the next event of its stream arrives is joined to it by the kernel, under the later stamp.
// A client that is later than its gaps are long sees some of them as 0 and others as their sum.
func (c *checker) coarse(p lab.Phase) bool {
	shared, ok := c.value(p.Name, "shared_stamps")
	lag, has := c.value(p.Name, "read_lag.mean")
	gap, known := c.value(p.Name, "itl.mean")
	if !ok || !has || !known || shared <= manyShared {
		return false
	}
	what := fmt.Sprintf("it read %.2g ms late on average while tokens came every %.2g ms, so %.0f %% of the events have the stamp of a later one", lag*1e3, gap*1e3, shared*100)
	switch {
	case lag > max(behindFloor.Seconds(), gap):
		c.add(lab.Invalid, "client-behind", "phase %s: the client was the limit: %s. %s", p.Name, what, c.cause(p, lag))
		return true
	case lag > coarseShare*gap:
		c.add(lab.Warning, "client-behind", "phase %s: %s: these gaps are 0 and others too long, TTFT by as much as it read late. %s", p.Name, what, c.cause(p, lag))
	}
	return false
}

// cause names what held the client up for so many seconds, the likeliest first; with the figures, whatever they say.
func (c *checker) cause(p lab.Phase, held float64) string {
	cpu, hasCPU := c.value(p.Name, "client_cpu")
	cores, _ := c.value(p.Name, "client_cores")
	wait, hasWait := c.value(p.Name, "client_wait")
	gc, _ := c.value(p.Name, "gc_cpu")
	pause, hasPause := c.value(p.Name, "gc_pause.max")
	unread, _ := c.value(p.Name, "unread.max")
	steal, stolen := c.steal()
	used := fmt.Sprintf("%.2f of the %.0f cores it may use", cpu, cores)
	switch {
	case !hasCPU || cores == 0:
		return "What held it up is not known: it did not measure itself"
	case cpu > BusyClient*cores && gc > busyGC*cores:
		return fmt.Sprintf("The limit was its garbage collector: it took %.2f cores, while lab used %s", gc, used)
	case cpu > BusyClient*cores:
		return "The limit was its CPU: it used " + used
	case hasWait && wait > BusyBox:
		return fmt.Sprintf("The limit was a busy box: %.2f of its threads waited for a core on average, while it used %s", wait, used)
	case hasPause && pause > held/2:
		return fmt.Sprintf("The limit was its garbage collector: its longest pause was %.1f ms", pause*1e3)
	case stolen && steal > stolenShare:
		return fmt.Sprintf("The limit was the machine under this one: it took away %.0f %% of the CPU", steal)
	case unread > fullSocket:
		return fmt.Sprintf("The limit was what came in: up to %.0f KiB stood unread in one socket, while it used %s", unread/1024, used)
	}
	rest := []string{"it used " + used}
	if hasWait {
		rest = append(rest, fmt.Sprintf("%.2f of its threads waited for a core", wait))
	}
	if hasPause {
		rest = append(rest, fmt.Sprintf("its longest GC pause was %.1f ms", pause*1e3))
	}
	return "None of CPU, run queue, GC and backlog explains it (" + strings.Join(rest, ", ") + "): it, or the machine, may have been stopped"
}

// steal is how much the hypervisor took, on average over the judged phases.
func (c *checker) steal() (percent float64, ok bool) {
	var all []float64
	for _, s := range c.tables.Samples {
		if v, ok := s.Values[lab.HostSteal]; ok && s.Device == "host" && c.judged(s.At) {
			all = append(all, v)
		}
	}
	if len(all) == 0 {
		return 0, false
	}
	return mean(all), true
}

// stamps: where the kernel gave none, the client's own lag is in the arrivals, unseen.
func (c *checker) stamps(p lab.Phase) {
	share, ok := c.summary.Figure(p.Name, "kernel_stamps")
	if ok && share.Value < fewStamps {
		c.add(lab.Note, "stamps", "phase %s: %.1f %% of %d events have the kernel's receive stamp; the others arrived when the client read them, however late that was",
			p.Name, share.Value*100, share.N)
	}
}

// timers that fire late mean arrivals that are late where the kernel did not stamp them. Without stamps that is no mere
// doubt.
func (c *checker) timers(p lab.Phase) {
	i := slices.IndexFunc(c.summary.Phases, func(t lab.Tally) bool { return t.Phase == p.Name })
	w := window{samples: c.tables.Samples, start: c.summary.Phases[i].Start, end: c.summary.Phases[i].End}
	late, ok := w.usualLateness()
	if !ok || late <= LateTimer.Seconds() {
		return
	}
	share, ok := c.value(p.Name, "kernel_stamps")
	if ok && share < fewStamps {
		c.add(lab.Invalid, "client-late", "phase %s: the client was the limit: in half of the time it got to run %.0f ms late or more, and %.1f %% of the events have no kernel stamp to show when they came. %s",
			p.Name, late*1e3, (1-share)*100, c.cause(p, late))
		return
	}
	c.add(lab.Warning, "client-late", "phase %s: the client got to run late: in half of the time by %.0f ms or more", p.Name, late*1e3)
}

// clock: stamps around a step of the wall clock are not used.
func (c *checker) clock() {
	if n := clockSteps(c.tables.Samples); n > 0 {
		c.add(lab.Warning, "clock-step", "the wall clock was set %d times during the load; events around it arrived when the client read them", n)
	}
}

// arrivals holds what left against what was asked. With a bound on requests in flight it is the bound that speaks.
func (c *checker) arrivals(p lab.Phase, bounded bool) {
	level, why := lab.Warning, ""
	if bounded {
		level, why = lab.Note, fmt.Sprintf("; the bound of %d in flight held requests back", p.Load.Concurrency)
	}
	asked, ok := c.value(p.Name, "sent_ratio")
	if ok && asked < slowSending {
		rate, _ := c.value(p.Name, "sent_rate")
		c.add(level, "arrivals", "phase %s: requests left at %.1f/s, %.1f %% of the rate asked%s; latencies count from the moments asked", p.Name, rate, asked*100, why)
	}
	ks, ok := c.summary.Figure(p.Name, "arrival_ks")
	if limit := max(oddFloor, oddArrivals/math.Sqrt(float64(ks.N))); ok && ks.N >= few && ks.Value > limit {
		off, may := lab.Apart(ks.Value, limit, 3)
		c.add(level, "arrivals", "phase %s: requests did not leave as asked: their gaps lie %s off the distribution asked (Kolmogorov-Smirnov, n = %d; at most %s may be)%s", p.Name, off, ks.N, may, why)
	}
}
