package dataset

import "math/bits"

// python draws what Python's random module draws after random.seed(seed): vLLM orders its files by it. The generator is
// MT19937 (Matsumoto and Nishimura, "Mersenne Twister", 1998); how a seed fills it and how draws become indices is
// CPython's.
type python struct {
	state [twist]uint32
	next  int
}

const (
	twist  = 624
	middle = 397
)

func seedPython(seed uint64) *python {
	key := []uint32{uint32(seed)}
	if high := uint32(seed >> 32); high != 0 {
		key = append(key, high)
	}
	p := &python{next: twist}
	p.state[0] = 19650218
	for i := 1; i < twist; i++ {
		p.state[i] = 1812433253*(p.state[i-1]^p.state[i-1]>>30) + uint32(i)
	}
	i, j := 1, 0
	wrap := func() {
		if i++; i == twist {
			p.state[0], i = p.state[twist-1], 1
		}
	}
	for range max(twist, len(key)) {
		p.state[i] = (p.state[i] ^ (p.state[i-1]^p.state[i-1]>>30)*1664525) + key[j] + uint32(j)
		j = (j + 1) % len(key)
		wrap()
	}
	for range twist - 1 {
		p.state[i] = (p.state[i] ^ (p.state[i-1]^p.state[i-1]>>30)*1566083941) - uint32(i)
		wrap()
	}
	p.state[0] = 1 << 31
	return p
}

func (p *python) uint32() uint32 {
	if p.next == twist {
		for i := range p.state {
			y := p.state[i]&(1<<31) | p.state[(i+1)%twist]&(1<<31-1)
			p.state[i] = p.state[(i+middle)%twist] ^ y>>1 ^ (y&1)*0x9908b0df
		}
		p.next = 0
	}
	y := p.state[p.next]
	p.next++
	y ^= y >> 11
	y ^= y << 7 & 0x9d2c5680
	y ^= y << 15 & 0xefc60000
	return y ^ y>>18
}

// below draws from [0, n) by drawing as many bits as n has until they fit; n is below 2^32.
func (p *python) below(n int) int {
	drop := 32 - bits.Len32(uint32(n))
	for {
		if r := int(p.uint32() >> drop); r < n {
			return r
		}
	}
}

// shuffle is random.shuffle.
func shuffle[T any](p *python, list []T) {
	for i := len(list) - 1; i > 0; i-- {
		j := p.below(i + 1)
		list[i], list[j] = list[j], list[i]
	}
}
