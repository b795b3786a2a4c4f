package store

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// FuzzStoredTable takes the way of a table from the file. The Parquet reader believes what it reads, sizes too; the
// checksum keeps damaged bytes from it.
func FuzzStoredTable(f *testing.F) {
	for seed, c := range []compression{dense(), quick(restless), dense()} {
		b, err := encode(anyTables(rand.New(rand.NewPCG(uint64(seed), 1))), c)
		if err != nil {
			f.Fatal(err)
		}
		for _, table := range []string{"samples", "log", "chunks"} {
			f.Add(table, append(checksum("000000000/"+table, b[table]), b[table]...))
		}
	}
	f.Add("samples", []byte("PAR1"))
	f.Add("", checksum("", nil))
	f.Fuzz(func(t *testing.T, table string, stored []byte) {
		value, err := content("000000000/"+table, stored)
		if err != nil {
			return
		}
		if _, err := (batch{table: value}).decode(); err != nil && len(value) > 0 {
			t.Errorf("a whole table cannot be read: %v", err)
		}
	})
}

// FuzzRows joins tables that do not fit together.
func FuzzRows(f *testing.F) {
	f.Add(int64(2), int64(1), int64(1_000_000), int64(20_000), uint8(3))
	f.Add(int64(-1), int64(0), int64(0), int64(0), uint8(0))
	f.Add(int64(1)<<62, int64(1)<<62, int64(0), int64(-5), uint8(200))
	f.Fuzz(func(t *testing.T, first, second, at, gap int64, chunks uint8) {
		rows := []requestRow{{Seq: 1, Chunks: first, FirstChunk: at}, {Seq: 2, Chunks: second}}
		records, err := joinRequests(rows, make([]chunkRow, chunks))
		if fits := first >= 0 && second >= 0 && first <= int64(chunks) && second <= int64(chunks)-first; fits != (err == nil) {
			t.Errorf("%d and %d chunks of %d: %v", first, second, chunks, err)
		}
		if err == nil && (len(records) != 2 || int64(len(records[0].Chunks)) != first || int64(len(records[1].Chunks)) != second) {
			t.Errorf("joined to %+v", records)
		}
		samples := gatherSamples([]sampleRow{{Sample: first, Metric: "a"}, {Sample: second}, {Sample: first, Metric: "b", At: gap}})
		if len(samples) == 0 {
			t.Error("samples vanish")
		}
	})
}

func FuzzReference(f *testing.F) {
	for _, ref := range []string{"", "@last", "@last~1", "@last~18446744073709551615", "@last~-1", "2026", "20261123-140512-k3f9"} {
		f.Add(ref)
	}
	ids := []string{"20261123-140512-k3f9", "20261123-140513-a000", "20261124-140513-a000"}
	f.Fuzz(func(t *testing.T, ref string) {
		id, err := resolve(ref, "run", ids)
		if err == nil && !strings.HasPrefix(id, ref) && !strings.HasPrefix(ref, "@last") {
			t.Errorf("%q is %q", ref, id)
		}
	})
}

func FuzzStartTime(f *testing.F) {
	own, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		f.Fatal(err)
	}
	if parseStartTime(own) != startTime(os.Getpid()) || parseStartTime(own) == "" {
		f.Fatalf("own start time: %q", parseStartTime(own))
	}
	f.Add(own)
	f.Add([]byte("7 (a) Z 1 2) S 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 99 1"))
	f.Add([]byte("7 (gone) Z 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 99 1"))
	f.Fuzz(func(t *testing.T, stat []byte) {
		if got := parseStartTime(stat); strings.ContainsAny(got, " \n") {
			t.Errorf("%q", got)
		}
	})
}

func TestAPidThatIsUsedAgainIsNotTheOwner(t *testing.T) {
	o, file := self(), filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if !o.alive(file) {
		t.Fatal("this process counts as gone")
	}
	for _, other := range []owner{
		{},
		{PID: o.PID, Start: "1", Boot: o.Boot, Space: o.Space},
		{PID: o.PID, Start: o.Start, Boot: "another boot", Space: o.Space},
	} {
		if other.alive(file) {
			t.Errorf("%+v counts as alive", other)
		}
	}
	elsewhere := owner{PID: 7, Start: "1", Boot: o.Boot, Space: "pid:[1]"}
	if !elsewhere.alive(file) {
		t.Error("a process of another container that wrote just now counts as gone")
	}
	if err := os.Chtimes(file, time.Time{}, time.Now().Add(-2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if elsewhere.alive(file) || !o.alive(file) {
		t.Error("a process of another container that has not written for long counts as alive, or one of this as gone")
	}
	if got := parseStartTime([]byte("7 (a) Z 1 2) S 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 99 1")); got != "99" {
		t.Errorf("start time %q beside a name with a parenthesis", got)
	}
}
