package correlate

import (
	"fmt"
	"slices"
	"time"

	"lab/internal/lab"
)

// readLate is how late all streams must have been read for the client to have stood still.
const readLate = 20 * time.Millisecond

// A client that does not get to run leaves what comes in the socket and then reads all of it at once: a gap, and after it
// chunks in no time, which pay back half of it at least. A server that stood still makes up for nothing. And a timer of
// the client must have been late, or a reading, by half of the stall.
func (c *clues) client(s *standing) suspect {
	if s.repaid < 0.5 {
		return suspect{}
	}
	late, what := c.lateness(s.span)
	if 2*late < s.lost {
		return suspect{}
	}
	evidence := fmt.Sprintf("%s %s late, and what had waited came at once", what, ms(late))
	if collector := c.worst(lab.ClientGCMax, s.span); 2*collector >= s.lost {
		return suspect{cause: CauseClientGC, fit: 0.95, evidence: fmt.Sprintf("its garbage collector stopped it for %s; %s", ms(collector), evidence)}
	}
	return suspect{cause: CauseClientSched, fit: 0.95, evidence: evidence}
}

// lateness is the worst that the client saw of itself around a stall.
func (c *clues) lateness(s span) (time.Duration, string) {
	late, what := c.worst(lab.ClientLate, s), "a timer of lab was"
	if d := c.worst(lab.ClientLag, s); d > late {
		late, what = d, "lab read"
	}
	if d := c.worst(lab.ClientWaitMax, s); d > late {
		late, what = d, "a goroutine of lab ran"
	}
	return late, what
}

// worst is the largest of the client's samples that cover a stretch; each covers the time since the one before.
func (c *clues) worst(name string, s span) time.Duration {
	series := c.v.samples.of("client", name)
	if series == nil {
		return 0
	}
	// What stopped the client may have held up the sample too.
	i, j := series.within(s.from, s.to+50*time.Millisecond)
	largest := 0.0
	for k := i; k <= j && k < len(series.v); k++ {
		largest = max(largest, series.v[k])
	}
	return time.Duration(largest * float64(time.Second))
}

// unseen are the client's own standstills that made no gap, because the kernel stamped what came meanwhile: seconds in
// which a reading was late by 20 ms or more, and four fifths of the requests that were read all along were. seen are the stalls of
// the phase that are known already.
func (c *clues) unseen(w window, seen []*standing) []*standing {
	lag := c.v.samples.of("client", lab.ClientLag)
	if lag == nil {
		return nil
	}
	var all []*standing
	for i, v := range lag.v {
		late := time.Duration(v * float64(time.Second))
		second := span{w.from, lag.at[i]}
		if i > 0 {
			second.from = max(w.from, lag.at[i-1])
		}
		second.to = min(second.to, w.to)
		if late < readLate || second.length() <= 0 {
			continue
		}
		known := slices.ContainsFunc(seen, func(s *standing) bool {
			return s.overlap(second) > 0 && (s.suspect.cause == CauseClientSched || s.suspect.cause == CauseClientGC)
		})
		if known {
			continue
		}
		if s, ok := c.readLate(w, second, late); ok {
			all = append(all, s)
		}
	}
	return all
}

// readLate looks for the instant within a second at which all streams were read late, and places it as well as the
// requests allow: within the life of each that was read late, and on one that was sent late then.
func (c *clues) readLate(w window, second span, late time.Duration) (*standing, bool) {
	s := &standing{phase: w.phase.Name, suspect: suspect{cause: CauseClientSched, fit: 0.9}}
	at, spared := second, 0
	for _, i := range w.requests {
		q := c.v.requests[i]
		if len(q.Chunks) == 0 || q.Stamps == nil {
			continue
		}
		life := span{first(q), q.Chunks[len(q.Chunks)-1].At}
		switch {
		case life.overlap(second) == 0:
		case q.Stamps.Lag.Max >= readLate:
			s.each = append(s.each, standstill{stream: i})
			if narrow := (span{max(at.from, life.from), min(at.to, life.to+q.Stamps.Lag.Max)}); narrow.length() > 0 {
				at = narrow
			}
		case life.from <= second.from && life.to >= second.to:
			spared++
		}
	}
	if 4*spared > len(s.each) || len(s.each) == 0 { // one that nothing came for meanwhile was not late
		return nil, false
	}
	middle := at.from + at.length()/2
	s.span = span{max(0, middle-late/2), middle + late/2}
	for _, i := range w.requests {
		q := c.v.requests[i]
		if lag, ok := q.Lag(); ok && 2*lag >= late && q.Sent > at.from && q.Intended < at.to {
			s.span = span{q.Intended, q.Sent}
			break
		}
	}
	s.suspect.evidence = fmt.Sprintf("lab read %d of %d streams up to %s late within the second before %s; the kernel's stamps have no gap", len(s.each), len(s.each)+spared, ms(late), seconds(second.to))
	return s, true
}
