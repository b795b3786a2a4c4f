package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	"lab/internal/lab"
)

// flushEvery is how much of a run a killed process can lose.
const flushEvery = time.Second

// Writer records one run. Its methods may be called from any goroutine. Those that record touch memory only, so that no
// request and no sample ever waits for the disk; one goroutine writes what has come in once a second. What a record
// points to belongs to the writer from then on.
type Writer struct {
	db    *DB
	id    string
	owner owner
	stop  chan struct{}
	done  chan struct{}
	end   func() // ends the flusher

	mu      sync.Mutex // guards the fields below
	pending lab.Tables
	head    json.RawMessage // nil: nothing new
	sealed  bool

	file    sync.Mutex // held while the run file is written
	batches int        // written so far; guarded by file
	kept    lab.Tables // what Tables gave last, which Seal needs once more; guarded by file
	keptOf  int        // the batches in it; 0: nothing is kept
}

// Begin makes the run's file. From here on a crash leaves a trace that the next Open marks.
func (db *DB) Begin(run lab.Run) (*Writer, error) {
	if !plainName(run.ID) {
		return nil, fmt.Errorf("begin run %q: the id is no file name", run.ID)
	}
	if _, err := os.Stat(db.runFile(run.ID)); err == nil {
		return nil, fmt.Errorf("begin run %s: it exists already", run.ID)
	}
	h := head{lab.Sealed{Run: run}, self()}
	if err := create(db.runFile(run.ID), h.begin); err != nil {
		return nil, fmt.Errorf("begin run %s: %w", run.ID, err)
	}
	if err := db.remember(run, lab.Summary{}); err != nil {
		os.Remove(db.runFile(run.ID)) // nothing is in it yet
		return nil, fmt.Errorf("begin run %s: %w", run.ID, err)
	}
	w := &Writer{db: db, id: run.ID, owner: h.Owner, stop: make(chan struct{}), done: make(chan struct{})}
	w.end = sync.OnceFunc(func() {
		close(w.stop)
		<-w.done
	})
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

// Update replaces what is known of the run itself. It keeps nothing of its argument, which the caller goes on changing.
func (w *Writer) Update(run lab.Run) {
	text, err := json.Marshal(head{lab.Sealed{Run: run}, w.owner})
	if err != nil {
		return // a value without a JSON form; Seal gets it too and says so
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.head = text
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
			// A reader may hold the file, the disk may be full: all of it stays pending until the next tick, and at the
			// latest Seal or Close say so.
			_ = w.flush(flushEvery/4, besideLoad())
		}
	}
}

// besideLoad rests so that a load which shares the core is kept from it for a fraction of a millisecond at a time and not for as
// long as a batch takes, which can be ten: after each spell of work it sleeps, longer than it has worked. To yield would not do,
// for the scheduler looks at the network only when nothing can run.
func besideLoad() func() {
	const spell, sleep = 200 * time.Microsecond, time.Millisecond
	began := time.Now()
	return func() {
		if time.Since(began) >= spell {
			time.Sleep(sleep)
			began = time.Now()
		}
	}
}

// restless is for when the load has ended.
func restless() {}

// flush writes what has come in since the last one. What could not be written stays pending. Where the write succeeded
// and was only not confirmed, the next one has the same number and takes its place, so nothing is there twice.
func (w *Writer) flush(wait time.Duration, rest func()) error {
	w.file.Lock()
	defer w.file.Unlock()
	w.mu.Lock()
	pending, head, sealed := w.pending, w.head, w.sealed
	w.pending, w.head = lab.Tables{}, nil
	w.mu.Unlock()
	if sealed || empty(pending) && head == nil {
		return nil
	}
	err := w.write(pending, head, wait, rest)
	if err != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.pending = join(pending, w.pending)
		if w.head == nil {
			w.head = head
		}
		return fmt.Errorf("record run %s: %w", w.id, err)
	}
	w.batches++
	return nil
}

func (w *Writer) write(t lab.Tables, head json.RawMessage, wait time.Duration, rest func()) error {
	b, err := encode(t, quick(rest))
	if err != nil {
		return err
	}
	return change(w.db.runFile(w.id), wait, false, func(tx *bbolt.Tx) error {
		if head != nil {
			if err := put(tx, "meta", "head", head); err != nil {
				return err
			}
		}
		return putBatch(tx, w.batches, b)
	})
}

func empty(t lab.Tables) bool {
	return len(t.Requests)+len(t.Samples)+len(t.Events)+len(t.Log) == 0
}

// Tables writes what is pending and reads back everything recorded so far. It is for reading: Seal stores the same.
func (w *Writer) Tables() (lab.Tables, error) {
	if err := w.flush(lockWait, restless); err != nil {
		return lab.Tables{}, err
	}
	w.file.Lock()
	defer w.file.Unlock()
	if w.keptOf > 0 && w.keptOf == w.batches {
		return w.kept, nil
	}
	t, err := w.db.Tables(w.id)
	if err != nil {
		return lab.Tables{}, err
	}
	w.kept, w.keptOf = t, w.batches
	return t, nil
}

// Seal ends the recording: every table becomes one value of a new file, which takes the place of the live one when it is
// whole and on the disk. After an error the live one is still there, and Seal can be tried again. What comes in while it
// works, or later, is dropped.
func (w *Writer) Seal(run lab.Run, s lab.Summary) error {
	if run.ID != w.id || run.Outcome == lab.Live || run.Outcome == "" {
		return fmt.Errorf("seal run %s: it is run %s with outcome %q, and must be the ended one", w.id, run.ID, run.Outcome)
	}
	w.end()
	tables, err := w.Tables()
	if err != nil {
		return fmt.Errorf("seal run %s: %w", w.id, err)
	}
	if err := w.compact(run, s, tables); err != nil {
		return fmt.Errorf("seal run %s: %w", w.id, err)
	}
	if err := w.db.remember(run, s); err != nil {
		return fmt.Errorf("seal run %s: it is sealed, but: %w", w.id, err)
	}
	return nil
}

// compact writes the sealed file in the place of the live one.
func (w *Writer) compact(run lab.Run, s lab.Summary, t lab.Tables) error {
	w.file.Lock()
	defer w.file.Unlock()
	w.mu.Lock()
	sealed := w.sealed
	w.mu.Unlock()
	if sealed {
		return errors.New("it is sealed already")
	}
	b, err := encode(t, dense())
	if err != nil {
		return err
	}
	h := head{Sealed: lab.Sealed{Run: run, Summary: s}}
	err = create(w.db.runFile(w.id), func(tx *bbolt.Tx) error {
		return errors.Join(h.begin(tx), putBatch(tx, 0, b))
	})
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sealed, w.pending = true, lab.Tables{}
	w.kept, w.keptOf = lab.Tables{}, 0
	return nil
}

// Close writes what is pending and leaves the run as it is, live without anyone who records it: an Open after the end of
// this process marks it. After Seal it does nothing.
func (w *Writer) Close() error {
	w.end()
	return w.flush(lockWait, restless)
}
