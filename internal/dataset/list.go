package dataset

import (
	"context"
	"math"
	"slices"

	"lab/internal/lab"
)

// entry is a prompt of a file, with the image that goes with it.
type entry struct {
	lab.Prompt
	image picture
}

// list is the prompts of a file, from the beginning again when they run out.
type list struct {
	entries  []entry
	distinct int
	ends     bool // the list is not repeated
}

// At is the entry at an index. A message with an image is put together here, so that only one is in memory twice.
func (l list) At(i int) lab.Prompt {
	e := l.entries[i%len(l.entries)]
	if !e.image.none() {
		e.Messages, e.Text = messages(e.Text, e.image), ""
	}
	return e.Prompt
}

// Distinct is the number of entries that differ.
func (l list) Distinct() int { return l.distinct }

func (l list) limit() int {
	if l.ends {
		return len(l.entries)
	}
	return 0
}

// newList repeats entries at random where the load asks for more than there are, as vLLM does.
func newList(entries []entry, l lab.Load, env Env) list {
	made := list{entries, len(entries), l.Dataset.NoOversample}
	n, told := wanted(l, env)
	if made.ends || !told || len(entries) >= n {
		return made
	}
	random := seedPython(l.Seed)
	for range n - len(entries) {
		made.entries = append(made.entries, entries[random.below(len(entries))])
	}
	return made
}

// arrange gives a pool its own way through a file. Pool 0 has the order as it is, and each even pool starts elsewhere.
// The odd pool after it, the warm-up's, goes backwards from that start: the two meet only where the file is too short
// for both.
func arrange[T any](order []T, pool uint64) []T {
	if pool == 0 || len(order) == 0 {
		return order
	}
	_, part := math.Modf(float64(pool/2) * math.Phi) // the golden ratio spreads any number of pools evenly
	start := int(part * float64(len(order)))
	order = slices.Concat(order[start:], order[:start])
	if pool%2 == 1 {
		slices.Reverse(order)
	}
	return order
}

// take goes through an order until n entries are found that serve. Entries are read several at a time; read says
// whether one serves.
func take[T any](ctx context.Context, order []T, n, workers int, read func(ctx context.Context, from T) (entry, bool, error)) ([]entry, error) {
	var taken []entry
	for len(order) > 0 && len(taken) < n {
		batch := order[:min(len(order), n-len(taken))]
		order = order[len(batch):]
		entries, serves := make([]entry, len(batch)), make([]bool, len(batch))
		err := each(ctx, len(batch), workers, func(ctx context.Context, i int) (err error) {
			entries[i], serves[i], err = read(ctx, batch[i])
			return err
		})
		if err != nil {
			return nil, err
		}
		for i, e := range entries {
			if serves[i] {
				taken = append(taken, e)
			}
		}
	}
	return taken, nil
}
