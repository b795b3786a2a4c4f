package profiling

// pile is a list that grows without copying what it has, as a trace may have millions of records.
type pile[T any] struct {
	chunks [][]T
	n      int
}

const pileChunk = 1 << 12

func (p *pile[T]) add(v T) {
	if p.n%pileChunk == 0 {
		p.chunks = append(p.chunks, make([]T, 0, pileChunk))
	}
	last := len(p.chunks) - 1
	p.chunks[last] = append(p.chunks[last], v)
	p.n++
}

func (p *pile[T]) at(i int) *T { return &p.chunks[i/pileChunk][i%pileChunk] }

// sorted orders a pile by sort.Sort.
type sorted[T any] struct {
	*pile[T]
	less func(a, b *T) bool
}

func (s sorted[T]) Len() int           { return s.n }
func (s sorted[T]) Less(i, k int) bool { return s.less(s.at(i), s.at(k)) }
func (s sorted[T]) Swap(i, k int) {
	a, b := s.at(i), s.at(k)
	*a, *b = *b, *a
}
