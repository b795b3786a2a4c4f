package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"lab/internal/lab"
	"lab/internal/web"
	"lab/store"
)

// manyRuns fills a store with so many runs as lists see them: a line in the catalog and a file for each. The files are
// empty, since no list reads them; one that did would call them unreadable.
func manyRuns(tb testing.TB, dir string, n int) {
	tb.Helper()
	if _, err := store.Open(dir); err != nil {
		tb.Fatal(err)
	}
	catalog, err := bbolt.Open(filepath.Join(dir, "lab.db"), 0o600, nil)
	if err != nil {
		tb.Fatal(err)
	}
	defer catalog.Close()
	random := rand.New(rand.NewPCG(1, 2))
	models := []string{"Qwen/Qwen3-8B", "meta-llama/Llama-3.1-8B-Instruct", "mistralai/Mistral-7B-Instruct-v0.3"}
	began := time.Date(2026, 1, 1, 8, 0, 0, 0, time.UTC)
	err = catalog.Update(func(tx *bbolt.Tx) error {
		runs, err := tx.CreateBucketIfNotExists([]byte("runs"))
		if err != nil {
			return err
		}
		for i := range n {
			at := began.Add(time.Duration(i) * 40 * time.Minute)
			seqs := 1 << random.IntN(8)
			ttft := 0.02 + random.ExpFloat64()/20
			figure := func(metric string, v float64, unit string) lab.Figure {
				return lab.Figure{Phase: "load", Metric: metric, Value: v, Unit: unit, N: 1000, NEff: 800}
			}
			e := store.Entry{
				ID: fmt.Sprintf("%s-%04d", at.Format("20060102-150405"), i%10000), Name: fmt.Sprintf("seqs-%d", seqs), Model: models[random.IntN(len(models))],
				Outcome: lab.Complete, Valid: random.IntN(20) > 0, Started: at, Took: time.Duration(60+random.IntN(600)) * time.Second, Key: fmt.Sprintf("%016x", seqs),
				Headline: []lab.Figure{figure("ttft.mean", ttft, "s"), figure("tpot.mean", ttft/10, "s"), figure("output_throughput", 100/ttft, "tok/s")},
			}
			switch {
			case i%50 == 49:
				e.Outcome, e.Valid, e.Headline = lab.Failed, false, nil
			case i%9 == 0:
				e.Tags = []string{"nightly"}
			}
			text, err := json.Marshal(e)
			if err != nil {
				return err
			}
			table := crc32.MakeTable(crc32.Castagnoli)
			sum := crc32.Update(crc32.Checksum([]byte(e.ID), table), table, text)
			if err := runs.Put([]byte(e.ID), append(binary.BigEndian.AppendUint32(nil, sum), text...)); err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(dir, "runs", e.ID+".db"), nil, 0o600); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
}

// What lab ui does for the list of 10 000 runs: from its start to the first page; again after a run has ended; for a letter typed.
func BenchmarkTenThousandRuns(b *testing.B) {
	dir := b.TempDir()
	manyRuns(b, dir, 10_000)
	ask := func(site *web.Site, path string) {
		r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, path, nil)
		r.Host = "localhost"
		w := httptest.NewRecorder()
		site.Handler().ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			b.Fatal(w.Code)
		}
	}
	open := func() *web.Site {
		db, err := store.Open(dir)
		if err != nil {
			b.Fatal(err)
		}
		site, err := web.New(web.Options{DB: db})
		if err != nil {
			b.Fatal(err)
		}
		return site
	}
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			ask(open(), "/")
		}
	})
	b.Run("again", func(b *testing.B) { // a run has ended since
		site := open()
		for i := 0; b.Loop(); i++ {
			if err := os.Chtimes(filepath.Join(dir, "runs"), time.Time{}, time.Unix(int64(i), 0)); err != nil {
				b.Fatal(err)
			}
			ask(site, "/")
		}
	})
	b.Run("letter", func(b *testing.B) {
		site := open()
		ask(site, "/")
		for b.Loop() {
			ask(site, "/?q=llama+nightly+ttft<30ms")
		}
	})
}
