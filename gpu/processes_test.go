package gpu

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"lab/internal/lab"
)

func TestAProcessThatLostItsParentStaysWithTheServersGroup(t *testing.T) {
	// The inner shell starts a busy loop and ends at once, so that nothing but the group ties it to the server.
	server := sleeper(t, "sh -c 'while :; do :; done & echo' >/dev/null; exec sleep 60")
	stranger := sleeper(t, "exec sleep 60")
	tree := newTree(server)
	at := func() time.Duration { return 0 }
	orphan := 0
	for orphan == 0 { // until the shells are where they go
		for pid, s := range tree.pids() {
			if pid != server && s.parent != server {
				if line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); strings.Contains(string(line), "while") {
					orphan = pid
				}
			}
		}
		tree.reads = 0
	}
	var before lab.Sample
	for before.Values[lab.ProcCPU] == 0 {
		before = tree.read(at)[0]
	}
	if before.Values[lab.ProcCount] < 2 || before.Values[lab.ProcRSS] <= 0 || before.Device != "server" {
		t.Errorf("%+v", before)
	}
	for pid, want := range map[int]bool{server: true, orphan: true, stranger: false, os.Getpid(): false} {
		if ours, known := tree.holds(pid); ours != want || !known {
			t.Errorf("process %d: ours %v (known %v), want %v", pid, ours, known, want)
		}
	}
	if _, known := tree.holds(1 << 30); known {
		t.Error("a process that is not there is known")
	}

	syscall.Kill(orphan, syscall.SIGKILL)
	for { // it may stay a zombie where nobody collects orphans
		if text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", orphan)); err != nil || strings.Contains(string(text), ") Z ") {
			break
		}
	}
	after := tree.read(at)[0]
	if after.Values[lab.ProcCPU] < before.Values[lab.ProcCPU] {
		t.Errorf("CPU time fell from %g s to %g s when a process ended", before.Values[lab.ProcCPU], after.Values[lab.ProcCPU])
	}
}

func TestAProcessNumberThatCameBackIsSomebodyElse(t *testing.T) {
	tree := newTree(sleeper(t, "exec sleep 60"))
	tree.start++ // as if the root had ended and another had got its number
	tree.group = 0
	tree.session = 0
	if s := tree.read(func() time.Duration { return 0 }); s != nil {
		t.Errorf("%+v", s)
	}
}

func TestTheNameOfAProcessMayHoldBrackets(t *testing.T) {
	const text = "12 (a) R 9 (x)) S 34 56 7 8 9 0 0 0 0 0 11 12 0 0 20 0 1 0 4711 99 100"
	if s, ok := parseStat(text); !ok || (s != stat{parent: 34, group: 56, session: 7, start: 4711}) {
		t.Errorf("%+v, %v", s, ok)
	}
}

func TestTheHostIsKnown(t *testing.T) {
	h, err := Host()
	if err != nil || h.Name == "" || h.Kernel == "" || h.Cores < 1 || h.Memory == 0 || h.BootID == "" {
		t.Errorf("%+v, %v", h, err)
	}
	if free, err := DiskFree(t.TempDir()); err != nil || free == 0 {
		t.Errorf("%d bytes free, %v", free, err)
	}
	if _, err := DiskFree("/nosuch/place"); err == nil {
		t.Error("a place that is not there has space")
	}
}

func FuzzStat(f *testing.F) {
	f.Add("12 (sh) S 34 56 7 8 9 0 0 0 0 0 11 12 0 0 20 0 1 0 4711 99 100")
	f.Add(") ")
	f.Fuzz(func(t *testing.T, text string) {
		if s, ok := parseStat(text); !ok && s != (stat{}) {
			t.Errorf("%+v of a text that is none", s)
		}
	})
}
