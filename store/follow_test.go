package store

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lab/internal/lab"
)

func TestALiveRunIsFollowedByWhatIsNewInIt(t *testing.T) {
	db := open(t, t.TempDir())
	w := begin(t, db, testRun())
	id := w.begun.ID
	flush := func() {
		t.Helper()
		if err := w.flush(time.Second, restless); err != nil {
			t.Fatal(err)
		}
	}
	since := func(batch int) Fresh {
		t.Helper()
		fresh, err := db.Since(id, batch, 100)
		if err != nil {
			t.Fatal(err)
		}
		return fresh
	}
	w.Request(lab.RequestRecord{Seq: 0, Done: time.Second})
	flush()
	w.Update(w.begun) // a flush without a record leaves no batch, but takes a number
	flush()
	w.Request(lab.RequestRecord{Seq: 1, Done: 2 * time.Second})
	flush()

	all := since(0)
	if len(all.Batches) != 2 || all.Batches[0].Requests[0].Seq != 0 || all.Batches[1].Requests[0].Seq != 1 {
		t.Fatalf("from the beginning there is %+v", all.Batches)
	}
	next := all.Batches[1].Number + 1
	if fresh := since(next); len(fresh.Batches) != 0 || fresh.Run.Run.Outcome != lab.Live {
		t.Errorf("nothing was recorded since, and there is %+v", fresh)
	}
	w.Request(lab.RequestRecord{Seq: 2, Done: 3 * time.Second})
	flush()
	if fresh := since(next); len(fresh.Batches) != 1 || fresh.Batches[0].Requests[0].Seq != 2 {
		t.Errorf("since batch %d there is %+v", next, fresh.Batches)
	}
	for _, c := range []struct{ from, most, first, n, whole int }{{0, 1, 2, 1, next}, {0, 2, 1, 2, 1}, {0, 3, 0, 3, 0}, {0, 4, 0, 3, 0}, {next, 2, 2, 1, next}, {next - 1, 1, 2, 1, next}, {next + 9, 3, 0, 0, next + 9}} {
		fresh, err := db.Since(id, c.from, c.most)
		if err != nil || len(fresh.Batches) != c.n || fresh.From != c.whole || c.n > 0 && fresh.Batches[0].Requests[0].Seq != c.first {
			t.Errorf("of the newest %d batches since %d there is %+v from %d on, %v", c.most, c.from, fresh.Batches, fresh.From, err)
		}
	}
	before := db.RunStamp(id)
	if err := w.Seal(w.ended(), lab.Summary{}); err != nil {
		t.Fatal(err)
	}
	if fresh := since(next); len(fresh.Batches) != 0 || fresh.Run.Run.Outcome != lab.Complete {
		t.Errorf("of a sealed run there is %+v", fresh)
	}
	if after := db.RunStamp(id); after == before || after == "" {
		t.Errorf("the stamp of the run was %q before the seal and is %q", before, after)
	}
}

func TestTheStampOfTheStoreChangesWithItsRunsOnly(t *testing.T) {
	db := open(t, t.TempDir())
	last := db.Stamp()
	changed := func(what string, want bool) {
		t.Helper()
		now := db.Stamp()
		if (now != last) != want {
			t.Errorf("%s: the stamp was %q and is %q", what, last, now)
		}
		last = now
		time.Sleep(20 * time.Millisecond) // clocks of file systems are coarse
	}
	changed("nothing", false)
	w := begin(t, db, testRun())
	changed("a run began", true)
	w.Request(lab.RequestRecord{Done: time.Second})
	if err := w.flush(time.Second, restless); err != nil {
		t.Fatal(err)
	}
	changed("a run recorded", false)
	if _, err := db.List(); err != nil {
		t.Fatal(err)
	}
	changed("somebody looked", false)
	if err := w.Seal(w.ended(), lab.Summary{}); err != nil {
		t.Fatal(err)
	}
	changed("a run ended", true)
	if err := db.Remove(w.begun.ID); err != nil {
		t.Fatal(err)
	}
	changed("a run was removed", true)
}

func TestAProcessTellsWhatItDoesUntilItIsGone(t *testing.T) {
	db := open(t, t.TempDir())
	if all := db.Announced(); len(all) != 0 {
		t.Fatalf("before anybody said anything there is %+v", all)
	}
	a := db.Announce("lab run a.yaml")
	await := func(stage string) Announcement {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			if all := db.Announced(); len(all) == 1 && all[0].Status.Stage == stage {
				return all[0]
			}
		}
		t.Fatalf("%q was never announced: %+v", stage, db.Announced())
		return Announcement{}
	}
	a.Say(lab.Status{Stage: "starting"})
	if got := await("starting"); got.PID != os.Getpid() || got.Command != "lab run a.yaml" {
		t.Errorf("announced is %+v", got)
	}
	for range 1000 { // of many the last is there, and nobody waits
		a.Say(lab.Status{Stage: "warm-up"})
	}
	a.Say(lab.Status{Stage: "load"})
	await("load")

	time.Sleep(2 * announceEvery) // until it has written all it had
	for name, kept := range db.announcements() {
		kept.Owner.Start = "1" // another process with this pid
		dead := &Announcer{name: name, owner: kept.Owner}
		if err := dead.put(lab.Status{Stage: "load"}); err != nil {
			t.Fatal(err)
		}
	}
	if all := db.Announced(); len(all) != 0 {
		t.Errorf("a process that is gone still does %+v", all)
	}
	if err := db.Recover(); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(db.liveDir()); len(left) != 0 {
		t.Errorf("what it left is still there: %v", left)
	}
}

func TestAnAnnouncementIsReadWholeWhileItIsWrittenOver(t *testing.T) {
	db := open(t, t.TempDir())
	a := db.Announce("lab run a.yaml")
	stop, done := make(chan struct{}), make(chan error)
	go func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			// of many lengths, each over several pages
			if err := a.put(lab.Status{Stage: strings.Repeat(string(rune('a'+n%26)), 1000*(n%20))}); err != nil {
				done <- err
				return
			}
		}
	}()
	read := 0
	for end := time.Now().Add(500 * time.Millisecond); time.Now().Before(end); {
		for _, seen := range db.Announced() {
			read++
			if stage := seen.Status.Stage; strings.Trim(stage, stage[:min(1, len(stage))]) != "" || len(stage)%1000 != 0 {
				t.Fatalf("two statuses were read as one: %.80q", stage)
			}
		}
	}
	close(stop)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if read == 0 {
		t.Error("nothing could be read")
	}
}

func BenchmarkAnnouncement(b *testing.B) {
	a := open(b, b.TempDir()).Announce("lab run a.yaml")
	for b.Loop() {
		if err := a.put(lab.Status{Stage: "load", Latencies: []lab.Latency{{}, {}, {}}}); err != nil {
			b.Fatal(err)
		}
	}
}

func TestWhatIsNoAnnouncementIsSweptAwayOnceItIsOld(t *testing.T) {
	db := open(t, t.TempDir())
	own := db.Announce("lab run a.yaml")
	if err := own.put(lab.Status{Stage: "load"}); err != nil {
		t.Fatal(err)
	}
	long := []string{"100001", "notes.txt"} // that nobody has touched for
	for _, name := range append([]string{"100002"}, long...) {
		if err := os.WriteFile(filepath.Join(db.liveDir(), name), []byte(`0123{"pid": 7, "owner": {"pi`), 0o600); err != nil {
			t.Fatal(err)
		}
		if slices.Contains(long, name) {
			if err := os.Chtimes(filepath.Join(db.liveDir(), name), time.Time{}, time.Now().Add(-2*time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.Chtimes(own.name, time.Time{}, time.Now().Add(-2*time.Hour)); err != nil { // of a lab that says nothing for long
		t.Fatal(err)
	}
	if err := db.Recover(); err != nil {
		t.Fatal(err)
	}
	want := []string{"100002", filepath.Base(own.name), "notes.txt"}
	var left []string
	entries, _ := os.ReadDir(db.liveDir())
	for _, e := range entries {
		left = append(left, e.Name())
	}
	slices.Sort(want)
	diff(t, want, left)
	if err := os.RemoveAll(db.liveDir()); err != nil {
		t.Fatal(err)
	}
	if err := own.put(lab.Status{Stage: "load"}); err != nil || len(db.Announced()) != 1 {
		t.Errorf("the lab that lives says no more: %v", err)
	}
}
