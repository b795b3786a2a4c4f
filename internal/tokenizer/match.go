package tokenizer

import "unicode/utf8"

// node is one step of a compiled pattern; next is what must match after it. A nil node is the end: a match.
type node struct {
	next *node

	set        *set
	min, max   int
	possessive bool

	choices []choice

	look    bool
	negated bool
}

type choice struct {
	node  *node
	ascii [2]uint64 // the ASCII bytes that a match can begin with
}

// compilePattern makes a pattern ready to match.
func compilePattern(pattern string) (*node, error) {
	choices, err := parsePattern(pattern)
	if err != nil {
		return nil, err
	}
	return link(choices, nil, false), nil
}

// link joins the choices to what comes after them.
func link(sequences []sequence, next *node, optional bool) *node {
	n := &node{}
	for _, s := range sequences {
		n.choices = append(n.choices, newChoice(chain(s, next)))
	}
	if optional {
		n.choices = append(n.choices, newChoice(next))
	}
	return n
}

func chain(s sequence, next *node) *node {
	for i := len(s) - 1; i >= 0; i-- {
		switch t := s[i]; {
		case t.set != nil:
			next = &node{next: next, set: t.set, min: t.min, max: t.max, possessive: t.possessive}
		case t.look != nil:
			inner := link(t.look, nil, false)
			next = &node{next: next, look: true, negated: t.negated, choices: inner.choices}
		default:
			next = link(t.group, next, t.optional)
		}
	}
	return next
}

func newChoice(n *node) choice { return choice{n, n.starts()} }

// starts gives the ASCII bytes that a match can begin with: all, where it may match nothing.
func (n *node) starts() [2]uint64 {
	switch {
	case n == nil:
		return [2]uint64{^uint64(0), ^uint64(0)}
	case n.look:
		return n.next.starts()
	case n.set != nil:
		ascii := [2]uint64{n.set.basic[0], n.set.basic[1]}
		if n.min == 0 {
			rest := n.next.starts()
			ascii[0] |= rest[0]
			ascii[1] |= rest[1]
		}
		return ascii
	}
	var ascii [2]uint64
	for _, c := range n.choices {
		ascii[0] |= c.ascii[0]
		ascii[1] |= c.ascii[1]
	}
	return ascii
}

// match gives the end of the match that begins at pos, -1 where there is none. Like any backtracking engine it takes the
// first choice that leads to a match, and each repetition as long as the rest allows.
func (n *node) match(s string, pos int) int {
	for n != nil {
		switch {
		case n.look:
			if (n.choose(s, pos) >= 0) == n.negated {
				return -1
			}
		case n.set == nil:
			return n.choose(s, pos)
		default:
			end, count := n.take(s, pos)
			if count < n.min {
				return -1
			}
			if n.next != nil && count > n.min && !n.possessive {
				return n.giveBack(s, end, count)
			}
			pos = end
		}
		n = n.next
	}
	return pos
}

func (n *node) choose(s string, pos int) int {
	for i := range n.choices {
		c := &n.choices[i]
		if pos < len(s) && s[pos] < utf8.RuneSelf && c.ascii[s[pos]>>6]>>(s[pos]&63)&1 == 0 {
			continue
		}
		if end := c.node.match(s, pos); end >= 0 {
			return end
		}
	}
	return -1
}

// take repeats the set as often as it can.
func (n *node) take(s string, pos int) (end, count int) {
	for pos < len(s) && count != n.max {
		r, size := rune(s[pos]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(s[pos:])
		}
		if !n.set.has(r) {
			break
		}
		pos += size
		count++
	}
	return pos, count
}

// giveBack finds the most repetitions after which the rest matches.
func (n *node) giveBack(s string, end, count int) int {
	for {
		if last := n.next.match(s, end); last >= 0 {
			return last
		}
		if count == n.min {
			return -1
		}
		_, size := utf8.DecodeLastRuneInString(s[:end])
		end -= size
		count--
	}
}
