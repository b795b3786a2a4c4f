package supervisor

import (
	"context"
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lab/internal/lab"
)

// realServer prepares a launch of an installed vllm: LAB_TEST_VENV is its virtual environment, LAB_TEST_MODEL a small
// model folder. The tests that need one are skipped without.
func realServer(t *testing.T) (Launch, Options) {
	venv, model := os.Getenv("LAB_TEST_VENV"), os.Getenv("LAB_TEST_MODEL")
	if venv == "" || model == "" {
		t.Skip("needs a real vllm, LAB_TEST_VENV and LAB_TEST_MODEL: `make test-vllm-all` has them")
	}
	length, seqs, eager := 2048, 4, true
	server := lab.Server{
		Model: model, Venv: venv, MaxModelLen: &length, MaxNumSeqs: &seqs, Eager: &eager, Dtype: "bfloat16",
		Args: map[string]any{"load-format": "dummy"},
		Env:  map[string]string{"HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "1"},
	}
	inst, err := Find(t.Context(), server, "", "")
	if err != nil {
		t.Fatal(err)
	}
	flags, err := inst.Flags(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("vllm %s has %d flags", inst.Version, len(flags.byName))
	port, err := FreePort()
	if err != nil {
		t.Fatal(err)
	}
	launch, err := Prepare(server, inst, flags, "lab-real", port)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Dir: t.TempDir(), StateDir: t.TempDir(), RunID: "real", Clock: lab.NewEpoch().Clock()}
	o.Event = func(kind lab.EventKind, detail string) { t.Logf("%8.3f %s %s", o.Clock.Now().Seconds(), kind, detail) }
	return launch, o
}

func checkNothingLeft(t *testing.T, s *Server, before map[string]bool) {
	t.Helper()
	if left := s.Group(); len(left) > 0 {
		t.Errorf("processes left: %v", left)
	}
	if who := holder(s.launch.Port); who != "" {
		t.Errorf("%s listens on the port", who)
	}
	if files := cleanShm(before, nil); len(files) > 0 {
		t.Errorf("left in shared memory: %s", files)
	}
	if _, err := os.Stat(s.temp); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("temporary directory is still there: %v", err)
	}
	if entries, _ := os.ReadDir(s.o.StateDir); len(entries) > 0 {
		t.Errorf("state files left: %v", entries)
	}
}

func TestARealVLLMServesAndStopsLeavingNothing(t *testing.T) {
	launch, o := realServer(t)
	shm := listShm()
	s, err := Start(launch, o)
	if err != nil {
		t.Fatal(err)
	}
	facts, err := s.WaitReady(t.Context())
	if err != nil {
		for _, line := range s.log.tail(30) {
			t.Log(line.Text)
		}
		t.Fatal(err)
	}
	t.Logf("%s", cmp.Diff(lab.ServerFacts{}, facts))
	if !sameRelease(facts.Version, facts.Package) || facts.Resolved["num_gpu_blocks"] == "" || facts.Resolved["engine"] != "V1" {
		t.Errorf("facts are incomplete: %+v", facts)
	}
	if _, model, err := Attach(t.Context(), Access{URL: s.URL()}, ""); err != nil || model != "lab-real" {
		t.Errorf("Attach: %q, %v", model, err)
	}
	stop := s.Stop(t.Context())
	t.Logf("%+v", stop)
	if stop.Exit != "exit code 0" || !slices.Equal(stop.Signals, []string{"SIGTERM"}) {
		t.Errorf("stop was not clean: %+v", stop)
	}
	if f := s.Failure(); f != nil {
		t.Errorf("a stop that was asked for is a failure: %+v", f)
	}
	checkNothingLeft(t, s, shm)
}

func TestARealVLLMWhoseEngineIsKilledFailsAlthoughItExitsWithZero(t *testing.T) {
	launch, o := realServer(t)
	shm := listShm()
	s, err := Start(launch, o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, p := range s.look() {
		if len(p.Name) > 6 && p.Name[:6] == "VLLM::" {
			process, _ := os.FindProcess(p.PID)
			process.Kill()
			break
		}
	}
	<-s.Down()
	f := s.Failure()
	t.Logf("%+v", f)
	for _, line := range s.log.tail(40) {
		t.Log(line.Text)
	}
	if f == nil || f.Class != lab.FailEngine {
		t.Errorf("failure is %+v", f)
	}
	t.Logf("%+v", s.Stop(t.Context()))
	checkNothingLeft(t, s, shm)
}

func TestARealVLLMInterruptedWhileItStartsLeavesNothing(t *testing.T) {
	launch, o := realServer(t)
	shm := listShm()
	s, err := Start(launch, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("the user wants out")
	go func() { // as soon as the engine process imports, when a signal is lost
		until(3*time.Minute, func() bool { return len(s.Group()) >= 3 })
		time.Sleep(5 * time.Second)
		cancel(why)
	}()
	if _, err := s.WaitReady(ctx); !errors.Is(err, why) {
		t.Errorf("WaitReady: %v", err)
	}
	t.Logf("%+v", s.Stop(t.Context()))
	checkNothingLeft(t, s, shm)
}
