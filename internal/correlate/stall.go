package correlate

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"lab/internal/lab"
)

// The rule that makes a gap a stall; docs/hardware.md gives the reasons.
const (
	slowGap    = 1.5 // times the usual gap, and four spreads above it: slow
	slowSpread = 4
	lostGaps   = 2.5 // usual gaps that a stream must lose at once
	lostSpread = 6   // and spreads
	lostFloor  = 20 * time.Millisecond
	spellTwice = 2 // times as much, where it is lost over several gaps in a row
	worstKept  = 20
)

const stallRule = "streams lose at least 2.5 usual gaps, 6 spreads and 20 ms at once (twice that over several slow gaps in a row); the usual gap is the median over all streams within 5 s"

// standstill is a stretch in which one stream got nothing, or slowly.
type standstill struct {
	span
	stream int // into view.requests
	gaps   int // slow gaps in it
	lost   time.Duration
	repaid time.Duration // by short gaps right after it: what had been held up came all at once
	usual  time.Duration
}

// standing is a stall before it is told.
type standing struct {
	span
	phase   string
	usual   time.Duration
	each    []standstill
	lost    time.Duration // of the stream that lost most
	pace    float64       // mean slow gap / usual gap
	repaid  float64       // share of what was lost that short gaps paid back, median over streams
	decode  int           // streams between first and last token when it began
	suspect suspect
}

// stalls finds them, and what happened at their instant.
func (v *view) stalls() Stalls {
	all := Stalls{Threshold: stallRule, ByCause: map[string]int{}, Worst: []Stall{}}
	clues := v.clues()
	var found []*standing
	for _, w := range v.windows {
		u, ok := v.usually(w)
		all.Gaps += u.gaps
		if !ok {
			continue
		}
		clues.learn(w, u)
		stood := together(v.standstills(w, u))
		for _, s := range stood {
			s.phase, s.decode = w.phase.Name, v.decoding(s.from)
		}
		clues.blame(stood)
		found = append(found, append(stood, clues.unseen(w, stood)...)...)
	}
	slices.SortFunc(found, func(a, b *standing) int {
		return cmp.Or(cmp.Compare(b.length(), a.length()), cmp.Compare(a.from, b.from))
	})
	for i, s := range found {
		all.Count++
		all.ByCause[s.suspect.cause]++
		all.Streams += len(s.each)
		for _, e := range s.each {
			all.Lost += e.lost
		}
		if i < worstKept {
			all.Worst = append(all.Worst, Stall{
				Phase: s.phase, From: s.from, To: s.to, Usual: s.usual, Streams: len(s.each), Flight: v.flight.inFlight(s.from),
				Cause: s.suspect.cause, Evidence: s.suspect.evidence,
			})
		}
	}
	return all
}

// standstills of all streams of a phase, by their start.
func (v *view) standstills(w window, u usual) []standstill {
	var all []standstill
	for _, i := range w.requests {
		all = slow(all, i, v.requests[i].Chunks, u)
	}
	slices.SortFunc(all, func(a, b standstill) int {
		return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.stream, b.stream))
	})
	return all
}

// slow goes along a stream and adds its standstills. A run of slow gaps may have a single one in it that is not.
func slow(all []standstill, stream int, chunks []lab.Chunk, u usual) []standstill {
	for j := 1; j < len(chunks); j++ {
		from := chunks[j-1].At
		median, spread := u.at(from)
		limit := max(time.Duration(slowGap*float64(median)), median+slowSpread*spread)
		s := standstill{span: span{from, from}, stream: stream, usual: median}
		for k := j; k < len(chunks); k++ {
			gap := chunks[k].At - chunks[k-1].At
			if gap <= limit {
				next := k+1 < len(chunks) && chunks[k+1].At-chunks[k].At > limit
				if s.gaps == 0 || gap < median/2 || !next {
					break
				}
				continue
			}
			s.gaps++
			s.lost += gap - median
			s.to = chunks[k].At
			j = k
		}
		least := max(time.Duration(lostGaps*float64(median)), lostSpread*spread, lostFloor)
		if s.gaps > 1 {
			least *= spellTwice
		}
		if s.gaps == 0 || s.lost < least {
			continue
		}
		s.repaid = repaid(chunks, j, median)
		all = append(all, s)
	}
	return all
}

// repaid is how much sooner than usual the chunks after a stall came.
func repaid(chunks []lab.Chunk, last int, usual time.Duration) time.Duration {
	sum := time.Duration(0)
	for k := last + 1; k < len(chunks); k++ {
		gap := chunks[k].At - chunks[k-1].At
		if gap > usual*3/4 {
			break
		}
		sum += usual - gap
	}
	return sum
}

// together makes one stall of standstills of several streams at the same instant: those that have all of their time in
// common but a gap and a half, or 10 ms. Of those that are alike, single gaps or several slow ones in a row, half
// of the time is enough, and of several slow ones that they happened within the others' time.
func together(all []standstill) []*standing {
	var done, open []*standing
	for _, s := range all {
		var home *standing
		still := open[:0]
		for _, g := range open {
			near := max(3*g.usual/2, 10*time.Millisecond)
			if g.to+near < s.from {
				continue
			}
			still = append(still, g)
			common, either := g.overlap(s.span), max(g.to, s.to)-min(g.from, s.from)
			alike := (s.gaps > 1) == (g.each[0].gaps > 1)
			spell := s.gaps > 1 && 10*common >= 8*s.length()
			if home == nil && (either-common <= near || alike && (2*common >= either || spell)) {
				home = g
			}
		}
		open = still
		if home == nil {
			home = &standing{span: s.span, usual: s.usual}
			open, done = append(open, home), append(done, home)
		}
		home.to = max(home.to, s.to)
		home.each = append(home.each, s)
	}
	for _, g := range done {
		g.measure()
	}
	return done
}

// measure sums up the streams of a stall.
func (s *standing) measure() {
	var repaid []float64
	gaps, slow := 0, time.Duration(0)
	for _, e := range s.each {
		s.lost = max(s.lost, e.lost)
		gaps += e.gaps
		slow += e.lost + time.Duration(e.gaps)*e.usual
		repaid = append(repaid, float64(e.repaid)/float64(e.lost))
	}
	s.repaid = median(repaid)
	s.pace = float64(slow) / float64(gaps) / float64(max(1, s.usual))
}

// decoding is how many requests were between their first and last token.
func (v *view) decoding(at time.Duration) int {
	if i := v.flight.index(at); i >= 0 {
		return v.flight.n[i] - v.flight.waiting[i]
	}
	return 0
}

// ms writes a length of time.
func ms(d time.Duration) string { return fmt.Sprintf("%.0f ms", float64(d)/1e6) }
