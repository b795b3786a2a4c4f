package store

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"lab/internal/lab"
)

// bigRequests are as many records as a long run makes: each request with its stream of chunks, a gap of 20 ms with 1 ms
// of jitter.
func bigRequests(requests, chunks int) []lab.RequestRecord {
	rng := rand.New(rand.NewPCG(1, 2))
	records := make([]lab.RequestRecord, requests)
	for i := range records {
		at := time.Duration(i)*50*time.Millisecond + time.Duration(rng.ExpFloat64()*float64(50*time.Millisecond)) + time.Second
		r := lab.RequestRecord{Seq: i, Phase: "steady", Prompt: rng.Uint64(), Intended: at, WantInput: 512, WantOutput: chunks,
			Sent: at + jitter(rng, 50*time.Microsecond), Status: 200, Finish: "length",
			Usage: &lab.Usage{Input: 512, Output: chunks}, Chunks: make([]lab.Chunk, chunks)}
		r.Written = r.Sent + jitter(rng, 80*time.Microsecond)
		r.FirstByte = r.Written + jitter(rng, 90*time.Millisecond)
		at = r.FirstByte
		r.Stamps = &lab.Stamps{Kernel: chunks, Shared: rng.IntN(4)}
		for c := range r.Chunks {
			at += 20*time.Millisecond + time.Duration(rng.NormFloat64()*float64(time.Millisecond))
			r.Stamps.Lag.Add(15*time.Microsecond + jitter(rng, 40*time.Microsecond))
			r.Chunks[c] = lab.Chunk{At: at.Truncate(time.Microsecond), Tokens: 1}
		}
		r.Done = at + jitter(rng, 100*time.Microsecond)
		records[i] = r
	}
	return records
}

func jitter(rng *rand.Rand, mean time.Duration) time.Duration {
	return time.Duration(rng.ExpFloat64() * float64(mean))
}

// used is what du says of a folder.
func used(tb testing.TB, dir string) int64 {
	tb.Helper()
	var blocks int64
	err := filepath.Walk(dir, func(_ string, info os.FileInfo, err error) error {
		if err == nil {
			blocks += info.Sys().(*syscall.Stat_t).Blocks
		}
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return blocks * 512
}

func sealBig(tb testing.TB, db *DB, requests, chunks int) string {
	tb.Helper()
	w := begin(tb, db, testRun())
	for _, r := range bigRequests(requests, chunks) {
		w.Request(r)
	}
	run := w.ended()
	if err := w.Seal(run, testSummary()); err != nil {
		tb.Fatal(err)
	}
	return run.ID
}

func TestALongRunTakesSevenMegabytes(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector makes this ten times as long, and nothing in it is concurrent")
	}
	db := open(t, t.TempDir())
	id := sealBig(t, db, 10_000, 256)
	if size := used(t, db.runsDir()); size > 7_000_000 {
		t.Errorf("a sealed run of 10 000 requests with 256 chunks takes %d bytes, want at most 7 MB", size)
	} else {
		t.Logf("%.2f MB", float64(size)/1e6)
	}
	tables, err := db.Tables(id)
	if err != nil {
		t.Fatal(err)
	}
	diff(t, bigRequests(10_000, 256)[9_000:], tables.Requests[9_000:])
}

func BenchmarkShowOfALongRun(b *testing.B) {
	db := open(b, b.TempDir())
	id := sealBig(b, db, 10_000, 256)
	for b.Loop() {
		if _, err := runOf(db, id); err != nil {
			b.Fatal(err)
		}
		if _, err := summaryOf(db, id); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(used(b, db.runsDir()))/1e6, "MB")
}

func BenchmarkTablesOfALongRun(b *testing.B) {
	db := open(b, b.TempDir())
	id := sealBig(b, db, 10_000, 256)
	for b.Loop() {
		if _, err := db.Tables(id); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkListOfAThousandRuns(b *testing.B) {
	db := open(b, b.TempDir())
	for i := range 1000 {
		run := testRun()
		run.ID = fmt.Sprintf("20261123-%02d%02d%02d-%04x", i/3600, i/60%60, i%60, i)
		w := begin(b, db, run)
		if err := w.Seal(w.ended(), testSummary()); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if entries, err := db.List(); err != nil || len(entries) != 1000 {
			b.Fatal(len(entries), err)
		}
	}
	b.ReportMetric(float64(used(b, db.dir))/1000/1e3, "kB/run")
}

// BenchmarkSecondOfALoad is what one flush costs beside the load: a hundred requests with 256 chunks, a hundred samples.
func BenchmarkSecondOfALoad(b *testing.B) {
	w := begin(b, open(b, b.TempDir()), testRun())
	records := bigRequests(100, 256)
	for b.Loop() {
		for i, r := range records {
			w.Request(r)
			w.Sample(lab.Sample{At: time.Duration(i + 1), Device: "gpu0", Values: map[string]float64{lab.GPUPower: float64(i), lab.GPUUtil: 93}})
		}
		if err := w.flush(lockWait, restless); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(used(b, w.db.runsDir()))/float64(w.batches)/1e3, "kB/flush")
}

// BenchmarkFollowALiveRun is what it costs to begin to follow a run of 20 requests a second with 64 chunks, in its minutes 1, 10 and 120:
// its newest two minutes, as its page does, and its newest ten seconds.
func BenchmarkFollowALiveRun(b *testing.B) {
	w := begin(b, open(b, b.TempDir()), testRun())
	records := lab.Tables{Requests: bigRequests(20, 64)}
	for i := range 20 {
		records.Samples = append(records.Samples, lab.Sample{At: time.Duration(i + 1), Device: "gpu0", Values: map[string]float64{lab.GPUPower: float64(i), lab.GPUUtil: 93}})
	}
	second, err := encode(records, quick(restless))
	if err != nil {
		b.Fatal(err)
	}
	written := 0
	for _, minute := range []int{1, 10, 120} {
		err := change(w.db.runFile(w.id), lockWait, false, func(tx *bbolt.Tx) (err error) {
			for ; written < 60*minute && err == nil; written++ {
				err = putBatch(tx, written, second)
			}
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
		for _, most := range []int{120, 10} {
			b.Run(fmt.Sprintf("minute%d/newest%d", minute, most), func(b *testing.B) {
				for b.Loop() {
					if fresh, err := w.db.Since(w.id, 0, most); err != nil || len(fresh.Batches) != min(most, 60*minute) {
						b.Fatal(len(fresh.Batches), err)
					}
				}
			})
		}
	}
}

// BenchmarkFlushBesideALoad is how long the writing of a second's records keeps the load from the only core: how late
// something comes that is due every 200 µs, while 2 000 requests of 4 chunks are written, or 300 of 300.
func BenchmarkFlushBesideALoad(b *testing.B) {
	for _, load := range []struct{ requests, chunks int }{{2000, 4}, {300, 300}} {
		b.Run(fmt.Sprintf("%dx%d", load.requests, load.chunks), func(b *testing.B) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
			w := begin(b, open(b, b.TempDir()), testRun())
			defer w.Close()
			records := bigRequests(load.requests, load.chunks)
			stop, lateness := make(chan struct{}), make(chan []time.Duration)
			go watchLateness(stop, lateness)
			for b.Loop() {
				for _, r := range records {
					w.Request(r)
				}
				if err := w.flush(lockWait, besideLoad()); err != nil {
					b.Fatal(err)
				}
			}
			close(stop)
			late := <-lateness
			slices.Sort(late)
			b.ReportMetric(float64(late[len(late)/2])/1e6, "ms-late-p50")
			b.ReportMetric(float64(late[len(late)*9/10])/1e6, "ms-late-p90")
			b.ReportMetric(float64(late[len(late)-1])/1e6, "ms-late-max")
		})
	}
}

func watchLateness(stop <-chan struct{}, lateness chan<- []time.Duration) {
	var late []time.Duration
	for {
		select {
		case <-stop:
			lateness <- late
			return
		default:
		}
		due := time.Now().Add(200 * time.Microsecond)
		time.Sleep(time.Until(due))
		late = append(late, time.Since(due))
	}
}

// BenchmarkSealOfAnHour is what the end of a run of 3600 flushes costs, with ten requests of 256 chunks and a hundred
// samples in each.
func BenchmarkSealOfAnHour(b *testing.B) {
	db := open(b, b.TempDir())
	w := begin(b, db, testRun())
	records := bigRequests(10, 256)
	for second := range 3600 {
		for _, r := range records {
			w.Request(r)
		}
		for i := range 100 {
			w.Sample(lab.Sample{At: time.Duration(second*100 + i + 1), Device: "gpu0", Values: map[string]float64{lab.GPUPower: float64(i), lab.GPUUtil: 93}})
		}
		w.Log(lab.LogLine{At: time.Duration(second + 1), Text: "Avg generation throughput: 512.0 tokens/s, Running: 32 reqs"})
		if err := w.flush(lockWait, restless); err != nil {
			b.Fatal(err)
		}
	}
	live := float64(used(b, db.runsDir())) / 1e6
	for b.Loop() {
		tables, err := w.Tables()
		if err != nil {
			b.Fatal(err)
		}
		if _, err := encode(tables, dense()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(live, "MB-live")
}
