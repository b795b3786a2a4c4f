package web

import (
	"slices"
	"sync"

	"lab/store"
)

// catalog keeps the list of the runs between two looks, since to read 10 000 of them takes a tenth of a second of CPU
// beside what may be measured.
type catalog struct {
	db *store.DB

	mu    sync.Mutex
	stamp string // of the store when rows were read
	rows  []row  // newest first
}

// read gives the runs, newest first. The rows are shared: nobody changes them.
func (c *catalog) read() ([]row, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	stamp := c.db.Stamp() // before the list, so that a change meanwhile is seen next time
	if stamp == c.stamp {
		return c.rows, nil
	}
	entries, err := c.db.List()
	if err != nil {
		return nil, err
	}
	slices.Reverse(entries)
	rows := make([]row, len(entries))
	for i, e := range entries {
		rows[i] = rowOf(e)
	}
	c.rows, c.stamp = rows, stamp
	return rows, nil
}
