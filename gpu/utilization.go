package gpu

import (
	"slices"
	"time"

	"lab/internal/lab"
)

// The keys of what a GPU has, for the two ways to its utilisation and for GPM.
const (
	drainKey = "kept utilisation"
	ratesKey = "utilisation"
	gpmKey   = "GPM"
)

// Limits of the readings that depend on those before.
const (
	dryLimit = 3                      // drains with nothing in them before the plain call is used
	gpmLeast = 110 * time.Millisecond // GPM is renewed every 100 ms
	gpmMost  = 2 * time.Second        // a mean over longer would smear what it is read for
)

// utilization takes what the driver has kept, because it misses nothing and costs a tenth of asking; where the driver
// keeps nothing, it is asked.
func (r *reading) utilization() {
	if !r.c.lacks(drainKey) {
		r.drain()
		return
	}
	if r.c.lacks(ratesKey) {
		return
	}
	gpu, memory, c := r.c.board.utilization()
	r.count(c)
	r.note(ratesKey, c)
	if c == success {
		r.values[lab.GPUUtil], r.values[lab.GPUMemUtil] = gpu, memory
	}
}

func (r *reading) drain() {
	byTime := map[uint64]map[string]float64{}
	fresh := false
	for i, name := range []string{lab.GPUUtil, lab.GPUMemUtil} {
		kept := &r.c.kept[i]
		list, c := r.c.board.drain(askUtilization+question(i), kept.seen)
		if c == notFound { // nothing new
			c, list = success, nil
		} else {
			r.count(c)
			r.note(drainKey, c)
		}
		if c != success || len(list) == 0 {
			continue
		}
		fresh = true
		if !kept.known {
			list = list[len(list)-1:] // what the driver kept before is not of this run
		}
		for _, s := range list {
			if byTime[s.at] == nil {
				byTime[s.at] = map[string]float64{}
			}
			byTime[s.at][name] = s.value
		}
		newest := list[len(list)-1].at
		offset := r.now - time.Duration(newest)*time.Microsecond
		if !kept.known || offset < kept.offset {
			kept.offset = offset
		}
		kept.seen, kept.known = newest, true
	}
	if r.c.dry++; fresh {
		r.c.dry = 0
	}
	if _, ever := r.c.has[drainKey]; r.c.dry >= dryLimit && !ever {
		r.c.has[drainKey] = false
	}
	r.stamped(byTime)
}

// stamped hands on kept values at the driver's own times, on the run's clock.
func (r *reading) stamped(byTime map[uint64]map[string]float64) {
	var times []uint64
	for at := range byTime {
		times = append(times, at)
	}
	slices.Sort(times)
	for _, at := range times {
		offset := r.c.kept[0].offset
		if !r.c.kept[0].known {
			offset = r.c.kept[1].offset
		}
		r.out.Samples = append(r.out.Samples, lab.Sample{
			At: offset + time.Duration(at)*time.Microsecond, Device: deviceName(r.c.Index), Values: byTime[at],
		})
	}
}

// gpm reads the means since the last reading; after a pause it starts anew.
func (r *reading) gpm() {
	c := r.c
	if c.lacks(gpmKey) {
		return
	}
	if _, known := c.has[gpmKey]; !known {
		has, answer := c.board.ask(askGPM)
		if answer == success && has == 0 {
			answer = notSupported
		}
		if answer != success {
			r.count(answer)
			r.note(gpmKey, answer)
			return
		}
	}
	gap := r.now - c.marked
	if c.marked != 0 && gap < gpmLeast {
		return
	}
	answer := c.board.gpmSample()
	r.count(answer)
	if answer != success {
		c.marked = 0
		r.note(gpmKey, answer)
		return
	}
	first := c.marked == 0 || gap > gpmMost
	c.marked = max(1, r.now)
	if first {
		return
	}
	metrics, answer := c.board.gpmMetrics()
	r.count(answer)
	r.note(gpmKey, answer)
	if answer != success {
		return
	}
	for i, m := range metrics {
		if m.code == success {
			r.values[gpmNames[i].name] = m.value
		}
	}
}
