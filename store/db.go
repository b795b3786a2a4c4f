package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"lab/internal/lab"
)

// DB is a folder of records. Its methods may be called from any goroutine.
type DB struct {
	dir string

	mu     sync.Mutex        // guards listed
	listed map[string]listed // lines of the catalog that were read before, by ID
}

// DefaultDir is where records are kept unless the user says otherwise: $LAB_DIR, else $XDG_DATA_HOME/lab, else
// ~/.local/share/lab.
func DefaultDir(getenv func(string) string) (string, error) {
	if dir := getenv("LAB_DIR"); dir != "" {
		return filepath.Abs(dir)
	}
	if dir := getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) { // a relative one is to be ignored, says its specification
		return filepath.Join(dir, "lab"), nil
	}
	home := getenv("HOME")
	if home == "" {
		return "", errors.New("find the folder of the records: neither LAB_DIR, XDG_DATA_HOME nor HOME is set")
	}
	return filepath.Join(home, ".local", "share", "lab"), nil
}

// Open makes the folder where it is not there yet, and marks live runs whose process is gone as interrupted.
func Open(dir string) (*DB, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	db := &DB{dir: dir}
	if err := os.MkdirAll(db.runsDir(), 0o700); err != nil {
		return nil, fmt.Errorf("open store: %w", withAdvice(err))
	}
	if err := db.openCatalog(); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if err := db.Recover(); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	return db, nil
}

// Dir is the folder of the records.
func (db *DB) Dir() string { return db.dir }

// RunDir is the folder for files that belong to a run (traces).
func (db *DB) RunDir(id string) string { return filepath.Join(db.runsDir(), id) }

func (db *DB) runsDir() string          { return filepath.Join(db.dir, "runs") }
func (db *DB) runFile(id string) string { return filepath.Join(db.runsDir(), id+".db") }
func (db *DB) catalog() string          { return filepath.Join(db.dir, "lab.db") }

// runIDs lists the run files, sorted by name.
func (db *DB) runIDs() ([]string, error) {
	entries, err := os.ReadDir(db.runsDir())
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	var ids []string
	for _, e := range entries {
		if id, ok := strings.CutSuffix(e.Name(), ".db"); ok && !e.IsDir() && plainName(id) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// plainName keeps an id from naming a place outside the folder of the runs.
func plainName(id string) bool {
	return id != "" && id[0] != '.' && filepath.Base(id) == id
}

// Remove deletes a run: its file, its folder, its line in the catalog, and its plan when no other run belongs to it.
// A run that is being recorded stays.
func (db *DB) Remove(id string) error {
	if !plainName(id) {
		return &RefError{Ref: id, What: "run"}
	}
	h, err := db.head(id)
	if errors.As(err, new(*RefError)) {
		return err
	}
	if err == nil && h.Run.Outcome == lab.Live && h.Owner.alive(db.runFile(id)) { // a damaged file is removed like any other
		return fmt.Errorf("remove run %s: process %d is recording it; stop that first", id, h.Owner.PID)
	}
	for _, name := range []string{db.runFile(id), db.runFile(id) + unfinished} {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove run %s: %w", id, err)
		}
	}
	if err := os.RemoveAll(db.RunDir(id)); err != nil {
		return fmt.Errorf("remove run %s: %w", id, err)
	}
	return db.forget(id)
}
