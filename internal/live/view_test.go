package live

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lab/internal/lab"
)

func TestPlainLinesComeWhenAStageChangesAndEveryTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		v := New(&out, Options{Mode: Plain})
		for range 100 { // 25 s of load
			v.Show(lab.Status{Run: "r1", Title: "x", Stage: "load", Phase: "p"})
			time.Sleep(250 * time.Millisecond)
		}
		v.Show(lab.Status{Run: "r1", Title: "x", Stage: "stopping"})
		time.Sleep(21 * time.Second) // nobody says anything
		v.Print("a notice")
		v.Close()
		want := []string{"x · p 0:00", "x · p 0:00", "x · p 0:00", "x · stopping 0:00", "x · stopping 0:10", "x · stopping 0:20", "a notice"}
		got := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		if len(got) != len(want) {
			t.Fatalf("got %q", got)
		}
		for i := range want {
			if !strings.HasPrefix(got[i], want[i]) {
				t.Errorf("line %d is %q, want %q", i, got[i], want[i])
			}
		}
		if strings.ContainsAny(out.String(), "\r\x1b") {
			t.Errorf("it moves a cursor: %q", out.String())
		}
	})
}

func TestAnAlertGetsOnePlainLineInEachRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		v := New(&out, Options{Mode: Plain})
		for _, run := range []string{"r1", "r1", "r2"} {
			v.Show(lab.Status{Run: run, Stage: "load", Alerts: []lab.Alert{
				{Code: "errors", Level: lab.Invalid, Text: "1 of 2 requests failed", Fix: "see the log"},
				{Code: lab.FoundPowerCap, Level: lab.Note, Text: "normal"}}})
		}
		v.Close()
		const line = "invalid: 1 of 2 requests failed. What helps: see the log\n"
		if n := strings.Count(out.String(), line); n != 2 || strings.Contains(out.String(), "normal") {
			t.Errorf("got %q", out.String())
		}
	})
}

func TestEachDeviceAndEachLevelOfAnAlertGetsItsPlainLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		v := New(&out, Options{Mode: Plain})
		hot := func(gpu string) lab.Alert {
			return lab.Alert{Code: lab.FoundThermal, Of: gpu, Level: lab.Invalid, Text: gpu + " is too hot"}
		}
		v.Show(lab.Status{Run: "r1", Stage: "load", Alerts: []lab.Alert{hot("gpu0")}})
		v.Show(lab.Status{Run: "r1", Stage: "load", Alerts: []lab.Alert{hot("gpu0"), hot("gpu1")}})
		over := hot("gpu0")
		over.Level = lab.Warning
		v.Show(lab.Status{Run: "r1", Alerts: []lab.Alert{over, hot("gpu1")}})
		v.Close()
		for _, want := range []string{"invalid: gpu0 is too hot\n", "invalid: gpu1 is too hot\n", "warning: gpu0 is too hot\n"} {
			if n := strings.Count(out.String(), want); n != 1 {
				t.Errorf("%q is there %d times, want once:\n%s", want, n, out.String())
			}
		}
	})
}

func TestTheSummaryTellsWhatARunCameToNotWhatItLookedLikeOnTheWay(t *testing.T) {
	status := func(run string, level lab.Level, text string) lab.Status {
		return lab.Status{Run: run, Title: "x", Outcome: lab.Complete, Alerts: []lab.Alert{{Code: "errors", Level: level, Text: text}}}
	}
	for name, c := range map[string]struct {
		statuses []lab.Status
		want     []string // after the first line
	}{
		"less in the end": {[]lab.Status{status("r1", lab.Invalid, "1 of 2 failed"), status("r1", lab.Warning, "1 of 1000 failed")}, []string{"! 1 of 1000 failed"}},
		"spoilt":          {[]lab.Status{status("r1", lab.Warning, "1 of 1000 failed"), status("r1", lab.Invalid, "90 of 1000 failed")}, []string{"! spoilt the run: 90 of 1000 failed"}},
		"two runs": {[]lab.Status{status("r1", lab.Invalid, "1 of 2 failed"), status("r1", lab.Warning, "1 of 1000 failed"), status("r2", lab.Warning, "2 of 1000 failed"), {}},
			[]string{"! in 2 of 2 runs: 2 of 1000 failed"}},
		"one of two": {[]lab.Status{status("r1", lab.Invalid, "90 of 1000 failed"), status("r2", lab.Note, "")}, []string{"! spoilt 1 of 2 runs: 90 of 1000 failed"}},
	} {
		var f feed
		for _, s := range c.statuses {
			f.past.take(s)
		}
		if got := summary(f, time.Minute, 80, false)[1:]; !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestWithoutAViewNoticesAreStillPrinted(t *testing.T) {
	var out strings.Builder
	v := New(&out, Options{Mode: None})
	v.Show(lab.Status{Run: "r1", Stage: "load"})
	v.Print("a notice")
	v.Close()
	if out.String() != "a notice\n" {
		t.Errorf("got %q", out.String())
	}
}

// A terminal that takes nothing more, because of Ctrl-S or a dead connection, holds up nobody who feeds the view.
func TestAStuckTerminalHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := &blocked{free: make(chan struct{})}
		v := New(stuck, Options{Mode: Plain})
		for i := range 50 {
			v.Show(lab.Status{Run: "r1", Title: "x", Stage: "stage" + strings.Repeat("e", i)})
			v.Print("a notice")
		}
		synctest.Wait()
		close(stuck.free)
		v.Close()
		if n := strings.Count(stuck.text.String(), "\n"); n != 100 {
			t.Errorf("%d of 100 lines were written in the end", n)
		}
	})
}

type blocked struct {
	free chan struct{}
	text strings.Builder
}

func (b *blocked) Write(p []byte) (int, error) {
	<-b.free
	return b.text.Write(p)
}

func TestOneLineHasAllThatMatters(t *testing.T) {
	got := Text(comparing())
	want := "pair 4 of at most 8, at most about 31 min left · B 分块预填充 🙂 开 · steady 1:54 of 3:00 · 1412 requests · 12.4 req/s · 6342 tok/s · 32 in flight · " +
		"TTFT p50 47.9 p99 101 ms · ITL p50 9.81 p99 13.4 ms · E2EL p50 5050 p99 5710 ms · gpu0 642 W"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestWhatStaysIsShortAndNamesWhatWasWrong(t *testing.T) {
	done := running()
	done.Outcome, done.Stage = lab.Complete, ""
	done.Legs[2] = lab.Leg{Name: "steady", State: lab.LegDone, Took: 3 * time.Minute, OK: 2160}
	failed := alarmed()
	failed.Outcome = lab.Failed
	over := comparing()
	over.Plan.Pairs[3].State = lab.LegDone
	for name, statuses := range map[string][]lab.Status{
		"done": {done}, "failed": {failed}, "ab": {alarmed(), withRun(running(), "r2"), {Plan: over.Plan}}, "sweep": {{Sweep: sweeping().Sweep}}, "nothing": {{Title: "x", Stage: "asking"}},
	} {
		var f feed
		for _, s := range statuses {
			f.past.take(s)
		}
		golden(t, "summary-"+name, summary(f, 4*time.Minute, 80, false))
	}
}

func withRun(s lab.Status, id string) lab.Status {
	s.Run = id
	return s
}
