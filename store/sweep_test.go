package store

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lab/internal/lab"
)

func TestASweepIsKeptWithItsRunsAndGoesWithTheLastOfThem(t *testing.T) {
	db := open(t, t.TempDir())
	first := lab.Sweep{ID: "20261123-140512-k3f9", Made: time.Date(2026, 11, 23, 14, 5, 12, 0, time.UTC), Name: "first", Repeats: 1, Cells: []lab.Cell{{Name: "a"}, {Name: "b"}}}
	second := lab.Sweep{ID: "20261123-150000-aaaa", Made: first.Made.Add(time.Hour), Name: "second", Repeats: 1, Cells: []lab.Cell{{Name: "a"}}}
	for _, s := range []lab.Sweep{second, first} {
		if err := db.SaveSweep(s); err != nil {
			t.Fatal(err)
		}
	}
	for ref, want := range map[string]lab.Sweep{"@last": second, "@last~1": first, first.ID: first, "20261123-15": second} {
		got, err := db.ResolveSweep(ref)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v %s", ref, err, diff)
		}
	}
	for _, ref := range []string{"20261123", "@last~2", "nothing", ""} {
		if _, err := db.ResolveSweep(ref); !errors.As(err, new(*RefError)) || !strings.Contains(err.Error(), "sweep") {
			t.Errorf("%q: %v", ref, err)
		}
	}

	for i, at := range []lab.SweepPlace{first.Place(0, 1), second.Place(0, 1), first.Place(1, 1)} {
		w := begin(t, db, lab.Run{ID: first.ID[:14] + string(rune('1'+i)), Sweep: &at, Epoch: lab.NewEpoch()})
		w.begun.Outcome = lab.Complete
		if err := w.Seal(w.begun, lab.Summary{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Rebuild(); err != nil {
		t.Fatal(err)
	}
	entries, err := db.SweepEntries(first.ID)
	if err != nil || len(entries) != 2 || entries[1].Sweep.Cell != "b" {
		t.Fatalf("runs %+v, %v", entries, err)
	}
	again := first.Place(0, 1)
	for i, outcome := range []lab.Outcome{lab.Complete, lab.Failed} {
		w := begin(t, db, lab.Run{ID: first.ID[:14] + string(rune('4'+i)), Sweep: &again, Epoch: lab.NewEpoch()})
		w.begun.Outcome = outcome
		if err := w.Seal(w.begun, lab.Summary{}); err != nil {
			t.Fatal(err)
		}
	}
	done, err := db.SweepDone(first.ID)
	if err != nil || len(done) != 2 || done[0].Sweep.Cell != "b" || done[1].ID != first.ID[:14]+"4" {
		t.Fatalf("done %+v, %v", done, err)
	}
	if entries, err = db.SweepEntries(first.ID); err != nil || len(entries) != 4 {
		t.Fatalf("runs %+v, %v", entries, err)
	}
	for i, e := range entries {
		if _, err := db.ResolveSweep(first.ID); err != nil {
			t.Errorf("with %d runs left: %v", len(entries)-i, err)
		}
		if err := db.Remove(e.ID); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.ResolveSweep(first.ID); !errors.As(err, new(*RefError)) {
		t.Errorf("without a run: %v", err)
	}
}
