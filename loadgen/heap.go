package loadgen

import (
	"os"
	"runtime/debug"
	"runtime/metrics"
)

// heap keeps the garbage collector out of a load's way: it lets garbage grow to a fixed size before a collection, within
// bounds, where Go's own rule would collect a small heap every few hundred milliseconds. A user who has set GOGC has decided.
type heap struct {
	read    []metrics.Sample
	before  int // what held before the load
	percent int // what holds now; 0: it is left alone
}

const (
	garbage      = 64 << 20 // bytes
	leastPercent = 100      // of what lives: Go's own rule
	mostPercent  = 400
)

func newHeap() *heap {
	h := &heap{read: []metrics.Sample{{Name: "/gc/heap/live:bytes"}}}
	if os.Getenv("GOGC") == "" {
		h.percent = h.wanted()
		h.before = debug.SetGCPercent(h.percent)
	}
	return h
}

// wanted follows from what lived after the last collection.
func (h *heap) wanted() int {
	metrics.Read(h.read)
	if h.read[0].Value.Kind() != metrics.KindUint64 {
		return leastPercent
	}
	return percentFor(h.read[0].Value.Uint64())
}

func percentFor(live uint64) int {
	return int(min(max(garbage*100/max(live, 1), leastPercent), mostPercent))
}

// adjust follows the heap as it grows. Setting the share stops the program for a moment, so small changes are let be.
func (h *heap) adjust() {
	if h.percent == 0 {
		return
	}
	if now := h.wanted(); now < h.percent*3/4 || now > h.percent*4/3 {
		h.percent = now
		debug.SetGCPercent(now)
	}
}

// restore puts back what held before.
func (h *heap) restore() {
	if h.percent != 0 {
		debug.SetGCPercent(h.before)
	}
}
