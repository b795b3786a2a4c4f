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

// Entry is one line of `lab list`.
type Entry struct {
	ID       string        `json:"id"`
	Name     string        `json:"name"`
	Model    string        `json:"model"`
	Arm      string        `json:"arm,omitempty"`
	PlanID   string        `json:"plan,omitempty"`
	Block    int           `json:"block,omitempty"`
	Outcome  lab.Outcome   `json:"outcome"`
	Valid    bool          `json:"valid"`
	Started  time.Time     `json:"started"`
	Took     time.Duration `json:"took"`
	Headline []lab.Figure  `json:"headline,omitempty"` // the deciding figures of the judged phases
	Key      string        `json:"key"`
	Tags     []string      `json:"tags,omitempty"`
	Problem  string        `json:"problem,omitempty"` // the run file cannot be read
}

func entryOf(run lab.Run, s lab.Summary) Entry {
	e := Entry{
		ID: run.ID, Name: run.Experiment.Name, Model: run.Experiment.Server.Model, Arm: run.Arm, Block: run.Block,
		Outcome: run.Outcome, Valid: run.Valid(), Started: run.Epoch.Wall, Took: run.Ended, Key: run.Key, Tags: run.Tags,
	}
	if e.Model == "" {
		e.Model = run.Experiment.Server.BaseURL
	}
	if run.Plan != nil {
		e.PlanID = run.Plan.ID
	}
	for _, tally := range s.Phases {
		for _, metric := range []string{"ttft.mean", "tpot.mean", "output_throughput"} {
			if f, ok := s.Figure(tally.Phase, metric); ok && tally.Judged {
				e.Headline = append(e.Headline, f)
			}
		}
	}
	return e
}

// List gives every run, oldest first, from the catalog. Where catalog and run files disagree (a crash between the two,
// a file copied in or deleted by hand) the files are right and the catalog is mended.
func (db *DB) List() ([]Entry, error) {
	ids, err := db.runIDs()
	if err != nil {
		return nil, err
	}
	known := map[string]Entry{}
	err = view(db.catalog(), lockWait, func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte("runs"))
		if b == nil {
			return nil
		}
		return b.ForEach(func(_, text []byte) error {
			var e Entry
			if err := json.Unmarshal(text, &e); err != nil {
				return err
			}
			known[e.ID] = e
			return nil
		})
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read catalog: %w (it can be deleted: it is made anew from the runs)", err)
	}
	return db.mend(ids, known)
}

func (db *DB) mend(ids []string, known map[string]Entry) ([]Entry, error) {
	var entries, found []Entry
	for _, id := range ids {
		e, ok := known[id]
		if !ok || e.Outcome == lab.Live {
			e = db.readEntry(id)
			if !ok || e.Outcome != lab.Live {
				found = append(found, e)
			}
		}
		entries = append(entries, e)
	}
	var gone []string
	for id := range known {
		if !slices.Contains(ids, id) {
			gone = append(gone, id)
		}
	}
	if len(found)+len(gone) == 0 {
		return entries, nil
	}
	err := update(db.catalog(), lockWait, func(tx *bbolt.Tx) error {
		for _, e := range found {
			if err := put(tx, "runs", e.ID, e); e.Problem == "" && err != nil {
				return err
			}
		}
		for _, id := range gone {
			if err := tx.Bucket([]byte("runs")).Delete([]byte(id)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("mend catalog: %w", err)
	}
	return entries, nil
}

// readEntry makes a run's line from its file; a file that cannot be read is a line too, which says so.
func (db *DB) readEntry(id string) Entry {
	sealed, err := db.Sealed(id)
	if err != nil {
		return Entry{ID: id, Outcome: lab.Failed, Problem: err.Error()}
	}
	return entryOf(sealed.Run, sealed.Summary)
}

func (db *DB) remember(run lab.Run, s lab.Summary) error {
	err := update(db.catalog(), lockWait, func(tx *bbolt.Tx) error {
		e := entryOf(run, s)
		return put(tx, "runs", e.ID, e)
	})
	if err != nil {
		return fmt.Errorf("write catalog: %w", err)
	}
	return nil
}

func (db *DB) forget(id string) error {
	err := update(db.catalog(), lockWait, func(tx *bbolt.Tx) error {
		if b := tx.Bucket([]byte("runs")); b != nil {
			return b.Delete([]byte(id))
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write catalog: %w", err)
	}
	return nil
}

// Rebuild makes the catalog anew from the run files, plans included: every run of a plan carries it.
func (db *DB) Rebuild() error {
	if err := os.Remove(db.catalog()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("rebuild catalog: %w", err)
	}
	ids, err := db.runIDs()
	if err != nil {
		return err
	}
	err = update(db.catalog(), lockWait, func(tx *bbolt.Tx) error {
		for _, id := range ids {
			sealed, err := db.Sealed(id)
			if err != nil {
				continue // List reports it by name
			}
			e := entryOf(sealed.Run, sealed.Summary)
			if err := put(tx, "runs", e.ID, e); err != nil {
				return err
			}
			if p := sealed.Run.Plan; p != nil {
				if err := put(tx, "plans", p.ID, p); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("rebuild catalog: %w", err)
	}
	return nil
}

// recover marks live runs whose process is gone as interrupted and takes away half-written sealed files.
func (db *DB) recover() error {
	_, err := os.Stat(db.catalog())
	fresh := errors.Is(err, fs.ErrNotExist)
	if fresh {
		if err := db.Rebuild(); err != nil { // a lost catalog, or a new folder
			return err
		}
	}
	entries, err := db.List()
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Outcome != lab.Live {
			continue
		}
		if err := db.recoverRun(e.ID); err != nil {
			return fmt.Errorf("recover run %s: %w", e.ID, err)
		}
	}
	return nil
}

func (db *DB) recoverRun(id string) error {
	var run lab.Run
	abandoned := false
	err := update(db.runFile(id), lockWait, func(tx *bbolt.Tx) error {
		var o owner
		if _, err := get(tx, "meta", "owner", &o); err != nil {
			return err
		}
		if _, err := get(tx, "meta", "run", &run); err != nil {
			return err
		}
		if run.Outcome != lab.Live || o.alive() {
			return nil
		}
		abandoned = true
		run.Outcome = lab.Interrupted
		run.Findings = append(run.Findings, lab.Finding{Code: "killed", Level: lab.Invalid,
			Detail: "lab itself was killed during this run; what it had recorded until a second before is kept"})
		return put(tx, "meta", "run", run)
	})
	if err != nil || !abandoned {
		return err
	}
	if err := os.Remove(db.runFile(id) + sealing); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return db.remember(run, lab.Summary{})
}

// owner is the process that records a run.
type owner struct {
	PID   int    `json:"pid"`
	Start string `json:"start"` // in clock ticks since boot: a pid may be used again
	Boot  string `json:"boot"`
}

func self() owner {
	return owner{PID: os.Getpid(), Start: startTime(os.Getpid()), Boot: bootID()}
}

func (o owner) alive() bool {
	return o.PID != 0 && o.Boot == bootID() && startTime(o.PID) == o.Start && o.Start != ""
}

func bootID() string {
	text, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(text))
}

// startTime is field 22 of /proc/PID/stat; the fields are counted after the last parenthesis, since the name before it
// may hold anything.
func startTime(pid int) string {
	text, err := os.ReadFile(filepath.Join("/proc", fmt.Sprint(pid), "stat"))
	if err != nil {
		return ""
	}
	_, rest, ok := strings.Cut(string(text[strings.LastIndexByte(string(text), ')')+1:]), " ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 20 || fields[0] == "Z" {
		return ""
	}
	return fields[19]
}
