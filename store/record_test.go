package store

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"lab/internal/lab"
)

func record(w recording, t lab.Tables) {
	for _, r := range t.Requests {
		w.Request(r)
	}
	for _, s := range t.Samples {
		w.Sample(s)
	}
	for _, e := range t.Events {
		w.Event(e)
	}
	for _, l := range t.Log {
		w.Log(l)
	}
}

func TestWhatIsWrittenIsReadBackEqual(t *testing.T) {
	db := open(t, t.TempDir())
	for seed := range uint64(rounds(25)) {
		rng := rand.New(rand.NewPCG(seed, 0))
		w := begin(t, db, testRun())
		var want lab.Tables
		for range rng.IntN(4) { // batches
			batch := anyTables(rng)
			record(w, batch)
			want = join(want, batch)
			if err := w.flush(lockWait, restless); err != nil {
				t.Fatal(err)
			}
		}
		rest := anyTables(rng)
		record(w, rest)
		want = join(want, rest)

		got, err := w.Tables()
		if err != nil {
			t.Fatal(err)
		}
		diff(t, want, got)
		sealed := lab.Sealed{Run: w.ended(), Summary: testSummary()}
		if err := w.Seal(sealed.Run, sealed.Summary); err != nil {
			t.Fatal(err)
		}
		if got, err = db.Tables(sealed.Run.ID); err != nil {
			t.Fatal(err)
		}
		diff(t, want, got)
		again, err := db.Sealed(sealed.Run.ID)
		if err != nil {
			t.Fatal(err)
		}
		diff(t, sealed, again)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func TestWhatComesAfterTheTablesWereReadIsSealedToo(t *testing.T) {
	db := open(t, t.TempDir())
	w := begin(t, db, testRun())
	rng := rand.New(rand.NewPCG(1, 0))
	var want lab.Tables
	for range 2 {
		batch := anyTables(rng)
		batch.Events = append(batch.Events, lab.Event{At: time.Second, Kind: lab.LoadStart})
		record(w, batch)
		want = join(want, batch)
		got, err := w.Tables()
		if err != nil {
			t.Fatal(err)
		}
		diff(t, want, got)
	}
	last := lab.Event{At: 2 * time.Second, Kind: lab.LoadEnd}
	w.Event(last)
	want.Events = append(want.Events, last)
	run := w.ended()
	if err := w.Seal(run, testSummary()); err != nil {
		t.Fatal(err)
	}
	got, err := db.Tables(run.ID)
	if err != nil {
		t.Fatal(err)
	}
	diff(t, want, got)
}

func TestALiveRunReadsTheSameAsTheSealedOne(t *testing.T) {
	db := open(t, t.TempDir())
	w := begin(t, db, testRun())
	w.Request(lab.RequestRecord{ // no whole microseconds
		Chunks: []lab.Chunk{{At: 1_234_567_891}, {At: 1_234_999_999}},
		Empty:  []time.Duration{1_234_560_001, 1_234_999_999}, Text: "said",
	})
	w.Log(lab.LogLine{At: 1, Text: "cut \xff here"})
	live, err := w.Tables()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Seal(w.ended(), lab.Summary{}); err != nil {
		t.Fatal(err)
	}
	sealed, err := db.Tables(w.id)
	if err != nil {
		t.Fatal(err)
	}
	diff(t, live, sealed)
	diff(t, []lab.Chunk{{At: 1_234_567_000}, {At: 1_234_999_000}}, sealed.Requests[0].Chunks)
	diff(t, []time.Duration{1_234_560_000, 1_234_999_000}, sealed.Requests[0].Empty)
	diff(t, "said", sealed.Requests[0].Text)
	diff(t, "cut \uFFFD here", sealed.Log[0].Text)
}

func TestALiveRunIsReadWhileItIsRecorded(t *testing.T) {
	db := open(t, t.TempDir())
	w := begin(t, db, testRun())
	run := w.begun
	run.Server.Resolved = map[string]string{"num_gpu_blocks": "1024"}
	w.Update(run)
	run.Server.Resolved["num_gpu_blocks"] = "changed by its owner after the call"
	w.Event(lab.Event{At: 1, Kind: lab.LoadStart})
	deadline := time.Now().Add(lockWait) // the flusher, not the test, writes
	for {
		tables, err := db.Tables(run.ID)
		if err != nil {
			t.Fatal(err)
		}
		if len(tables.Events) == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the event did not reach the file")
		}
		time.Sleep(10 * time.Millisecond)
	}
	got, err := runOf(db, run.ID)
	if err != nil {
		t.Fatal(err)
	}
	diff(t, map[string]string{"num_gpu_blocks": "1024"}, got.Server.Resolved)
	if got.Outcome != lab.Live {
		t.Errorf("outcome %q while its process lives", got.Outcome)
	}
	if _, err := Open(db.dir); err != nil { // another lab starts
		t.Fatal(err)
	}
	if got, _ = runOf(db, run.ID); got.Outcome != lab.Live {
		t.Errorf("another start made the live run %q", got.Outcome)
	}
}

func TestAReaderOfTheFileCostsNoRecord(t *testing.T) {
	db := open(t, t.TempDir())
	w := begin(t, db, testRun())
	reader, err := bbolt.Open(db.runFile(w.id), 0o600, &bbolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		w.Event(lab.Event{At: time.Duration(i + 1)})
		if err := w.flush(time.Millisecond, restless); !errors.Is(err, berrors.ErrTimeout) {
			t.Fatalf("flush beside a reader: %v, want a timeout", err)
		}
	}
	if err := reader.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := w.Tables()
	if err != nil {
		t.Fatal(err)
	}
	diff(t, []lab.Event{{At: 1}, {At: 2}, {At: 3}}, got.Events)
}

func TestASealIsTheEndOfTheWriter(t *testing.T) {
	db := open(t, t.TempDir())
	w := begin(t, db, testRun())
	if err := w.Seal(w.begun, lab.Summary{}); err == nil {
		t.Error("a run that is still live was sealed")
	}
	w.Event(lab.Event{At: 1})
	if err := w.Seal(w.ended(), testSummary()); err != nil {
		t.Fatal(err)
	}
	w.Event(lab.Event{At: 2})
	w.Update(w.begun)
	if err := w.Seal(w.ended(), lab.Summary{}); err == nil {
		t.Error("a run was sealed twice")
	}
	for range 2 {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
	got, err := db.Tables(w.id)
	if err != nil {
		t.Fatal(err)
	}
	diff(t, []lab.Event{{At: 1}}, got.Events)
	if run, _ := runOf(db, w.id); run.Outcome != lab.Complete {
		t.Errorf("the sealed run is %q", run.Outcome)
	}
}

func TestARunThatWasSetAsideKeepsWhatItHad(t *testing.T) {
	db := open(t, t.TempDir())
	w := begin(t, db, testRun())
	w.Log(lab.LogLine{At: 1, Text: "the last line"})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := db.Tables(w.id)
	if err != nil {
		t.Fatal(err)
	}
	diff(t, []lab.LogLine{{At: 1, Text: "the last line"}}, got.Log)
}

func TestOnlyTheOwnerCanReadTheRecords(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "lab")
	db := open(t, dir)
	w := begin(t, db, testRun())
	if err := w.Seal(w.ended(), lab.Summary{}); err != nil {
		t.Fatal(err)
	}
	err := filepath.Walk(dir, func(name string, info os.FileInfo, err error) error {
		want := fs.FileMode(0o600)
		if info.IsDir() {
			want = 0o700
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v", name, info.Mode().Perm(), want)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
