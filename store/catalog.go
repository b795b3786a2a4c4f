package store

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"

	"lab/internal/lab"
)

// Entry is one line of `lab list`.
type Entry struct {
	ID       string          `json:"id"`
	Name     string          `json:"name"`
	Model    string          `json:"model"` // the base URL where a running server was used
	Arm      string          `json:"arm,omitempty"`
	PlanID   string          `json:"plan,omitempty"`
	Block    int             `json:"block,omitempty"`
	Sweep    *lab.SweepPlace `json:"sweep,omitempty"`
	Baseline *lab.Capture    `json:"baseline,omitempty"`
	Outcome  lab.Outcome     `json:"outcome"`
	Valid    bool            `json:"valid"`
	Profiled bool            `json:"profiled,omitempty"` // with the server's profiler on, beside what is measured
	Started  time.Time       `json:"started"`
	Took     time.Duration   `json:"took"`
	Headline []lab.Figure    `json:"headline,omitempty"` // the telling figures of the judged phases
	Key      string          `json:"does"`               // Experiment.Key(); absent in a catalog with keys of an earlier formula
	Tags     []string        `json:"tags,omitempty"`
	Imported string          `json:"imported,omitempty"` // hash of the result that it was read from
	Problem  string          `json:"problem,omitempty"`  // why the run file cannot be read; only ID is known then
}

func entryOf(s lab.Sealed) Entry {
	run := s.Run
	e := Entry{
		ID: run.ID, Name: run.Experiment.Name, Model: run.Experiment.Server.Model, Arm: run.Arm, Block: run.Block, Sweep: run.Sweep, Baseline: run.Baseline,
		Outcome: run.Outcome, Valid: run.Valid(), Profiled: run.Profile != nil, Started: run.Epoch.Wall, Took: run.Ended, Key: run.Experiment.Key(), Tags: run.Tags,
	}
	if e.Model == "" {
		e.Model = run.Experiment.Server.BaseURL
	}
	if run.Plan != nil {
		e.PlanID = run.Plan.ID
	}
	if run.Imported != nil {
		e.Imported = run.Imported.SHA256
	}
	for _, tally := range s.Summary.Phases {
		for _, metric := range []string{"ttft.mean", "tpot.mean", "output_throughput"} {
			if f, ok := s.Summary.Figure(tally.Phase, metric); ok && tally.Judged {
				e.Headline = append(e.Headline, f)
			}
		}
	}
	return e
}

// openCatalog makes the catalog where there is none. A damaged one is put aside and made anew.
func (db *DB) openCatalog() error {
	err := db.viewCatalog(func(*bbolt.Tx) error { return nil })
	if errors.Is(err, errDamaged) {
		if info, statErr := os.Stat(db.catalog()); statErr == nil && info.Size() > 0 { // an empty one is just being made
			if err := os.Rename(db.catalog(), db.catalog()+".damaged"); err != nil {
				return err
			}
		}
		return db.Rebuild()
	}
	if errors.Is(err, fs.ErrNotExist) {
		return db.Rebuild()
	}
	return err
}

func (db *DB) viewCatalog(f func(*bbolt.Tx) error) error {
	return view(db.catalog(), func(tx *bbolt.Tx) error {
		if _, err := checkSchema(tx); err != nil {
			return err
		}
		return f(tx)
	})
}

func (db *DB) changeCatalog(f func(*bbolt.Tx) error) error {
	return change(db.catalog(), lockWait, true, func(tx *bbolt.Tx) error {
		if _, err := checkSchema(tx); err != nil {
			return err
		}
		return errors.Join(put(tx, "meta", "schema", schema), f(tx))
	})
}

// List gives every run, oldest first, from the catalog. Where catalog and run files disagree (a crash between the two, a
// file copied in or deleted by hand) the files are right and the catalog is mended.
func (db *DB) List() ([]Entry, error) {
	var known []Entry
	err := db.viewCatalog(func(tx *bbolt.Tx) (err error) {
		known, err = db.lines(tx)
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	ids, err := db.runIDs() // after the catalog, so that a run that begins meanwhile does not look like a deleted one
	if err != nil {
		return nil, err
	}
	entries := db.mend(ids, known)
	slices.SortFunc(entries, func(a, b Entry) int { return byTime(a.ID, b.ID, a.Started, b.Started) })
	return entries, nil
}

// listed is a line of the catalog as it stood there and what it says.
type listed struct {
	text  string
	entry Entry
}

// lines reads the catalog. Only what has changed since this DB read it before is decoded: who lists again and again, beside
// something that is measured, would else spend a tenth of a second of CPU on 10 000 runs each time.
func (db *DB) lines(tx *bbolt.Tx) ([]Entry, error) {
	b := tx.Bucket([]byte("runs"))
	if b == nil {
		return nil, nil
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	entries, now := make([]Entry, 0, len(db.listed)), make(map[string]listed, len(db.listed))
	err := b.ForEach(func(key, stored []byte) error {
		l, ok := db.listed[string(key)]
		if !ok || l.text != string(stored) {
			l = listed{text: string(stored)}
			if err := parse(string(key), stored, &l.entry); err != nil {
				return err
			}
		}
		now[string(key)] = l
		entries = append(entries, l.entry)
		return nil
	})
	if err == nil {
		db.listed = now
	}
	return entries, err
}

// byTime orders by the second that an id names; within it by the clock, since the end of an id is noise.
func byTime(idA, idB string, a, b time.Time) int {
	second := func(id string) string { return id[:min(len(id), len("20060102-150405"))] }
	return cmp.Or(strings.Compare(second(idA), second(idB)), a.Compare(b), strings.Compare(idA, idB))
}

// mend makes the list of the runs that have a file, and brings the catalog in line with it.
func (db *DB) mend(ids []string, known []Entry) []Entry {
	byID := make(map[string]Entry, len(known))
	for _, e := range known {
		byID[e.ID] = e
	}
	var entries []Entry
	var found []lab.Sealed
	for _, id := range ids {
		e, ok := byID[id]
		delete(byID, id)
		keyless := ok && e.Key == ""
		if !ok || keyless || e.Outcome == lab.Live { // a live run may have ended since
			sealed, err := db.Sealed(id)
			if errors.As(err, new(*RefError)) {
				continue // removed a moment ago
			}
			if err == nil && sealed.Run.ID != id {
				err = fmt.Errorf("read run %s: %s holds run %q: give the file its own name back", id, db.runFile(id), sealed.Run.ID)
			}
			if err != nil { // perhaps only for now: not a thing to remember
				entries = append(entries, Entry{ID: id, Outcome: lab.Failed, Problem: err.Error()})
				continue
			}
			e = entryOf(sealed)
			if !ok || keyless || e.Outcome != lab.Live {
				found = append(found, sealed)
			}
		}
		entries = append(entries, e)
	}
	if len(found)+len(byID) > 0 {
		// The list is right even where the catalog cannot be written; the next one tries again.
		_ = db.changeCatalog(func(tx *bbolt.Tx) error {
			for id := range byID {
				if err := tx.Bucket([]byte("runs")).Delete([]byte(id)); err != nil {
					return err
				}
			}
			return putEntries(tx, found)
		})
	}
	return entries
}

// putEntries writes runs and their plans into the catalog.
func putEntries(tx *bbolt.Tx, runs []lab.Sealed) error {
	for _, sealed := range runs {
		if err := put(tx, "runs", sealed.Run.ID, entryOf(sealed)); err != nil {
			return err
		}
		if p := sealed.Run.Plan; p != nil {
			var kept lab.Plan
			if _, err := get(tx, "plans", p.ID, &kept); err != nil {
				return err
			}
			if kept.Cut > 0 { // which came after the plan's runs
				continue
			}
			if err := put(tx, "plans", p.ID, p); err != nil {
				return err
			}
		}
	}
	return nil
}

func (db *DB) remember(run lab.Run, s lab.Summary) error {
	err := db.changeCatalog(func(tx *bbolt.Tx) error {
		return putEntries(tx, []lab.Sealed{{Run: run, Summary: s}})
	})
	if err != nil {
		return fmt.Errorf("write catalog: %w", err)
	}
	return nil
}

// forget takes a run out of the catalog, and its plan or sweep with the last run of it.
func (db *DB) forget(id string) error {
	err := db.changeCatalog(func(tx *bbolt.Tx) error {
		var gone Entry
		if ok, err := get(tx, "runs", id, &gone); err != nil || !ok {
			return err
		}
		if err := tx.Bucket([]byte("runs")).Delete([]byte(id)); err != nil {
			return err
		}
		entries, err := all[Entry](tx, "runs")
		if err != nil {
			return err
		}
		samePlan := func(e Entry) bool { return e.PlanID == gone.PlanID }
		if plans := tx.Bucket([]byte("plans")); plans != nil && gone.PlanID != "" && !slices.ContainsFunc(entries, samePlan) {
			return plans.Delete([]byte(gone.PlanID))
		}
		sameSweep := func(e Entry) bool { return e.Sweep != nil && e.Sweep.ID == gone.Sweep.ID }
		if sweeps := tx.Bucket([]byte("sweeps")); sweeps != nil && gone.Sweep != nil && !slices.ContainsFunc(entries, sameSweep) {
			return sweeps.Delete([]byte(gone.Sweep.ID))
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write catalog: %w", err)
	}
	return nil
}

// Rebuild makes the catalog anew from the run files, plans included: every run of a plan carries it. Plans without a run
// stay.
func (db *DB) Rebuild() error {
	ids, err := db.runIDs()
	if err != nil {
		return err
	}
	var runs []lab.Sealed
	for _, id := range ids {
		if sealed, err := db.Sealed(id); err == nil && sealed.Run.ID == id { // List reports the others by name
			runs = append(runs, sealed)
		}
	}
	err = db.changeCatalog(func(tx *bbolt.Tx) error {
		if tx.Bucket([]byte("runs")) != nil {
			if err := tx.DeleteBucket([]byte("runs")); err != nil {
				return err
			}
		}
		return putEntries(tx, runs)
	})
	if err != nil {
		return fmt.Errorf("rebuild catalog: %w", err)
	}
	return nil
}
