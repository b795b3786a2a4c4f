package metric

import (
	"cmp"
	"slices"
	"time"
)

// peakOutput is the most tokens that arrived within any one second, wherever it begins: every token counts, however many
// came in a chunk. Where the server counts only in the end, its count is shared out over the chunks.
func (w *window) peakOutput() (tokens float64, n int, ok bool) {
	type arrival struct {
		at     time.Duration
		tokens float64
	}
	var all []arrival
	for _, r := range w.requests {
		if !r.OK() {
			continue
		}
		n++
		tokens, _ := r.PerChunk()
		for _, c := range r.Chunks {
			all = append(all, arrival{c.At, tokens(c)})
		}
	}
	slices.SortFunc(all, func(a, b arrival) int { return cmp.Compare(a.at, b.at) })
	sum, most, first := 0.0, 0.0, 0
	for _, a := range all {
		sum += a.tokens
		for a.at-all[first].at >= time.Second {
			sum -= all[first].tokens
			first++
		}
		most = max(most, sum)
	}
	return most, n, most > 0
}

// mostInFlight sweeps over the requests: one that ends at the moment another is sent does not overlap with it.
func (w *window) mostInFlight() (requests float64, n int, ok bool) {
	type change struct {
		at time.Duration
		by int
	}
	var all []change
	for _, r := range w.requests {
		if r.Sent > 0 && r.Done > 0 {
			n++
			all = append(all, change{r.Sent, 1}, change{r.Done, -1})
		}
	}
	slices.SortFunc(all, func(a, b change) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.by, b.by)) })
	now, most := 0, 0
	for _, c := range all {
		now += c.by
		most = max(most, now)
	}
	return float64(most), n, most > 0
}
