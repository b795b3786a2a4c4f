package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.etcd.io/bbolt"

	"lab/internal/lab"
)

// Baseline is a capture with the runs that are stored of it, in the order in which they were made.
type Baseline struct {
	lab.Capture
	Runs  []Entry
	Going bool // a lab makes it right now
}

// Whole says whether all of its runs are there and count.
func (b Baseline) Whole() bool { return len(b.Valid()) >= b.Capture.Runs }

// Valid are the IDs of its runs that count.
func (b Baseline) Valid() []string {
	var ids []string
	for _, e := range b.Runs {
		if e.Outcome == lab.Complete && e.Valid {
			ids = append(ids, e.ID)
		}
	}
	return ids
}

// Standing says which of some captures, oldest first, is the baseline of a name: the last whole one, or while none is whole,
// the last. partial: the last capture of that name is not whole, was broken off or goes on. Then nothing is checked against the
// name until it is.
func Standing(captures []Baseline, name string) (b Baseline, partial *Baseline) {
	for i, c := range captures {
		if c.Name != name {
			continue
		}
		partial = nil
		if !c.Whole() {
			partial = &captures[i]
		}
		if c.Whole() || !b.Whole() || b.ID == "" {
			b = c
		}
	}
	return b, partial
}

// Baselines lists every capture, oldest first; see [Standing].
func (db *DB) Baselines() ([]Baseline, error) {
	entries, err := db.List()
	if err != nil {
		return nil, err
	}
	going := map[string]bool{} // runs
	for _, a := range db.Announced() {
		going[a.Status.Run] = true
	}
	byID := map[string]*Baseline{}
	var all []*Baseline
	for _, e := range entries {
		if e.Baseline == nil {
			continue
		}
		b, known := byID[e.Baseline.ID]
		if !known {
			b = &Baseline{Capture: *e.Baseline}
			byID[b.ID], all = b, append(all, b)
		}
		b.Runs, b.Going = append(b.Runs, e), b.Going || going[e.ID]
	}
	slices.SortStableFunc(all, func(a, b *Baseline) int { return strings.Compare(a.ID, b.ID) })
	out := make([]Baseline, len(all))
	for i, b := range all {
		out[i] = *b
	}
	return out, nil
}

// ResolveBaseline finds the last capture of a name, whole or not.
func (db *DB) ResolveBaseline(name string) (Baseline, error) {
	captures, err := db.Baselines()
	if err != nil {
		return Baseline{}, err
	}
	for _, b := range slices.Backward(captures) {
		if b.Name == name {
			return b, nil
		}
	}
	return Baseline{}, &RefError{Ref: name, What: "baseline"}
}

// Standing finds the baseline of a name; see [Standing].
func (db *DB) Standing(name string) (b Baseline, partial *Baseline, err error) {
	captures, err := db.Baselines()
	if err != nil {
		return b, nil, err
	}
	if b, partial = Standing(captures, name); b.ID == "" {
		return b, nil, &RefError{Ref: name, What: "baseline"}
	}
	return b, partial, nil
}

// Mark makes sealed runs part of a capture; nil takes them out of the one that they belong to.
func (db *DB) Mark(ids []string, capture *lab.Capture) error {
	for _, id := range ids {
		var marked lab.Sealed
		err := change(db.runFile(id), lockWait, false, func(tx *bbolt.Tx) error {
			h, err := headOf(tx)
			if err != nil {
				return err
			}
			if h.Run.Outcome == lab.Live {
				return errors.New("it still goes on")
			}
			h.Run.Baseline = capture
			marked = h.Sealed
			return put(tx, "meta", "head", h)
		})
		if err != nil {
			return fmt.Errorf("mark run %s: %w", id, err)
		}
		if err := db.remember(marked.Run, marked.Summary); err != nil {
			return err
		}
	}
	return nil
}

// SealedRuns are runs with their numbers, in the order of their IDs in the argument.
func (db *DB) SealedRuns(ids []string) ([]lab.Sealed, error) {
	var runs []lab.Sealed
	for _, id := range ids {
		sealed, err := db.Sealed(id)
		if err != nil {
			return nil, err
		}
		runs = append(runs, sealed)
	}
	return runs, nil
}
