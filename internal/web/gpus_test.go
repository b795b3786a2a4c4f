package web

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"lab/gpu"
	"lab/internal/lab"
	"lab/store"
)

// The test binary also plays the sampler, as lab does, and a lab that records a run until it is killed.
func TestMain(m *testing.M) {
	if len(os.Args) < 2 || os.Args[1] != "sampler" && os.Args[1] != "record" {
		os.Exit(m.Run())
	}
	var err error
	switch {
	case os.Args[1] == "record":
		err = playRecorder(os.Args[2])
	case len(os.Args) == 2:
		err = gpu.Serve(context.Background(), os.Stdin, os.Stdout)
	default:
		err = gpu.ServeProbe(os.Stdin, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// samplers counts the children of this process that sample.
func samplers() int {
	n := 0
	tasks, _ := filepath.Glob("/proc/self/task/*/children")
	for _, name := range tasks {
		pids, _ := os.ReadFile(name)
		for _, pid := range bytes.Fields(pids) {
			if line, _ := os.ReadFile("/proc/" + string(pid) + "/cmdline"); bytes.Contains(line, []byte("\x00sampler")) {
				n++
			}
		}
	}
	return n
}

func TestTheGPUsAreReadByLabUIOnlyWhileNothingIsMeasured(t *testing.T) {
	site, server := serve(t, Options{Sampler: []string{os.Args[0]}})
	events, leave := openStream(t, server.URL+"/events?gpus", "")
	board := func(parts ...string) {
		t.Helper()
		for limit := time.Now().Add(30 * time.Second); time.Now().Before(limit); {
			text := next(t, events, "gpus").data
			found := true
			for _, part := range parts {
				found = found && strings.Contains(text, part)
			}
			if found {
				return
			}
		}
		t.Fatalf("the board never says %q", parts)
	}
	await := func(what string, is func() bool) {
		t.Helper()
		for limit := time.Now().Add(30 * time.Second); !is(); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(limit) {
				t.Fatal("never: " + what)
			}
		}
	}
	board("Read by lab ui", "<h3>host</h3>")
	if samplers() == 0 {
		t.Error("nobody samples")
	}

	w, run := liveRun(t, site.DB)
	w.Sample(lab.Sample{At: time.Second, Device: "gpu0", Values: map[string]float64{lab.GPUPower: 321}})
	if err := w.Close(); err != nil { // writes what is pending
		t.Fatal(err)
	}
	site.DB.Announce("lab run a.yaml").Say(lab.Status{Run: run.ID, Stage: "load"})
	board(run.ID, "321 W")
	if _, page := answer(t, server.Client(), server.URL+"/now", nil); strings.Contains(page, "Read by lab ui") {
		t.Error("something is measured, and the page says that lab ui reads")
	}
	await("lab ui's own sampler has ended", func() bool { return samplers() == 0 })

	if err := os.Remove(filepath.Join(site.DB.Dir(), "live", strconv.Itoa(os.Getpid()))); err != nil { // as if this process had ended
		t.Fatal(err)
	}
	board("Read by lab ui", "<h3>host</h3>")
	leave()
	await("nobody looks and nothing is sampled", func() bool { return samplers() == 0 })
}

// playRecorder begins a run, says so, and goes on until it is killed.
func playRecorder(dir string) error {
	db, err := store.Open(dir)
	if err != nil {
		return err
	}
	run := lab.Run{ID: lab.NewID(time.Now()), Outcome: lab.Live, Epoch: lab.NewEpoch()}
	if _, err := db.Begin(run); err != nil {
		return err
	}
	db.Announce("lab run a.yaml").Say(lab.Status{Run: run.ID, Stage: "load"})
	select {}
}

func TestARunWhoseLabWasKilledWhileNobodyWatchedEndsForTheFirstWhoDoes(t *testing.T) {
	for first, look := range map[string]func(server, id string){
		"a stream of its events": func(server, id string) {
			events, leave := openStream(t, server+"/events?run="+id, "")
			defer leave()
			if e := next(t, events, "ended"); e.data != string(lab.Interrupted) {
				t.Errorf("it ended with %+v", e)
			}
		},
		"its page": func(server, id string) {
			_, page := answer(t, &http.Client{}, server+"/r/"+id, nil)
			if strings.Contains(page, "The run goes on") || !strings.Contains(page, "lab itself was killed during this run") {
				t.Errorf("the page says %s", page)
			}
		},
	} {
		site, server := serve(t, Options{})
		recorder := exec.CommandContext(t.Context(), os.Args[0], "record", site.DB.Dir())
		recorder.Stderr = os.Stderr
		if err := recorder.Start(); err != nil {
			t.Fatal(err)
		}
		var id string
		for limit := time.Now().Add(30 * time.Second); id == ""; time.Sleep(20 * time.Millisecond) {
			if all := site.DB.Announced(); len(all) == 1 {
				id = all[0].Status.Run
			}
			if time.Now().After(limit) {
				t.Fatal("no run began")
			}
		}
		recorder.Process.Signal(syscall.SIGKILL)
		recorder.Wait()
		look(server.URL, id)
		if sealed, err := site.DB.Sealed(id); err != nil || sealed.Run.Outcome != lab.Interrupted {
			t.Errorf("after %s the run is %s, %v", first, sealed.Run.Outcome, err)
		}
	}
}
