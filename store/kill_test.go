package store

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"lab/internal/lab"
)

// The test binary, started again with a part to play, is the lab that gets killed.
const (
	playVar = "LAB_STORE_TEST_PLAYS"
	dirVar  = "LAB_STORE_TEST_DIR"
)

func TestMain(m *testing.M) {
	plays := map[string]func(*DB) error{"steady": playSteady, "restless": playRestless, "short of space": playShortOfSpace}
	play, ok := plays[os.Getenv(playVar)]
	if !ok {
		os.Exit(m.Run())
	}
	err := mountSmall(os.Getenv(playVar), os.Getenv(dirVar))
	if err == nil {
		var db *DB
		if db, err = Open(os.Getenv(dirVar)); err == nil {
			err = play(db)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// playSteady records as a load does and leaves the flushing to the flusher. It tells what it has recorded.
func playSteady(db *DB) error {
	run := testRun()
	w, err := db.Begin(run)
	if err != nil {
		return err
	}
	for seq := 0; ; seq++ {
		recordNumbered(w, seq)
		fmt.Println("recorded", run.ID, seq)
		time.Sleep(2 * time.Millisecond)
	}
}

// playRestless begins, flushes and seals without a pause. It tells what is done.
func playRestless(db *DB) error {
	for {
		run := testRun()
		w, err := db.Begin(run)
		if err != nil {
			return err
		}
		for seq := range 40 {
			recordNumbered(w, seq)
			if seq%4 == 3 {
				if err := w.flush(lockWait, restless); err != nil {
					return err
				}
				fmt.Println("flushed", run.ID, seq)
			}
		}
		run.Outcome = lab.Complete
		if err := w.Seal(run, testSummary()); err != nil {
			return err
		}
		fmt.Println("sealed", run.ID, 39)
	}
}

func recordNumbered(w *Writer, seq int) {
	at := time.Duration(seq+1) * time.Millisecond
	w.Request(lab.RequestRecord{Seq: seq, Done: at, Chunks: []lab.Chunk{{At: at, Tokens: seq}}})
	w.Sample(lab.Sample{At: at, Values: map[string]float64{"seq": float64(seq)}})
	w.Event(lab.Event{At: at})
	w.Log(lab.LogLine{At: at, Text: fmt.Sprint(seq)})
}

// numbered checks that records 0 to n-1 are there, each once and whole, and gives n.
func numbered(t *testing.T, tables lab.Tables) int {
	t.Helper()
	n := len(tables.Requests)
	// A record of each kind is handed over in turn, and a flush may fall between two of them.
	short := func(m int) bool { return m != n && m != n-1 }
	if short(len(tables.Samples)) || short(len(tables.Events)) || short(len(tables.Log)) {
		t.Errorf("%d requests, %d samples, %d events, %d lines", n, len(tables.Samples), len(tables.Events), len(tables.Log))
	}
	for seq, r := range tables.Requests {
		if r.Seq != seq || len(r.Chunks) != 1 || r.Chunks[0].Tokens != seq {
			t.Fatalf("in place of request %d stands %+v", seq, r)
		}
	}
	return n
}

// told is one line of a player and when it was read.
type told struct {
	what, id string
	seq      int
	at       time.Time
}

// kill starts a player, waits until it has told so many lines, lets it work for a while longer and kills it as kill -9
// does. It gives what was told and the moment of the kill.
func kill(t *testing.T, play, dir string, wait int, after time.Duration) (lines []told, killed time.Time) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), playVar+"="+play, dirVar+"="+dir)
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Error(err)
		return nil, time.Time{}
	}
	if err := cmd.Start(); err != nil {
		t.Error(err)
		return nil, time.Time{}
	}
	enough := make(chan struct{})
	tell := sync.OnceFunc(func() { close(enough) })
	var killer sync.WaitGroup
	killer.Go(func() {
		<-enough
		time.Sleep(after)
		killed = time.Now()
		if err := cmd.Process.Kill(); err != nil {
			t.Errorf("the player ended by itself: %v", err)
		}
	})
	scanner := bufio.NewScanner(out)
	for {
		if len(lines) >= wait {
			tell()
		}
		if !scanner.Scan() {
			break
		}
		line := told{at: time.Now()}
		if _, err := fmt.Sscan(scanner.Text(), &line.what, &line.id, &line.seq); err == nil { // else cut by the kill
			lines = append(lines, line)
		}
	}
	tell()
	killer.Wait()
	_ = cmd.Wait() // "signal: killed"
	if complaint.Len() > 0 {
		t.Errorf("%s: %s", play, complaint.String())
	}
	return lines, killed
}

func TestAKilledRunKeepsAllThatIsOlderThanTwoSeconds(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	var players sync.WaitGroup
	type death struct {
		lines []told
		at    time.Time
	}
	deaths := make([]death, 4)
	for i := range deaths { // four labs at once on one folder
		players.Go(func() {
			lines, at := kill(t, "steady", dir, 1, 2500*time.Millisecond+rand.N(1500*time.Millisecond))
			deaths[i] = death{lines, at}
		})
	}
	players.Wait()
	db := open(t, dir)
	for _, d := range deaths {
		if len(d.lines) == 0 {
			t.Fatal("a player said nothing")
		}
		id, safe := d.lines[0].id, -1
		for _, line := range d.lines {
			if d.at.Sub(line.at) > 2*time.Second {
				safe = line.seq
			}
		}
		tables, err := db.Tables(id)
		if err != nil {
			t.Fatal(err)
		}
		n := numbered(t, tables)
		if n <= safe || safe < 0 {
			t.Errorf("run %s has %d records; record %d was made more than two seconds before the kill", id, n, safe)
		}
		run, err := runOf(db, id)
		if err != nil {
			t.Fatal(err)
		}
		if run.Outcome != lab.Interrupted || run.Valid() || len(run.Findings) != 1 || run.Ended != time.Duration(n)*time.Millisecond {
			t.Errorf("run %s is %q, ended at %v, findings %v", id, run.Outcome, run.Ended, run.Findings)
		}
	}
}

func TestAKillAtAnyMomentLosesNothingThatWasWritten(t *testing.T) {
	dir := t.TempDir()
	done := map[string]told{}     // by run: the last thing told of it
	checked := map[string]Entry{} // in an earlier round
	for range rounds(15) {
		var players sync.WaitGroup
		lines := make([][]told, 2) // of two labs at once
		players.Go(func() { lines[0], _ = kill(t, "restless", dir, rand.N(60), rand.N(20*time.Millisecond)) })
		players.Go(func() { // the eleventh line of a run tells that it is sealed
			lines[1], _ = kill(t, "restless", dir, 10+11*rand.N(2), rand.N(6*time.Millisecond))
		})
		players.Wait()
		for _, line := range append(lines[0], lines[1]...) {
			done[line.id] = line
		}
		db, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		checkKilled(t, db, done, checked)
		if t.Failed() {
			return
		}
	}
	states := map[string]int{}
	for _, line := range done {
		states[line.what]++
	}
	t.Logf("last told of %d runs: %v", len(done), states)
}

func checkKilled(t *testing.T, db *DB, done map[string]told, checked map[string]Entry) {
	t.Helper()
	entries, err := db.List()
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]Entry{}
	for _, e := range entries {
		listed[e.ID] = e
		if before, ok := checked[e.ID]; ok {
			diff(t, before, e)
			continue
		}
		checked[e.ID] = e
		tables, err := db.Tables(e.ID)
		if err != nil || e.Problem != "" {
			t.Errorf("run %s cannot be read: %v %s", e.ID, err, e.Problem)
			continue
		}
		if n, told := numbered(t, tables), done[e.ID]; n <= told.seq && told.what != "" {
			t.Errorf("run %s has %d records; %d was %s", e.ID, n, told.seq, told.what)
		}
		summary, err := summaryOf(db, e.ID)
		if err != nil {
			t.Error(err)
		}
		if complete := len(summary.Figures) > 0; complete != (e.Outcome == lab.Complete) || !complete && e.Outcome != lab.Interrupted {
			t.Errorf("run %s is %q and has %d figures", e.ID, e.Outcome, len(summary.Figures))
		}
	}
	for id, told := range done {
		if e := listed[id]; told.what == "sealed" && e.Outcome != lab.Complete || e.ID == "" {
			t.Errorf("run %s was %s and is listed as %+v", id, told.what, e)
		}
	}
}

func TestTwoLabsWorkInOneFolder(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	var players sync.WaitGroup
	for range 2 {
		players.Go(func() { kill(t, "restless", dir, 1, time.Second) })
	}
	ended := make(chan struct{})
	go func() {
		players.Wait()
		close(ended)
	}()
	for i := 0; ; i++ {
		select {
		case <-ended:
			if i < 5 {
				t.Errorf("looked only %d times", i)
			}
			return
		default:
		}
		if err := lookAround(db); err != nil {
			t.Error(err)
		}
	}
}

// lookAround reads everything there is.
func lookAround(db *DB) error {
	if _, err := Open(db.dir); err != nil {
		return err
	}
	entries, err := db.List()
	if err != nil {
		return err
	}
	for _, e := range entries[max(0, len(entries)-3):] {
		if e.Problem != "" {
			return errors.New(e.Problem)
		}
		if _, err := db.Tables(e.ID); err != nil {
			return err
		}
	}
	return nil
}

// mountSmall gives the player who needs it a file system of its own with little room.
func mountSmall(play, dir string) error {
	if play != "short of space" {
		return nil
	}
	return syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=2m,mode=700")
}

// playShortOfSpace fills its disk under a run, sees what is said, makes room and goes on.
func playShortOfSpace(db *DB) error {
	run := testRun()
	w, err := db.Begin(run)
	if err != nil {
		return err
	}
	filler := filepath.Join(db.dir, "filler")
	seq := 0
	more := func() error {
		for range 2000 {
			recordNumbered(w, seq)
			seq++
		}
		return w.flush(lockWait, restless)
	}
	if err := more(); err != nil {
		return err
	}
	if err := os.WriteFile(filler, make([]byte, 4<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("fill the disk: %w", err)
	}
	for err == nil && seq < 1_000_000 {
		err = more()
	}
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "lab rm") {
		return fmt.Errorf("record on a full disk: %w", err)
	}
	run.Outcome = lab.Complete
	if err := w.Seal(run, testSummary()); !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("seal on a full disk: %w", err)
	}
	tables, err := db.Tables(run.ID) // what was written before
	if err != nil || len(tables.Requests) < 2000 {
		return fmt.Errorf("read on a full disk: %d requests, %w", len(tables.Requests), err)
	}
	if entries, err := db.List(); err != nil || len(entries) != 1 {
		return fmt.Errorf("list on a full disk: %v, %w", entries, err)
	}
	if err := os.Remove(filler); err != nil {
		return err
	}
	if err := w.Seal(run, testSummary()); err != nil {
		return err
	}
	if tables, err = db.Tables(run.ID); err != nil || len(tables.Requests) != seq {
		return fmt.Errorf("read after all: %d of %d requests, %w", len(tables.Requests), seq, err)
	}
	return nil
}

func TestAFullDiskLosesNothing(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), playVar+"=short of space", dirVar+"="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS, // the mount is the child's alone
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) || strings.Contains(string(out), "operation not permitted") {
		t.Skipf("no namespaces of one's own here: %v %s", err, out)
	}
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
