package tokenizer

// pair names two neighbouring tokens.
type pair uint64

func pairOf(left, right int32) pair { return pair(uint64(uint32(left))<<32 | uint64(uint32(right))) }

// merge says when a pair is joined, and to which token.
type merge struct{ rank, id int32 }

// merger joins the bytes of one pre-token: always the pair of lowest rank first, of equal ones the leftmost. The tokens
// are a linked list and the pairs wait in a heap, so that a word of 100 kB takes n log n steps. Its buffers serve again.
type merger struct {
	merges map[pair]merge

	ids        []int32 // -1: joined to the one before
	next, prev []int32 // -1: none
	heap       []uint64
}

// merged appends the tokens of a word, which begins as its bytes.
func (m *merger) merged(word string, bytes *[256]int32, out []int32) []int32 {
	m.ids, m.next, m.prev, m.heap = m.ids[:0], m.next[:0], m.prev[:0], m.heap[:0]
	for i := range len(word) {
		m.ids = append(m.ids, bytes[word[i]])
		m.next = append(m.next, int32(i+1))
		m.prev = append(m.prev, int32(i-1))
	}
	m.next[len(word)-1] = -1
	for i := range len(word) - 1 {
		m.offer(int32(i))
	}
	for len(m.heap) > 0 {
		top := m.pop()
		rank, at := int32(top>>32), int32(uint32(top))
		after := m.next[at]
		if m.ids[at] < 0 || after < 0 {
			continue // joined meanwhile
		}
		join, known := m.merges[pairOf(m.ids[at], m.ids[after])]
		if !known || join.rank != rank {
			continue // another pair by now
		}
		m.ids[at], m.ids[after] = join.id, -1
		m.next[at] = m.next[after]
		if m.next[at] >= 0 {
			m.prev[m.next[at]] = at
			m.offer(at)
		}
		if m.prev[at] >= 0 {
			m.offer(m.prev[at])
		}
	}
	for i := int32(0); i >= 0; i = m.next[i] {
		out = append(out, m.ids[i])
	}
	return out
}

// offer puts the pair that begins at a token into the heap, if it can be joined.
func (m *merger) offer(at int32) {
	join, known := m.merges[pairOf(m.ids[at], m.ids[m.next[at]])]
	if !known {
		return
	}
	m.heap = append(m.heap, uint64(join.rank)<<32|uint64(uint32(at)))
	h := m.heap
	for i := len(h) - 1; i > 0; {
		up := (i - 1) / 2
		if h[up] <= h[i] {
			break
		}
		h[up], h[i] = h[i], h[up]
		i = up
	}
}

// pop takes the smallest entry.
func (m *merger) pop() uint64 {
	h := m.heap
	top, last := h[0], len(h)-1
	h[0] = h[last]
	h = h[:last]
	for i := 0; ; {
		down := 2*i + 1
		if down >= last {
			break
		}
		if down+1 < last && h[down+1] < h[down] {
			down++
		}
		if h[i] <= h[down] {
			break
		}
		h[i], h[down] = h[down], h[i]
		i = down
	}
	m.heap = h
	return top
}
