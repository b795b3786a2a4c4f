package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.etcd.io/bbolt"

	"lab/internal/lab"
)

// Recover marks live runs whose process is gone as interrupted and takes away files that were never finished. Open does it;
// who keeps a store open for long does it again when a process has gone. What cannot be mended now (another process is at
// it, the disk is full, the file is damaged) must not keep anyone from reading the rest: it stays as it is until the next
// time.
func (db *DB) Recover() error {
	db.sweep()
	db.sweepAnnouncements()
	entries, err := db.List()
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Outcome == lab.Live {
			_ = db.recoverRun(e.ID)
		}
	}
	return nil
}

func (db *DB) recoverRun(id string) error {
	h, err := db.head(id) // a look first: a run that goes on is not disturbed
	if err != nil || !db.abandoned(id, h) {
		return err
	}
	ended := time.Duration(0)
	if tables, err := db.Tables(id); err == nil {
		ended = lastMoment(tables)
	}
	err = change(db.runFile(id), lockWait, false, func(tx *bbolt.Tx) error {
		if h, err = headOf(tx); err != nil || !db.abandoned(id, h) { // another process was faster
			return err
		}
		h.Run.Outcome, h.Run.Ended = lab.Interrupted, ended
		h.Run.Findings = append(h.Run.Findings, lab.Finding{Code: "killed", Level: lab.Invalid,
			Detail: "lab itself was killed during this run; what it had recorded until about a second before is kept"})
		h.Owner = owner{}
		return put(tx, "meta", "head", h)
	})
	if err != nil {
		return err
	}
	if err := os.Remove(db.runFile(id) + unfinished); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return db.remember(h.Run, h.Summary)
}

// abandoned says that nobody records a live run any more.
func (db *DB) abandoned(id string, h head) bool {
	return h.Run.Outcome == lab.Live && !h.Owner.alive(db.runFile(id))
}

// lastMoment is the latest thing that was recorded.
func lastMoment(t lab.Tables) (last time.Duration) {
	for _, r := range t.Requests {
		last = max(last, r.Done)
	}
	for _, s := range t.Samples {
		last = max(last, s.At)
	}
	for _, e := range t.Events {
		last = max(last, e.At)
	}
	for _, l := range t.Log {
		last = max(last, l.At)
	}
	return last
}

// sweep removes run files that a killed process did not finish.
func (db *DB) sweep() {
	sweepOld(db.runsDir(), func(name string) bool { return strings.HasSuffix(name, ".db"+unfinished) })
}

// sweepOld removes files that nobody finishes any more: to write one takes seconds at most, so an old one is nobody's.
func sweepOld(dir string, leftover func(name string) bool) {
	const old = time.Hour
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // nothing is there yet, or who needs it says so
	}
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && !e.IsDir() && leftover(e.Name()) && time.Since(info.ModTime()) > old {
			os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}
