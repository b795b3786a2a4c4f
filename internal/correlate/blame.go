package correlate

import (
	"cmp"
	"slices"
)

// suspect is a possible cause of a stall. fit says how well its extent matches the stall's, 0 to 1.
type suspect struct {
	cause    string
	fit      float64
	evidence string

	// What is counted once a second can explain only so much: stalls draw on the pools that its readings are.
	pools       []pool
	needs, wish float64
}

// pool is what a counter gained from one reading to the next.
type pool struct {
	name string
	has  float64
}

const leastFit = 0.3 // below it nobody is blamed

// suspects of a stall, the best first.
func (c *clues) suspects(s *standing) (all []suspect) {
	for _, one := range []func(*standing) suspect{
		c.client, c.preemption, c.ownPrefill, c.foreignPrefill, c.clock, c.gpuLost, c.steal, c.pressure,
	} {
		if got := one(s); got.fit >= leastFit {
			all = append(all, got)
		}
	}
	slices.SortStableFunc(all, func(a, b suspect) int { return cmp.Compare(b.fit, a.fit) })
	return all
}

// blame gives every stall the suspect whose extent fits best and that has enough left: the best fits draw first. A stall
// within one that drew already draws nothing, for it is the same one seen by other streams.
func (c *clues) blame(all []*standing) {
	type claim struct {
		s        *standing
		suspects []suspect
	}
	var claims []claim
	for _, s := range all {
		s.suspect = suspect{cause: Unattributed}
		if suspects := c.suspects(s); len(suspects) > 0 {
			claims = append(claims, claim{s, suspects})
		}
	}
	slices.SortStableFunc(claims, func(a, b claim) int { return cmp.Compare(b.suspects[0].fit, a.suspects[0].fit) })
	taken := draws{map[string]float64{}, map[string][]span{}}
	for _, one := range claims {
		for _, suspect := range one.suspects {
			if taken.draw(suspect, one.s.span) {
				one.s.suspect = suspect
				break
			}
		}
	}
	c.recomputed(all)
}

// draws are what stalls took from pools, and which stalls these were.
type draws struct {
	taken map[string]float64
	by    map[string][]span
}

func (d draws) draw(s suspect, stall span) bool {
	left := 0.0
	for _, p := range s.pools {
		if slices.ContainsFunc(d.by[p.name], func(o span) bool { return 10*o.overlap(stall) >= 8*stall.length() }) {
			return true
		}
		left += max(0, p.has-d.taken[p.name])
	}
	if left < s.needs {
		return false
	}
	wish := s.wish
	for _, p := range s.pools {
		part := min(wish, max(0, p.has-d.taken[p.name]))
		wish -= part
		d.taken[p.name] += part
		d.by[p.name] = append(d.by[p.name], stall)
	}
	return true
}
