package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/klauspost/compress/zstd"
	"go.etcd.io/bbolt"

	"lab/internal/lab"
)

// schema is the version of the run file's layout.
const schema = 1

// flushEvery is how much of a run a killed process can lose.
const flushEvery = time.Second

// sealing is appended to the name of a sealed file while it is written.
const sealing = ".sealing"

// Writer records one run. Its methods may be called from any goroutine; they touch memory only, so that no request and
// no sample ever waits for the disk. One goroutine writes what has come in once a second.
type Writer struct {
	db      *DB
	id      string
	mu      sync.Mutex // guards run, dirty, pending
	run     lab.Run
	dirty   bool
	pending lab.Tables
	file    sync.Mutex // held while the run file is written
	batch   int
	stop    chan struct{}
	done    chan struct{}
	closed  sync.Once
	failed  error // of the flusher; guarded by mu
}

// Begin makes the run's file. From here on a crash leaves a trace that the next Open marks.
func (db *DB) Begin(run lab.Run) (*Writer, error) {
	w := &Writer{db: db, id: run.ID, run: run, stop: make(chan struct{}), done: make(chan struct{})}
	if _, err := os.Stat(db.runFile(run.ID)); err == nil {
		return nil, fmt.Errorf("begin run %s: it exists already", run.ID)
	}
	err := update(db.runFile(run.ID), lockWait, func(tx *bbolt.Tx) error {
		return errors.Join(
			put(tx, "meta", "schema", schema),
			put(tx, "meta", "owner", self()),
			put(tx, "meta", "run", run),
		)
	})
	if err != nil {
		return nil, fmt.Errorf("begin run %s: %w", run.ID, withAdvice(err))
	}
	if err := db.remember(run, lab.Summary{}); err != nil {
		return nil, err
	}
	go w.flusher()
	return w, nil
}

// Request records a request that has ended.
func (w *Writer) Request(r lab.RequestRecord) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pending.Requests = append(w.pending.Requests, r)
}

// Sample records one reading.
func (w *Writer) Sample(s lab.Sample) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pending.Samples = append(w.pending.Samples, s)
}

// Event records something that happened.
func (w *Writer) Event(e lab.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pending.Events = append(w.pending.Events, e)
}

// Log records a line of the server.
func (w *Writer) Log(l lab.LogLine) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pending.Log = append(w.pending.Log, l)
}

// Update replaces what is known of the run itself.
func (w *Writer) Update(run lab.Run) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.run, w.dirty = run, true
}

func (w *Writer) flusher() {
	defer close(w.done)
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-w.stop:
			return
		case <-tick.C:
			// A reader may hold the file; what is pending is then written with the next tick.
			err := w.flush(flushEvery / 4)
			if errors.Is(err, bbolt.ErrTimeout) {
				err = nil
			}
			w.mu.Lock()
			w.failed = err
			w.mu.Unlock()
		}
	}
}

// flush writes what has come in since the last one. What could not be written stays pending.
func (w *Writer) flush(wait time.Duration) error {
	w.file.Lock()
	defer w.file.Unlock()
	w.mu.Lock()
	pending, run, dirty := w.pending, w.run, w.dirty
	w.pending, w.dirty = lab.Tables{}, false
	w.mu.Unlock()
	if empty(pending) && !dirty {
		return nil
	}
	err := update(w.db.runFile(w.id), wait, func(tx *bbolt.Tx) error {
		if dirty {
			if err := put(tx, "meta", "run", run); err != nil {
				return err
			}
		}
		return putBatch(tx, w.batch, pending)
	})
	if err != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.pending, w.dirty = join(pending, w.pending), w.dirty || dirty
		return fmt.Errorf("record run %s: %w", w.id, withAdvice(err))
	}
	w.batch++
	return nil
}

func empty(t lab.Tables) bool {
	return len(t.Requests)+len(t.Samples)+len(t.Events)+len(t.Log) == 0
}

func join(a, b lab.Tables) lab.Tables {
	return lab.Tables{
		Requests: append(a.Requests, b.Requests...), Samples: append(a.Samples, b.Samples...),
		Events: append(a.Events, b.Events...), Log: append(a.Log, b.Log...),
	}
}

// putBatch writes one flush of a live run: compressed JSON, which is read back at the seal and after a crash.
func putBatch(tx *bbolt.Tx, n int, t lab.Tables) error {
	if empty(t) {
		return nil
	}
	b, err := tx.CreateBucketIfNotExists([]byte("live"))
	if err != nil {
		return err
	}
	packed, err := pack(t)
	if err != nil {
		return err
	}
	return b.Put(fmt.Appendf(nil, "%09d", n), packed)
}

// pack and unpack are the form of what is no table: zstd over JSON.
func pack(value any) ([]byte, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	defer enc.Close()
	return enc.EncodeAll(text, nil), nil
}

func unpack(packed []byte, value any) error {
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return err
	}
	defer dec.Close()
	text, err := dec.DecodeAll(packed, nil)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, value)
}

// withAdvice adds what to do to an error of a full disk.
func withAdvice(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: make room (lab rm removes runs); what was recorded before is safe", err)
	}
	return err
}

// Tables writes what is pending and reads back everything recorded so far.
func (w *Writer) Tables() (lab.Tables, error) {
	if err := w.flush(lockWait); err != nil {
		return lab.Tables{}, err
	}
	return w.db.Tables(w.id)
}

// Seal ends the recording: every table becomes one value of a new file, which then takes the place of the live one.
func (w *Writer) Seal(run lab.Run, s lab.Summary) error {
	w.end()
	w.Update(run)
	tables, err := w.Tables()
	if err != nil {
		return err
	}
	w.file.Lock()
	defer w.file.Unlock()
	if err := w.db.writeSealed(run, s, tables); err != nil {
		return fmt.Errorf("seal run %s: %w", run.ID, withAdvice(err))
	}
	return w.db.remember(run, s)
}

func (db *DB) writeSealed(run lab.Run, s lab.Summary, t lab.Tables) error {
	name := db.runFile(run.ID)
	fresh := name + sealing
	if err := os.RemoveAll(fresh); err != nil {
		return err
	}
	values, err := encodeTables(t)
	if err != nil {
		return err
	}
	err = update(fresh, lockWait, func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists([]byte("tables"))
		if err != nil {
			return err
		}
		for key, value := range values {
			if err := b.Put([]byte(key), value); err != nil {
				return err
			}
		}
		return errors.Join(put(tx, "meta", "schema", schema), put(tx, "meta", "run", run), put(tx, "meta", "summary", s))
	})
	if err != nil {
		return err
	}
	if err := os.Rename(fresh, name); err != nil { // bbolt has synced its content
		return err
	}
	return syncDir(filepath.Dir(name))
}

// syncDir makes a rename last.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Close writes what is pending and leaves the run as it is: the next Open marks it. After Seal it does nothing.
func (w *Writer) Close() error {
	w.end()
	return w.flush(lockWait)
}

func (w *Writer) end() {
	w.closed.Do(func() {
		close(w.stop)
		<-w.done
	})
}
