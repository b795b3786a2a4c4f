package store

import (
	"math"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"lab/internal/lab"
)

// open gives a store whose every run is read again at the end of the test.
func open(tb testing.TB, dir string) *DB {
	tb.Helper()
	db, err := Open(dir)
	if err != nil {
		tb.Fatal(err)
	}
	if tb, test := tb.(*testing.T); test {
		tb.Cleanup(func() { readAll(tb, db) })
	}
	return db
}

func readAll(t *testing.T, db *DB) {
	entries, err := db.List()
	if err != nil {
		t.Error(err)
	}
	for _, e := range entries {
		if e.Problem != "" { // the test's own doing
			continue
		}
		if _, err := db.Tables(e.ID); err != nil {
			t.Error(err)
		}
	}
}

// recording is a writer with the run it began.
type recording struct {
	*Writer
	begun lab.Run
}

func begin(tb testing.TB, db *DB, run lab.Run) recording {
	tb.Helper()
	w, err := db.Begin(run)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := w.Close(); err != nil && !tb.Failed() {
			if _, statErr := os.Stat(db.runFile(run.ID)); statErr == nil {
				tb.Error(err)
			}
		}
	})
	return recording{w, run}
}

// ended is the run as its maker hands it to Seal.
func (r recording) ended() lab.Run {
	run := r.begun
	run.Outcome, run.Ended = lab.Complete, 42*time.Second
	return run
}

func testRun() lab.Run {
	seqs, eager := 32, false
	e := lab.Experiment{
		Name: "seqs-32",
		Server: lab.Server{Model: "/models/tiny", MaxNumSeqs: &seqs, Eager: &eager,
			Args: map[string]any{"seed": 7.0, "hf-overrides": map[string]any{"a": []any{"b", 1.5, nil}}}},
		Phases: []lab.Phase{{Name: "steady", Judged: true, Load: lab.Load{Rate: lab.Number(math.Inf(1)), Requests: 100, API: "chat"}}},
	}
	epoch := lab.NewEpoch()
	return lab.Run{
		ID: lab.NewID(epoch.Wall), Experiment: e, Key: e.Key(), Epoch: epoch, Lab: "v0", Outcome: lab.Live, Tags: []string{"baseline/main"},
		Host: lab.Host{Name: "box", Cores: 2, Memory: 16 << 30}, Arm: "B", Block: 1, Slot: 1,
		Plan: &lab.Plan{ID: "20261123-140000-plan", Made: epoch.Wall, Order: "ABBA", Pairs: 2, A: e, B: e},
	}
}

func testSummary() lab.Summary {
	return lab.Summary{Definitions: 1,
		Figures: []lab.Figure{
			{Phase: "steady", Metric: "tpot.mean", Value: 0.0201, Unit: "s", N: 100},
			{Phase: "steady", Metric: "gpu.power", Value: 312, Unit: "W", N: 5},
		},
		Phases: []lab.Tally{{Phase: "steady", Judged: true, Start: time.Second, End: 41 * time.Second, Offered: 100, OK: 99, Errors: map[string]int{lab.ErrCut: 1}}}}
}

// rounds is how often a test repeats itself: less under the race detector, which makes Parquet thirty times as slow.
func rounds(n int) int {
	if raceDetector {
		return n / 4
	}
	return n
}

func diff(t *testing.T, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got, cmpopts.EquateNaNs()); d != "" {
		t.Errorf("what is read differs from what was written (-written +read):\n%s", d)
	}
}

// anyTables are random records, each field absent as often as not.
func anyTables(rng *rand.Rand) lab.Tables {
	maybe := func() bool { return rng.IntN(2) == 0 }
	number := func() int {
		if maybe() {
			return 0
		}
		return rng.IntN(1 << rng.IntN(31))
	}
	moment := func() time.Duration {
		if maybe() {
			return 0
		}
		return time.Duration(rng.Int64N(1 << (1 + rng.IntN(60))))
	}
	text := func() string {
		return []string{"", "", "stop", "größer", "a\x00b", "\n", `{"error": "x"}`, "日本語"}[rng.IntN(8)]
	}
	var t lab.Tables
	for range rng.IntN(20) {
		r := lab.RequestRecord{Seq: number(), Phase: text(), Prompt: rng.Uint64(), Answer: rng.Uint64() >> (rng.IntN(2) * 64), Intended: moment(), Sent: moment(),
			Connected: moment(), Written: moment(), FirstByte: moment(), Done: moment(), WantInput: number(), WantOutput: number(),
			Finish: text(), Status: number(), Error: text(), Detail: text()}
		for range rng.IntN(5) {
			r.Chunks = append(r.Chunks, lab.Chunk{At: moment().Truncate(time.Microsecond), Tokens: number()})
		}
		if maybe() {
			r.Usage = &lab.Usage{Input: number(), Output: number(), Cached: number()}
		}
		if maybe() {
			r.Stamps = &lab.Stamps{Kernel: 1 + number(), Reading: number(), Shared: number()}
			for range rng.IntN(9) {
				r.Stamps.Lag.Add(moment())
			}
		}
		t.Requests = append(t.Requests, r)
	}
	for range rng.IntN(20) {
		s := lab.Sample{At: moment(), Took: moment(), Device: text(), Error: text()}
		for range rng.IntN(4) {
			if s.Values == nil {
				s.Values = map[string]float64{}
			}
			s.Values[string(rune('a'+rng.IntN(6)))] = []float64{0, math.Copysign(0, -1), math.NaN(), math.Inf(1), rng.NormFloat64(), 1 << 53}[rng.IntN(6)]
		}
		t.Samples = append(t.Samples, s)
	}
	for range rng.IntN(5) {
		t.Events = append(t.Events, lab.Event{At: moment(), Kind: lab.EventKind(text()), Detail: text()})
	}
	for range rng.IntN(5) {
		t.Log = append(t.Log, lab.LogLine{At: moment(), Stderr: maybe(), Text: text()})
	}
	return t
}

func runOf(db *DB, id string) (lab.Run, error) {
	s, err := db.Sealed(id)
	return s.Run, err
}

func summaryOf(db *DB, id string) (lab.Summary, error) {
	s, err := db.Sealed(id)
	return s.Summary, err
}
