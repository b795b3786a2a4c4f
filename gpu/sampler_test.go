package gpu

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"lab/internal/lab"
)

func TestALateLoopServesEveryGroupAndCountsWhatItSkipped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		l := &loop{}
		fast, slow := 0, 0
		l.add(20*time.Millisecond, func() { fast++; time.Sleep(30 * time.Millisecond) }) // longer than its period
		l.add(100*time.Millisecond, func() { slow++ })
		if err := l.run(ctx); err != nil {
			t.Fatal(err)
		}
		if slow < 45 || fast < 100 || l.late.skipped == 0 {
			t.Errorf("%d slow (want about 50), %d fast, %d skipped", slow, fast, l.late.skipped)
		}
	})
}

func TestTheLoopEndsWhenNobodyListens(t *testing.T) {
	gone := errors.New("gone")
	l := &loop{}
	l.add(flushEvery, func() { l.fault = gone })
	if err := l.run(t.Context()); !errors.Is(err, gone) {
		t.Errorf("%v", err)
	}
}

func TestTheSamplerEndsWithItsInputEvenIfTheDriverHangs(t *testing.T) {
	for name, trace := range map[string]string{
		"all is well":     "0 5 5 70000\n",
		"a reading hangs": "0 5 5 70000\nhang 1000 600000 nvmlDeviceGetFieldValues\n",
		"the start hangs": "0 5 5 70000\nhang 0 600000 nvmlInit_v2\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			argv := append(fakeDriver(t, traceFile(t, trace)), "sampler")
			cmd := exec.Command(argv[0], argv[1:]...)
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if err := json.NewEncoder(in).Encode(Config{Epoch: lab.NewEpoch()}); err != nil {
				t.Fatal(err)
			}
			if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || !strings.Contains(line, "sample") {
				t.Errorf("%q, %v", line, err)
			}
			time.Sleep(1500 * time.Millisecond) // into the hang
			in.Close()                          // as the kernel does when lab is killed
			err = cmd.Wait()                    // and not the test's time limit
			if hangs := name == "a reading hangs"; (err != nil) != hangs {
				t.Errorf("the sampler ended with %v", err)
			}
		})
	}
}

func TestASamplerThatDiesIsStartedAgain(t *testing.T) {
	name := traceFile(t, "0 5 5 70000\n")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var mu sync.Mutex
	killed, after := false, 0
	var lost []string
	Watch(ctx, withEnv(t), Config{Epoch: lab.NewEpoch(), Telemetry: lab.Telemetry{Replay: name}}, func(lab.Sample) {
		mu.Lock()
		defer mu.Unlock()
		if !killed {
			killed = true
			for _, pid := range childrenOf(os.Getpid()) {
				syscall.Kill(pid, syscall.SIGKILL)
			}
		} else if len(lost) > 0 {
			if after++; after > 5 {
				cancel()
			}
		}
	}, func(_ lab.EventKind, detail string) {
		mu.Lock()
		defer mu.Unlock()
		lost = append(lost, detail)
	})
	if len(lost) != 1 || !strings.Contains(lost[0], "killed") || after <= 5 {
		t.Errorf("events %v, %d samples after the restart", lost, after)
	}
}

func TestASamplerThatNeverRunsIsGivenUpAfterThreeRestarts(t *testing.T) {
	self := make([]string, 3, 10) // room that a careless append would write to
	copy(self, []string{"sh", "-c", "echo no driver today >&2; exit 3"})
	var lost []string
	err := Watch(t.Context(), self, Config{Epoch: lab.NewEpoch()}, func(lab.Sample) { t.Error("a sample") },
		func(kind lab.EventKind, detail string) { lost = append(lost, fmt.Sprint(kind, ": ", detail)) })
	if err == nil || len(lost) != 1+restarts || !strings.Contains(lost[0], "no driver today") || self[:4][3] != "" {
		t.Errorf("%v, events %q", err, lost)
	}
	if _, err := Probe(t.Context(), self, lab.Telemetry{}, ""); err == nil || !strings.Contains(err.Error(), "no driver today") {
		t.Errorf("probe: %v", err)
	}
}

func TestAnEngineThatAnswersLateDelaysNoReadingOfTheGPU(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer server.Close()
	defer close(release)
	samples, events := watch(t, withEnv(t), Config{EngineURL: server.URL, Telemetry: lab.Telemetry{Replay: traceFile(t, "0 5 5 70000\n")}}, 2*time.Second)
	during, errs := 0, 0
	for _, s := range samples {
		if s.Device == "engine" {
			errs++
			for _, g := range samples {
				if _, ok := g.Values[lab.GPUPower]; ok && g.At > s.At-s.Took/2 && g.At < s.At+s.Took/2 {
					during++
				}
			}
			if s.Error == "" || s.Took < scrapeTimeout/2 {
				t.Errorf("an engine that does not answer: %+v", s)
			}
		}
	}
	if errs == 0 || during < errs || len(events) > 0 {
		t.Errorf("%d readings of power during %d scrapes, events %v", during, errs, events)
	}
}
