package store

import (
	"fmt"
	"slices"

	"go.etcd.io/bbolt"

	"lab/internal/lab"
)

// SaveSweep keeps a sweep before its first run.
func (db *DB) SaveSweep(s lab.Sweep) error {
	if err := db.changeCatalog(func(tx *bbolt.Tx) error { return put(tx, "sweeps", s.ID, s) }); err != nil {
		return fmt.Errorf("save sweep %s: %w", s.ID, err)
	}
	return nil
}

// Sweeps lists the sweeps that were begun in this store, oldest first.
func (db *DB) Sweeps() ([]lab.Sweep, error) {
	var sweeps []lab.Sweep
	err := db.viewCatalog(func(tx *bbolt.Tx) (err error) {
		sweeps, err = all[lab.Sweep](tx, "sweeps")
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list sweeps: %w", err)
	}
	slices.SortFunc(sweeps, func(a, b lab.Sweep) int { return byTime(a.ID, b.ID, a.Made, b.Made) })
	return sweeps, nil
}

// ResolveSweep finds the one sweep that a reference means, as Resolve does for runs. A sweep is known only to the store
// in which it was begun.
func (db *DB) ResolveSweep(ref string) (lab.Sweep, error) {
	sweeps, err := db.Sweeps()
	if err != nil {
		return lab.Sweep{}, err
	}
	ids := make([]string, len(sweeps))
	for i, s := range sweeps {
		ids[i] = s.ID
	}
	id, err := resolve(ref, "sweep", ids)
	if err != nil {
		return lab.Sweep{}, err
	}
	return sweeps[slices.Index(ids, id)], nil
}

// SweepEntries are the runs of a sweep, whatever became of them, in the order in which they were made.
func (db *DB) SweepEntries(id string) ([]Entry, error) {
	entries, err := db.List()
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(entries, func(e Entry) bool { return e.Sweep == nil || e.Sweep.ID != id }), nil
}

// SweepDone are the runs of a sweep that came to their end: of each place the last, in the order in which they were made.
func (db *DB) SweepDone(id string) ([]Entry, error) {
	entries, err := db.SweepEntries(id)
	if err != nil {
		return nil, err
	}
	last := map[lab.SweepPlace]string{}
	for _, e := range entries {
		if e.Outcome == lab.Complete {
			last[*e.Sweep] = e.ID
		}
	}
	return slices.DeleteFunc(entries, func(e Entry) bool { return last[*e.Sweep] != e.ID }), nil
}
