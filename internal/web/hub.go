package web

import (
	"reflect"
	"slices"
	"sync"
	"time"

	"lab/internal/lab"
	"lab/store"
)

// lookEvery is how often the store is looked at while somebody watches: two stats and a small file for each lab that
// measures.
const lookEvery = 250 * time.Millisecond

// hub looks at the store for all open pages together, and only while there are any.
type hub struct {
	db      *store.DB
	catalog *catalog

	mu       sync.Mutex // guards the fields below
	watchers int
	quit     chan struct{} // of the goroutine that looks; nil: there is none
	stopped  bool
	seen     sight
	changed  chan struct{} // closed when seen changes

	looking sync.WaitGroup
}

// sight is what was seen at one look.
type sight struct {
	stamp     string
	announced []store.Announcement
}

func newHub(db *store.DB, c *catalog) *hub {
	return &hub{db: db, catalog: c, changed: make(chan struct{})}
}

// watch begins to look where nobody did; the returned function ends it. It is false after stop.
func (h *hub) watch() (end func(), ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopped {
		return nil, false
	}
	if h.watchers++; h.watchers == 1 {
		quit := make(chan struct{})
		h.quit, h.seen = quit, h.look()
		h.looking.Go(func() { h.run(quit) })
	}
	return sync.OnceFunc(func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.watchers--; h.watchers == 0 && !h.stopped {
			close(h.quit)
		}
	}), true
}

// sight gives what was seen last, and a channel that closes when there is more to see.
func (h *hub) sight() (sight, <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.seen, h.changed
}

// stop ends all streams.
func (h *hub) stop() {
	h.mu.Lock()
	if !h.stopped {
		h.stopped = true
		if h.watchers > 0 {
			close(h.quit)
		}
		close(h.changed)
	}
	h.mu.Unlock()
	h.looking.Wait()
}

func (h *hub) ended() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.stopped
}

func (h *hub) look() sight { return sight{h.db.Stamp(), h.db.Announced()} }

func (h *hub) run(quit chan struct{}) {
	h.bury() // who died while nobody looked
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-quit:
			return
		case <-tick.C:
		}
		now := h.look()
		h.mu.Lock()
		before := h.seen
		if !h.stopped && !reflect.DeepEqual(before, now) {
			h.seen = now
			close(h.changed)
			h.changed = make(chan struct{})
		}
		h.mu.Unlock()
		if gone(before.announced, now.announced) {
			h.bury()
		}
	}
}

// gone says whether a process that measured has ended.
func gone(before, now []store.Announcement) bool {
	still := map[int]bool{}
	for _, a := range now {
		still[a.PID] = true
	}
	for _, a := range before {
		if !still[a.PID] {
			return true
		}
	}
	return false
}

// bury marks the runs of a lab that was killed, as any other command of lab would. Only where a run seems to go on that no
// living process speaks of there is something to do; what such a process is about to say makes no difference.
func (h *hub) bury() {
	rows, err := h.catalog.read()
	if err != nil {
		return // who shows the runs says so
	}
	spoken := map[string]bool{}
	for _, a := range h.db.Announced() {
		spoken[a.Status.Run] = true
	}
	if slices.ContainsFunc(rows, func(r row) bool { return r.Outcome == lab.Live && !spoken[r.ID] }) {
		_ = h.db.Recover() // the next look tries again
	}
}
