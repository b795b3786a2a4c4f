package sim

// prefixCache remembers which full blocks of prompts were computed. As in vLLM a block's hash covers all tokens before
// it. It holds as many blocks as the KV cache has, and forgets the ones that were used longest ago.
type prefixCache struct {
	block  int // tokens of a block
	limit  int // blocks
	used   map[uint64]uint64
	oldest []touch // in order of use; entries that were used again since are stale
	clock  uint64
}

type touch struct{ hash, at uint64 }

func newPrefixCache(p Physics) prefixCache {
	return prefixCache{block: p.BlockTokens, limit: max(1, p.KVTokens/p.BlockTokens), used: map[uint64]uint64{}}
}

// find counts the tokens at the head of a prompt whose blocks are known. The last token is always computed, so a block
// that ends with it is not taken.
func (c *prefixCache) find(prompt []int32, warm bool) int {
	hit := 0
	c.each(prompt, func(end int, hash uint64) bool {
		if _, known := c.used[hash]; !known && !warm || end == len(prompt) {
			return false
		}
		hit = end
		return true
	})
	return hit
}

// add remembers the full blocks of a computed prompt.
func (c *prefixCache) add(prompt []int32) {
	c.each(prompt, func(_ int, hash uint64) bool {
		c.clock++
		c.used[hash] = c.clock
		c.oldest = append(c.oldest, touch{hash, c.clock})
		return true
	})
	for len(c.used) > c.limit {
		if first := c.oldest[0]; c.used[first.hash] == first.at {
			delete(c.used, first.hash)
		}
		c.oldest = c.oldest[1:]
	}
	if len(c.oldest) > 2*c.limit { // mostly stale
		fresh := make([]touch, 0, len(c.used))
		for _, t := range c.oldest {
			if c.used[t.hash] == t.at {
				fresh = append(fresh, t)
			}
		}
		c.oldest = fresh
	}
}

// each walks the full blocks of a prompt until f says no. The hash is FNV-1a over token ids.
func (c *prefixCache) each(prompt []int32, f func(end int, hash uint64) bool) {
	hash := uint64(14695981039346656037)
	for i, id := range prompt {
		hash = (hash ^ uint64(uint32(id))) * 1099511628211
		if (i+1)%c.block == 0 && !f(i+1, hash) {
			return
		}
	}
}
