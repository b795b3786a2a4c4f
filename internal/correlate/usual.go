package correlate

import (
	"math"
	"slices"
	"time"
)

// The neighbourhood that a gap is set against.
const (
	binLength    = time.Second
	neighbours   = 5   // bins on either side
	perBin       = 100 // gaps of a bin that are looked at, evenly spread over it
	fewestGaps   = 20  // else the whole phase is the neighbourhood
	normalSpread = 1.4826
)

// usual is the usual gap of a phase as time goes by: median and spread over all streams around each second.
type usual struct {
	from   time.Duration
	median []time.Duration
	spread []time.Duration // 1.4826 times the median distance from the median: a normal's standard deviation
	gaps   int
}

func (u usual) at(t time.Duration) (median, spread time.Duration) {
	i := max(0, min(len(u.median)-1, int((t-u.from)/binLength)))
	return u.median[i], u.spread[i]
}

// usually learns the usual gaps of a phase. Gaps of nothing, of events in one read, are left out.
func (v *view) usually(w window) (usual, bool) {
	u := usual{from: w.from}
	n := int(w.length()/binLength) + 1
	counts := make([]int, n)
	each := func(visit func(bin int, gap time.Duration)) {
		for _, i := range w.requests {
			chunks := v.requests[i].Chunks
			for j := 1; j < len(chunks); j++ {
				if gap := chunks[j].At - chunks[j-1].At; gap > 0 {
					visit(max(0, min(n-1, int((chunks[j].At-w.from)/binLength))), gap)
				}
			}
		}
	}
	each(func(bin int, _ time.Duration) { counts[bin]++; u.gaps++ })
	if u.gaps < fewestGaps {
		return u, false
	}
	kept, seen := make([][]float64, n), make([]int, n)
	each(func(bin int, gap time.Duration) {
		if seen[bin]%(counts[bin]/perBin+1) == 0 {
			kept[bin] = append(kept[bin], float64(gap))
		}
		seen[bin]++
	})
	var whole, around []float64
	for i := range n {
		around = around[:0]
		for _, bin := range kept[max(0, i-neighbours):min(n, i+neighbours+1)] {
			around = append(around, bin...)
		}
		if len(around) < fewestGaps {
			if whole == nil {
				whole = slices.Concat(kept...)
			}
			around = append(around[:0], whole...)
		}
		m := median(around)
		for j, gap := range around {
			around[j] = math.Abs(gap - m)
		}
		u.median = append(u.median, time.Duration(m))
		u.spread = append(u.spread, time.Duration(normalSpread*median(around)))
	}
	return u, true
}
