package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"

	"lab/internal/lab"
)

// DB is a folder of records.
type DB struct{ dir string }

// DefaultDir is where records are kept unless the user says otherwise: $LAB_DIR, else $XDG_DATA_HOME/lab, else
// ~/.local/share/lab.
func DefaultDir(getenv func(string) string) (string, error) {
	if dir := getenv("LAB_DIR"); dir != "" {
		return filepath.Abs(dir)
	}
	if dir := getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "lab"), nil
	}
	home := getenv("HOME")
	if home == "" {
		return "", errors.New("find the folder of the records: neither LAB_DIR, XDG_DATA_HOME nor HOME is set")
	}
	return filepath.Join(home, ".local", "share", "lab"), nil
}

// Open makes the folder where it is not there yet and marks runs whose process was killed as interrupted.
func Open(dir string) (*DB, error) {
	if err := os.MkdirAll(filepath.Join(dir, "runs"), 0o700); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	db := &DB{dir: dir}
	return db, db.recover()
}

// Dir is the folder of the records.
func (db *DB) Dir() string { return db.dir }

// RunDir is the folder for files that belong to a run (traces).
func (db *DB) RunDir(id string) string { return filepath.Join(db.dir, "runs", id) }

func (db *DB) runFile(id string) string { return filepath.Join(db.dir, "runs", id+".db") }
func (db *DB) catalog() string          { return filepath.Join(db.dir, "lab.db") }

// Every bbolt file is locked for one process while it is open, and is therefore open for milliseconds only. Whoever
// meets another waits this long before it says so.
const lockWait = 10 * time.Second

// view reads a bbolt file.
func view(name string, wait time.Duration, f func(*bbolt.Tx) error) error {
	if _, err := os.Stat(name); err != nil {
		return err // bbolt would make the file
	}
	b, err := bbolt.Open(name, 0o600, &bbolt.Options{ReadOnly: true, Timeout: wait})
	if err != nil {
		return fmt.Errorf("open %s: %w", name, err)
	}
	err = guard(name, func() error { return b.View(f) })
	return errors.Join(err, b.Close())
}

// update changes a bbolt file, making it where it is not there.
func update(name string, wait time.Duration, f func(*bbolt.Tx) error) error {
	b, err := bbolt.Open(name, 0o600, &bbolt.Options{Timeout: wait, NoFreelistSync: true, FreelistType: bbolt.FreelistMapType})
	if err != nil {
		return fmt.Errorf("open %s: %w", name, err)
	}
	err = guard(name, func() error { return b.Update(f) })
	return errors.Join(err, b.Close())
}

// guard turns the panic with which bbolt meets a damaged page into an error.
func guard(name string, f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("read %s: the file is damaged: %v", name, p)
		}
	}()
	return f()
}

// RefError is a reference that names no run, or more than one.
type RefError struct {
	Ref        string
	What       string   // "run" or "A/B"
	Candidates []string // of an ambiguous prefix
}

func (e *RefError) Error() string {
	if len(e.Candidates) > 0 {
		shown := e.Candidates[:min(5, len(e.Candidates))]
		return fmt.Sprintf("%q begins the ids of %d %ss (%s …): type more of it", e.Ref, len(e.Candidates), e.What, strings.Join(shown, ", "))
	}
	return fmt.Sprintf("no %s %q in the store; `lab list` shows what there is", e.What, e.Ref)
}

// Resolve finds the one run that a reference means: its id, a unique prefix of it, @last, or @last~N for the Nth before
// the last.
func (db *DB) Resolve(ref string) (string, error) {
	ids, err := db.runIDs()
	if err != nil {
		return "", err
	}
	return resolve(ref, "run", ids)
}

func resolve(ref, what string, ids []string) (string, error) {
	if rest, ok := strings.CutPrefix(ref, "@last"); ok {
		back := 0
		if rest != "" {
			if n, err := fmt.Sscanf(rest, "~%d", &back); n != 1 || err != nil || back < 0 {
				return "", &RefError{Ref: ref, What: what}
			}
		}
		if back >= len(ids) {
			return "", &RefError{Ref: ref, What: what}
		}
		return ids[len(ids)-1-back], nil
	}
	var found []string
	for _, id := range ids {
		if id == ref {
			return id, nil
		}
		if ref != "" && strings.HasPrefix(id, ref) {
			found = append(found, id)
		}
	}
	if len(found) != 1 {
		return "", &RefError{Ref: ref, What: what, Candidates: found}
	}
	return found[0], nil
}

// runIDs lists the run files, oldest first: ids sort by time.
func (db *DB) runIDs() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(db.dir, "runs"))
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	var ids []string
	for _, e := range entries {
		if id, ok := strings.CutSuffix(e.Name(), ".db"); ok && !e.IsDir() {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// Remove deletes a run: its file, its folder, its line in the catalog.
func (db *DB) Remove(id string) error {
	if err := os.Remove(db.runFile(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove run %s: %w", id, err)
	}
	if err := os.RemoveAll(db.RunDir(id)); err != nil {
		return fmt.Errorf("remove run %s: %w", id, err)
	}
	return db.forget(id)
}

// put writes a value as JSON into a bucket.
func put(tx *bbolt.Tx, bucket, key string, value any) error {
	b, err := tx.CreateBucketIfNotExists([]byte(bucket))
	if err != nil {
		return err
	}
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return b.Put([]byte(key), text)
}

// get reads what put wrote; ok is false where there is none.
func get(tx *bbolt.Tx, bucket, key string, value any) (ok bool, err error) {
	b := tx.Bucket([]byte(bucket))
	if b == nil {
		return false, nil
	}
	text := b.Get([]byte(key))
	if text == nil {
		return false, nil
	}
	return true, json.Unmarshal(text, value)
}

// SavePlan keeps the plan of an A/B before its first run.
func (db *DB) SavePlan(p lab.Plan) error {
	err := update(db.catalog(), lockWait, func(tx *bbolt.Tx) error { return put(tx, "plans", p.ID, p) })
	if err != nil {
		return fmt.Errorf("save plan %s: %w", p.ID, err)
	}
	return nil
}

// Plans lists the plans, oldest first.
func (db *DB) Plans() ([]lab.Plan, error) {
	var plans []lab.Plan
	err := view(db.catalog(), lockWait, func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte("plans"))
		if b == nil {
			return nil
		}
		return b.ForEach(func(_, text []byte) error {
			var p lab.Plan
			if err := json.Unmarshal(text, &p); err != nil {
				return err
			}
			plans = append(plans, p)
			return nil
		})
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list plans: %w", err)
	}
	return plans, nil
}

// ResolvePlan finds the one A/B that a reference means, as Resolve does for runs.
func (db *DB) ResolvePlan(ref string) (lab.Plan, error) {
	plans, err := db.Plans()
	if err != nil {
		return lab.Plan{}, err
	}
	ids := make([]string, len(plans))
	for i, p := range plans {
		ids[i] = p.ID
	}
	id, err := resolve(ref, "A/B", ids)
	if err != nil {
		return lab.Plan{}, err
	}
	return plans[slices.Index(ids, id)], nil
}

// PlanRuns are the runs of a plan in the order in which they were made, burn-in left out.
func (db *DB) PlanRuns(planID string) ([]lab.Sealed, error) {
	entries, err := db.List()
	if err != nil {
		return nil, err
	}
	var runs []lab.Sealed
	for _, e := range entries {
		if e.PlanID != planID || e.Block == 0 {
			continue
		}
		sealed, err := db.Sealed(e.ID)
		if err != nil {
			return nil, err
		}
		runs = append(runs, sealed)
	}
	return runs, nil
}
