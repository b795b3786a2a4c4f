package supervisor

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// forge rewrites the note about a server, as if another lab had started it.
func forge(t *testing.T, s *Server, change func(*record)) {
	t.Helper()
	text, err := os.ReadFile(s.state)
	if err != nil {
		t.Fatal(err)
	}
	var r record
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	r.Lab.Start-- // the lab that started it is gone
	change(&r)
	if text, err = json.Marshal(r); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.state, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func orphansOf(t *testing.T, s *Server) []Orphan {
	t.Helper()
	orphans, err := Orphans(s.o.StateDir)
	if err != nil {
		t.Fatal(err)
	}
	return orphans
}

func TestAServerOfALivingLabIsNoOrphan(t *testing.T) {
	s := launchChild(t, "good", nil)
	if orphans := orphansOf(t, s); len(orphans) != 0 {
		t.Errorf("orphans are %+v", orphans)
	}
}

func TestTheServerOfAKilledLabIsFoundAndEndedWithItsChildren(t *testing.T) {
	for name, killRoot := range map[string]bool{"root lives": false, "only a child lives": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := launchChild(t, "good grandchild", nil)
			if _, err := s.WaitReady(t.Context()); err != nil {
				t.Fatal(err)
			}
			group := s.Group()
			if killRoot {
				syscall.Kill(s.PID(), syscall.SIGKILL)
				<-s.exited
			}
			forge(t, s, func(*record) {})
			orphans := orphansOf(t, s)
			if len(orphans) != 1 || orphans[0].PID != s.PID() || orphans[0].RunID != s.o.RunID || len(orphans[0].Names) != len(s.Group()) || len(group) != 2 {
				t.Fatalf("orphans are %+v, group was %v", orphans, group)
			}
			if err := orphans[0].Clean(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, pid := range group {
				if p, err := readProcess(pid); err == nil && !p.gone() {
					t.Errorf("%s still runs", p)
				}
			}
			if _, err := os.Stat(s.temp); err == nil {
				t.Error("temporary files are still there")
			}
			if orphans := orphansOf(t, s); len(orphans) != 0 {
				t.Errorf("cleaned, and still listed: %+v", orphans)
			}
		})
	}
}

func TestAProcessThatOnlyHasTheNumberOfAnOrphanIsLeftAlone(t *testing.T) {
	for name, change := range map[string]func(*record){
		"another start time": func(r *record) { r.Root.Start -= 5; r.Members = nil },
		"another boot":       func(r *record) { r.Boot = "before" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := launchChild(t, "good", nil)
			if _, err := s.WaitReady(t.Context()); err != nil {
				t.Fatal(err)
			}
			forge(t, s, change)
			orphans := orphansOf(t, s)
			if len(orphans) != 1 || len(orphans[0].Names) != 0 {
				t.Fatalf("orphans are %+v", orphans)
			}
			if err := orphans[0].Clean(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(50 * time.Millisecond)
			select {
			case <-s.exited:
				t.Error("it was killed")
			default:
			}
		})
	}
}

func TestADamagedNoteIsReportedAndDoesNotHideTheOthers(t *testing.T) {
	s := launchChild(t, "silent", nil)
	forge(t, s, func(r *record) { r.Temp = "/" })
	if err := os.WriteFile(filepath.Join(s.o.StateDir, "x"+recordSuffix), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	orphans, err := Orphans(s.o.StateDir)
	if err == nil || !strings.Contains(err.Error(), "x"+recordSuffix) || len(orphans) != 1 {
		t.Errorf("orphans are %+v, %v", orphans, err)
	}
	for path, want := range map[string]bool{"/": false, "/tmp": false, "": false, "tmp": false, "/home/me": false, "/scratch/run/tmp": true, "/tmp/lab-123": true} {
		if ownTemp(path) != want {
			t.Errorf("lab made %q: %v", path, !want)
		}
	}
}

func TestAServerOfALabThatWasKilledBeforeItCouldNoteItIsFoundByItsLog(t *testing.T) {
	s := launchChild(t, "good", nil)
	if _, err := s.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	forge(t, s, func(r *record) { r.Root, r.Members = process{}, nil }) // as announce leaves it
	orphans := orphansOf(t, s)
	if len(orphans) != 1 || orphans[0].PID != s.PID() {
		t.Fatalf("orphans are %+v, the server is %d", orphans, s.PID())
	}
	if err := orphans[0].Clean(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-s.exited
	announced := record{RunID: "never", Boot: bootID(), Dir: filepath.Join(t.TempDir(), "lab-none")}
	text, _ := json.Marshal(announced)
	if err := os.WriteFile(filepath.Join(s.o.StateDir, "never"+recordSuffix), text, 0o600); err != nil {
		t.Fatal(err)
	}
	orphans = orphansOf(t, s)
	if len(orphans) != 1 || len(orphans[0].Names) != 0 {
		t.Fatalf("a server that was never started: %+v", orphans)
	}
	if err := orphans[0].Clean(t.Context()); err != nil {
		t.Fatal(err)
	}
}
