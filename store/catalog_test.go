package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"lab/internal/lab"
)

// sealed records a short run.
func sealed(t *testing.T, db *DB, id string, change func(*lab.Run)) lab.Run {
	t.Helper()
	run := testRun()
	run.ID = id
	if change != nil {
		change(&run)
	}
	w := begin(t, db, run)
	w.Event(lab.Event{At: 1, Kind: lab.ServerStart})
	if err := w.Seal(w.ended(), testSummary()); err != nil {
		t.Fatal(err)
	}
	return w.ended()
}

func ids(t *testing.T, db *DB) []string {
	t.Helper()
	entries, err := db.List()
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, e := range entries {
		ids = append(ids, e.ID)
	}
	return ids
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAListLineIsWhatTheRunSays(t *testing.T) {
	db := open(t, t.TempDir())
	run := sealed(t, db, "20261123-140512-k3f9", nil)
	got, err := db.List()
	if err != nil {
		t.Fatal(err)
	}
	diff(t, []Entry{{
		ID: run.ID, Name: "seqs-32", Model: "/models/tiny", Arm: "B", PlanID: run.Plan.ID, Block: 1, Outcome: lab.Complete, Valid: true,
		Started: run.Epoch.Wall, Took: run.Ended, Headline: testSummary().Figures[:1], Key: run.Key, Tags: run.Tags,
	}}, got)
}

func TestAnEntryWhoseKeyIsOfAnEarlierFormulaIsReadAnew(t *testing.T) {
	db := open(t, t.TempDir())
	run := sealed(t, db, "20261123-140512-k3f9", nil)
	want, err := db.List()
	if err != nil {
		t.Fatal(err)
	}
	if err := db.changeCatalog(func(tx *bbolt.Tx) error {
		old := want[0]
		old.Key = ""
		return put(tx, "runs", run.ID, old)
	}); err != nil {
		t.Fatal(err)
	}
	got, err := db.List()
	if err != nil {
		t.Fatal(err)
	}
	diff(t, want, got)
	var kept Entry
	if err := db.viewCatalog(func(tx *bbolt.Tx) error { _, err := get(tx, "runs", run.ID, &kept); return err }); err != nil || kept.Key != run.Experiment.Key() {
		t.Errorf("the catalog holds key %q, %v", kept.Key, err)
	}
}

func TestTheListFollowsTheFiles(t *testing.T) {
	db, other := open(t, t.TempDir()), open(t, t.TempDir())
	const first, second, third = "20261123-140000-aaaa", "20261123-140001-aaaa", "20261123-140002-aaaa"
	sealed(t, db, first, nil)
	sealed(t, db, third, nil)
	copied := sealed(t, other, second, func(run *lab.Run) { run.Plan.ID = "20261123-135959-othr" })

	copyFile(t, other.runFile(second), db.runFile(second))
	diff(t, []string{first, second, third}, ids(t, db))
	plan, err := db.ResolvePlan(copied.Plan.ID) // came with the run
	if err != nil {
		t.Fatal(err)
	}
	diff(t, *copied.Plan, plan)

	if err := os.Remove(db.runFile(first)); err != nil {
		t.Fatal(err)
	}
	diff(t, []string{second, third}, ids(t, db))

	want, _ := db.List()
	if err := os.Remove(db.catalog()); err != nil {
		t.Fatal(err)
	}
	diff(t, []string{second, third}, ids(t, db)) // without a catalog, at once
	if err := os.WriteFile(db.catalog(), []byte(strings.Repeat("no catalog ", 4000)), 0o600); err != nil {
		t.Fatal(err)
	}
	db = open(t, db.dir) // puts the foreign file aside
	got, _ := db.List()
	diff(t, want, got)
	plans, err := db.Plans()
	if err != nil {
		t.Fatal(err)
	}
	if len(plans) != 2 {
		t.Errorf("%d plans after the catalog was made anew, want 2", len(plans))
	}
}

func TestASealThatMissedTheCatalogIsListedAsSealed(t *testing.T) {
	db := open(t, t.TempDir())
	w := begin(t, db, testRun())
	if err := w.compact(w.ended(), testSummary(), lab.Tables{}); err != nil { // and then a kill
		t.Fatal(err)
	}
	entries, err := db.List()
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Outcome != lab.Complete || len(entries[0].Headline) != 1 {
		t.Errorf("listed as %+v", entries)
	}
}

func TestADamagedFileIsNamedAndHidesNoOther(t *testing.T) {
	db := open(t, t.TempDir())
	good := sealed(t, db, "20261123-140000-good", nil).ID
	bad := sealed(t, db, "20261123-140001-badd", nil).ID
	whole, err := os.ReadFile(db.runFile(bad))
	if err != nil {
		t.Fatal(err)
	}
	want, err := db.Tables(bad)
	if err != nil {
		t.Fatal(err)
	}
	try := func(what string, content []byte) (err error) {
		t.Helper()
		if err := os.WriteFile(db.runFile(bad), content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := db.Rebuild(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		diff(t, []string{good, bad}, ids(t, db))
		got, err := db.Tables(bad)
		if err == nil {
			_, err = db.Sealed(bad)
			diff(t, want, got) // what is read is right
		}
		if err != nil && !strings.Contains(err.Error(), bad+".db") {
			t.Errorf("%s: the error does not name the file: %v", what, err)
		}
		return err
	}
	for size := 0; size < len(whole)-4096; size += 1024 {
		if err := try(fmt.Sprint("cut to ", size), whole[:size]); err == nil && size < 4096 {
			t.Errorf("cut to %d bytes: read without an error", size)
		}
	}
	for at := 0; at < len(whole); at += 97 {
		flipped := slices.Clone(whole)
		flipped[at] ^= 0x55
		_ = try(fmt.Sprint("flipped at ", at), flipped)
	}
	entries, _ := db.List()
	if err := try("cut", whole[:5000]); err == nil {
		t.Error("a file of 5000 bytes was read")
	}
	if entries, _ = db.List(); entries[1].Problem == "" || entries[0].Problem != "" {
		t.Errorf("problems: %q, %q", entries[0].Problem, entries[1].Problem)
	}
	if err := try("put back", whole); err != nil { // a problem is not remembered
		t.Error(err)
	}
	if err := os.WriteFile(db.runFile(bad), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := db.Remove(bad); err != nil {
		t.Errorf("a damaged run cannot be removed: %v", err)
	}
}

func TestAFileOfANewerLabIsRefused(t *testing.T) {
	db := open(t, t.TempDir())
	id := sealed(t, db, "20261123-140000-aaaa", nil).ID
	newer := func(tx *bbolt.Tx) error { return put(tx, "meta", "schema", schema+1) }
	if err := change(db.runFile(id), lockWait, false, newer); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Tables(id); err == nil || !strings.Contains(err.Error(), "newer lab") {
		t.Errorf("run: %v", err)
	}
	if err := change(db.catalog(), lockWait, false, newer); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(db.dir); err == nil || !strings.Contains(err.Error(), "newer lab") {
		t.Errorf("catalog: %v", err)
	}
	if err := os.Remove(db.catalog()); err != nil { // for the check at the end
		t.Fatal(err)
	}
}

func TestReferencesAreIDsPrefixesAndTheLast(t *testing.T) {
	db := open(t, t.TempDir())
	day := time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC)
	// The second run of one second has the smaller noise: the clock decides which is the last.
	for i, id := range []string{"20261123-140000-zzzz", "20261123-140000-aaaa", "20261124-090000-mmmm"} {
		sealed(t, db, id, func(run *lab.Run) {
			run.Epoch.Wall = day.Add(time.Duration(i) * time.Millisecond)
			run.Plan.ID, run.Plan.Made = id[:15]+"-p"+id[16:], run.Epoch.Wall
		})
	}
	for ref, want := range map[string]string{
		"20261123-140000-zzzz": "20261123-140000-zzzz", "20261124": "20261124-090000-mmmm", "20261123-140000-a": "20261123-140000-aaaa",
		"@last": "20261124-090000-mmmm", "@last~0": "20261124-090000-mmmm", "@last~1": "20261123-140000-aaaa", "@last~2": "20261123-140000-zzzz",
	} {
		if got, err := db.Resolve(ref); err != nil || got != want {
			t.Errorf("Resolve(%q) = %q, %v; want %q", ref, got, err, want)
		}
	}
	for _, ref := range []string{"", "2027", "@last~3", "@last~-1", "@last~x", "@last1", "@first", "../lab", "20261123-140000-zzzz0"} {
		var unknown *RefError
		if id, err := db.Resolve(ref); !errors.As(err, &unknown) || len(unknown.Candidates) > 0 {
			t.Errorf("Resolve(%q) = %q, %v; want an error that says it is unknown", ref, id, err)
		}
	}
	var ambiguous *RefError
	_, err := db.Resolve("20261123")
	if !errors.As(err, &ambiguous) {
		t.Fatalf("ambiguous: %v", err)
	}
	diff(t, []string{"20261123-140000-aaaa", "20261123-140000-zzzz"}, ambiguous.Candidates)
	if plan, err := db.ResolvePlan("@last~1"); err != nil || plan.ID != "20261123-140000-paaaa" {
		t.Errorf("the plan before the last is %q, %v", plan.ID, err)
	}
}

func TestThePlanOfAnABFindsItsRunsInTheirOrder(t *testing.T) {
	db := open(t, t.TempDir())
	plan := *testRun().Plan
	if err := db.SavePlan(plan); err != nil {
		t.Fatal(err)
	}
	var want []string
	for i, noise := range []string{"zzzz", "yyyy", "xxxx"} {
		run := sealed(t, db, "20261123-140000-"+noise, func(run *lab.Run) {
			run.Epoch.Wall, run.Block = plan.Made.Add(time.Duration(i)), i // the first one is the burn-in
		})
		if i > 0 {
			want = append(want, run.ID)
		}
	}
	sealed(t, db, "20261123-140000-else", func(run *lab.Run) { run.Plan = nil })
	runs, err := db.PlanRuns(plan.ID)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range runs {
		got = append(got, s.Run.ID)
		diff(t, testSummary(), s.Summary)
	}
	diff(t, want, got)
}

func TestARemovedRunLeavesNothing(t *testing.T) {
	db := open(t, t.TempDir())
	a, b := sealed(t, db, "20261123-140000-aaaa", nil), sealed(t, db, "20261123-140001-bbbb", nil)
	if err := os.MkdirAll(db.RunDir(a.ID), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(db.RunDir(a.ID), "trace.json.gz"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := db.Remove(a.ID); err != nil {
		t.Fatal(err)
	}
	left, _ := filepath.Glob(filepath.Join(db.runsDir(), a.ID+"*"))
	if len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	diff(t, []string{b.ID}, ids(t, db))
	if _, err := db.ResolvePlan(b.Plan.ID); err != nil {
		t.Errorf("the plan went with the first of its two runs: %v", err)
	}
	if err := db.Remove(b.ID); err != nil {
		t.Fatal(err)
	}
	if plans, _ := db.Plans(); len(plans) > 0 {
		t.Errorf("the plan outlives its runs: %v", plans)
	}
	for _, id := range []string{a.ID, "", ".", "..", "../runs", "a/b"} {
		if err := db.Remove(id); !errors.As(err, new(*RefError)) {
			t.Errorf("Remove(%q): %v", id, err)
		}
	}
	if _, err := os.Stat(db.runsDir()); err != nil {
		t.Error(err)
	}
	w := begin(t, db, testRun())
	if err := db.Remove(w.id); err == nil {
		t.Error("a run was removed while it is recorded")
	}
}

func TestAHalfWrittenFileOfLongAgoIsSweptAway(t *testing.T) {
	db := open(t, t.TempDir())
	old, young := db.runFile("20261123-140000-aaaa")+unfinished, db.runFile("20261123-140000-bbbb")+unfinished
	for _, name := range []string{old, young} {
		if err := os.WriteFile(name, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(old, time.Time{}, time.Now().Add(-2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	open(t, db.dir)
	left, _ := filepath.Glob(filepath.Join(db.runsDir(), "*"))
	diff(t, []string{young}, left)
	if got := ids(t, db); len(got) > 0 {
		t.Errorf("listed: %q", got)
	}
}

func TestTheFolderOfTheRecordsIsWhereTheUserSaysItIs(t *testing.T) {
	for _, c := range []struct{ lab, data, home, want string }{
		{"/a", "/b", "/c", "/a"},
		{"", "/b", "/c", "/b/lab"},
		{"", "relative", "/c", "/c/.local/share/lab"},
		{"", "", "/c", "/c/.local/share/lab"},
		{"", "", "", ""},
	} {
		env := map[string]string{"LAB_DIR": c.lab, "XDG_DATA_HOME": c.data, "HOME": c.home}
		got, err := DefaultDir(func(name string) string { return env[name] })
		if got != c.want || (err != nil) != (c.want == "") {
			t.Errorf("%v gives %q, %v", c, got, err)
		}
	}
}
