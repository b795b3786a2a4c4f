package tokenizer

import (
	"cmp"
	"slices"
	"unicode"
)

// span is a range of runes, both ends included.
type span struct{ low, high rune }

// set is a set of runes. Nearly every rune of a text is in the basic plane, so that a bitmap answers for it.
type set struct {
	basic [0x10000 / 64]uint64
	high  []span // ascending, from U+10000
}

func (s *set) has(r rune) bool {
	if r < 0x10000 {
		return s.basic[r>>6]>>(r&63)&1 != 0
	}
	_, found := slices.BinarySearchFunc(s.high, r, func(x span, r rune) int {
		switch {
		case x.high < r:
			return -1
		case x.low > r:
			return 1
		}
		return 0
	})
	return found
}

// newSet makes the set of all runes in the spans.
func newSet(spans []span) *set {
	s := &set{}
	for _, x := range spans {
		for r := x.low; r <= min(x.high, 0xffff); r++ {
			s.basic[r>>6] |= 1 << (r & 63)
		}
		if x.high >= 0x10000 {
			s.high = append(s.high, span{max(x.low, 0x10000), x.high})
		}
	}
	s.high = union(s.high)
	return s
}

// union sorts spans and joins those that touch.
func union(spans []span) []span {
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.low, b.low) })
	joined := spans[:0]
	for _, x := range spans {
		if n := len(joined); n > 0 && x.low <= joined[n-1].high+1 {
			joined[n-1].high = max(joined[n-1].high, x.high)
			continue
		}
		joined = append(joined, x)
	}
	return joined
}

// complement gives the spans of all runes that are in none of the given ones.
func complement(spans []span) []span {
	var rest []span
	next := rune(0)
	for _, x := range union(slices.Clone(spans)) {
		if x.low > next {
			rest = append(rest, span{next, x.low - 1})
		}
		next = x.high + 1
	}
	if next <= unicode.MaxRune {
		rest = append(rest, span{next, unicode.MaxRune})
	}
	return rest
}

// tableSpans gives the runes of a Unicode table.
func tableSpans(table *unicode.RangeTable) []span {
	var spans []span
	add := func(low, high, stride rune) {
		if stride == 1 {
			spans = append(spans, span{low, high})
			return
		}
		for r := low; r <= high; r += stride {
			spans = append(spans, span{r, r})
		}
	}
	for _, x := range table.R16 {
		add(rune(x.Lo), rune(x.Hi), rune(x.Stride))
	}
	for _, x := range table.R32 {
		add(rune(x.Lo), rune(x.Hi), rune(x.Stride))
	}
	return spans
}

// foldSpans gives a rune in all its cases: k, K and the Kelvin sign.
func foldSpans(r rune) []span {
	spans := []span{{r, r}}
	for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
		spans = append(spans, span{other, other})
	}
	return spans
}
