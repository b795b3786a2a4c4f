package supervisor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"lab/internal/lab"
)

// launchChild starts the test binary as a server with the given behaviour.
func launchChild(t *testing.T, behaviour string, change func(*Launch, *Options)) *Server {
	t.Helper()
	port, err := FreePort()
	if err != nil {
		t.Fatal(err)
	}
	launch := Launch{
		Argv: []string{os.Args[0]}, Served: "lab-test", Port: port, Version: "0.32.0+cpu",
		Env: map[string]string{"LAB_TEST_CHILD": behaviour, "LAB_TEST_PORT": fmt.Sprint(port), "LAB_TEST_SERVED": "lab-test"},
	}
	o := Options{Dir: t.TempDir(), StateDir: t.TempDir(), RunID: "20261125-000000-test", Clock: lab.NewEpoch().Clock(), StartTimeout: time.Minute}
	if change != nil {
		change(&launch, &o)
	}
	s, err := Start(launch, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Stop(context.Background()) })
	return s
}

func TestAServerBecomesReadyAndStopsLeavingNothing(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var events []lab.EventKind
	var lines int
	shm := listShm()
	s := launchChild(t, "good", func(l *Launch, o *Options) {
		l.APIKey = "sesame"
		l.Unset = []string{"PROMETHEUS_MULTIPROC_DIR"}
		o.Event = func(kind lab.EventKind, _ string) { mu.Lock(); defer mu.Unlock(); events = append(events, kind) }
		o.Log = func(lab.LogLine) { mu.Lock(); defer mu.Unlock(); lines++ }
	})
	facts, err := s.WaitReady(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if facts.Version != "0.32.0" || facts.PID != s.PID() || facts.Resolved["num_gpu_blocks"] != "99" || facts.Resolved["args.max_num_seqs"] != "4" {
		t.Errorf("facts are %+v", facts)
	}
	if value, unset := facts.Env["PROMETHEUS_MULTIPROC_DIR"]; !unset || value != "" || strings.Contains(fmt.Sprint(facts), "sesame") {
		t.Errorf("recorded environment is %v", facts.Env)
	}
	if names := stageNames(facts.Stages); names != "import config canary" || facts.Stages[0].At <= 0 {
		t.Errorf("stages are %s", names)
	}
	if _, model, err := Attach(t.Context(), Access{URL: s.URL(), APIKey: "sesame"}, ""); err != nil || model != "lab-test" {
		t.Errorf("Attach: %q, %v", model, err)
	}
	if _, _, err := Attach(t.Context(), Access{URL: s.URL(), APIKey: "sesame"}, "another"); err == nil {
		t.Error("attached to a model that is not served")
	}
	if len(s.log.tail(1)) != 1 || !slices.Equal(s.Group(), []int{s.PID()}) {
		t.Errorf("log %v, group %v", s.log.tail(1), s.Group())
	}
	stop := s.Stop(t.Context())
	if stop.Exit != "exit code 0" || !slices.Equal(stop.Signals, []string{"SIGTERM"}) || len(stop.Leftovers) > 0 {
		t.Errorf("stop was %+v", stop)
	}
	if again := s.Stop(t.Context()); again.Took != stop.Took {
		t.Error("a second stop did something else")
	}
	select {
	case <-s.Down():
		t.Error("a stop that was asked for counts as down")
	default:
	}
	checkNothingLeft(t, s, shm)
	want := []lab.EventKind{lab.ServerStart, lab.ServerReady, lab.ServerStop, lab.ServerExit}
	mu.Lock()
	defer mu.Unlock()
	if !slices.Equal(events, want) || lines != 2 {
		t.Errorf("events are %v, %d lines", events, lines)
	}
}

func stageNames(stages []lab.Stage) string {
	var names []string
	for _, s := range stages {
		names = append(names, s.Name)
	}
	return strings.Join(names, " ")
}

// The kernel shares out cores by session first.
func TestAServerHasAGroupOfItsOwnInTheSessionOfItsClient(t *testing.T) {
	t.Parallel()
	s := launchChild(t, "good", nil)
	group, err := syscall.Getpgid(s.PID())
	if err != nil || group != s.PID() {
		t.Errorf("group %d of pid %d, %v", group, s.PID(), err)
	}
	theirs, _, _ := syscall.RawSyscall(syscall.SYS_GETSID, uintptr(s.PID()), 0, 0)
	ours, _, _ := syscall.RawSyscall(syscall.SYS_GETSID, 0, 0, 0)
	if theirs != ours {
		t.Errorf("session %d, the client's %d", theirs, ours)
	}
}

func TestAServerThatDoesNotObeyIsKilledWithEverythingItStarted(t *testing.T) {
	for _, c := range []struct {
		behaviour string
		ready     bool
		exit      string
		signals   []string
		leftover  string
	}{
		{"deaf", true, "killed by signal 9", []string{"SIGTERM", "SIGTERM", "SIGKILL to the group"}, ""},
		{"deaf grandchild", true, "killed by signal 9", []string{"SIGTERM", "SIGTERM", "SIGKILL to the group"}, ""},
		{"twice silent", false, "exit code 0", []string{"SIGTERM", "SIGTERM"}, ""},
		{"grandchild", true, "exit code 0", []string{"SIGTERM", "SIGKILL to the group"}, "outlived the server: killed"},
		{"runaway", true, "exit code 0", []string{"SIGTERM", "SIGKILL to the group"}, "outlived the server: killed"},
		{"silent deaf", false, "killed by signal 9", []string{"SIGTERM", "SIGTERM", "SIGKILL to the group"}, ""},
	} {
		t.Run(c.behaviour, func(t *testing.T) {
			t.Parallel()
			shm := listShm()
			s := launchChild(t, c.behaviour, func(_ *Launch, o *Options) {
				if strings.Contains(c.behaviour, "deaf") {
					o.StopTimeout = time.Second
				}
			})
			if c.ready {
				if _, err := s.WaitReady(t.Context()); err != nil {
					t.Fatal(err)
				}
			} else {
				until(10*time.Second, func() bool { return len(s.log.tail(1)) > 0 }) // it handles signals by then
			}
			stop := s.Stop(t.Context())
			if stop.Exit != c.exit || !slices.Equal(stop.Signals, c.signals) || !strings.Contains(strings.Join(stop.Leftovers, "\n"), c.leftover) {
				t.Errorf("stop was %+v", stop)
			}
			checkNothingLeft(t, s, shm)
			for pid, p := range s.members {
				if p.same() {
					t.Errorf("%d still runs", pid)
				}
			}
		})
	}
}

func TestASecondInterruptKillsAtOnce(t *testing.T) {
	t.Parallel()
	s := launchChild(t, "deaf", func(_ *Launch, o *Options) { o.StopTimeout = time.Hour })
	if _, err := s.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if stop := s.Stop(ctx); stop.Exit != "killed by signal 9" {
		t.Errorf("stop was %+v", stop)
	}
}

// Another lab that stops a server on this machine at the same moment, such as that of another package's tests, takes these
// files for leftovers of its own: they are new and nobody has them open. So what goes wrong must go wrong every time.
func TestSharedMemoryOfAStoppedServerIsRemovedAndThatOfOthersIsNot(t *testing.T) {
	var wrong []string
	for range 5 {
		if wrong = stopWithSharedMemory(t); len(wrong) == 0 {
			return
		}
	}
	t.Error(strings.Join(wrong, "; "))
}

// stopWithSharedMemory stops a server that leaves a file in shared memory, and tells what is not as it should be.
func stopWithSharedMemory(t *testing.T) (wrong []string) {
	t.Helper()
	mine := filepath.Join(shmDir, fmt.Sprintf("psm_labtest%d", os.Getpid()))
	older := filepath.Join(shmDir, fmt.Sprintf("psm_labolder%d", os.Getpid()))
	used := filepath.Join(shmDir, fmt.Sprintf("psm_labused%d", os.Getpid()))
	if err := os.WriteFile(older, nil, 0o600); err != nil {
		t.Skip("no shared memory here: ", err)
	}
	defer os.Remove(older)
	s := launchChild(t, "good shm", func(l *Launch, _ *Options) { l.Env["LAB_TEST_SHM"] = mine })
	if _, err := s.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(used)
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(used)
	defer f.Close()
	semaphore := mapSemaphore(t)
	stop := s.Stop(t.Context())
	if len(stop.Leftovers) != 1 || stop.Leftovers[0] != "shared memory "+mine+": removed" {
		wrong = append(wrong, fmt.Sprintf("leftovers are %q", stop.Leftovers))
	}
	for file, want := range map[string]bool{mine: false, older: true, used: true, semaphore: true} {
		if _, err := os.Stat(file); (err == nil) != want {
			wrong = append(wrong, fmt.Sprintf("%s exists: %v", file, !want))
		}
	}
	return wrong
}

func TestTheServersTemporaryFolderHasRoomForASocketsPath(t *testing.T) {
	long := filepath.Join(t.TempDir(), "a-temporary-folder-with-a-name-that-is-far-too-long-for-a-socket")
	if err := os.MkdirAll(long, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", long)
	temp, err := tempDir(filepath.Join(long, "run"))
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(temp)
	if len(temp) > longestTemp {
		t.Errorf("%s has %d characters", temp, len(temp))
	}
}

// mapSemaphore makes a semaphore as the C library does: mapped under a temporary name, then linked to its own.
func mapSemaphore(t *testing.T) string {
	t.Helper()
	temporary := filepath.Join(shmDir, fmt.Sprintf("sem.%dtmp", os.Getpid()))
	own := filepath.Join(shmDir, fmt.Sprintf("sem.mp-lab%d", os.Getpid()))
	f, err := os.Create(temporary)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(4096); err != nil {
		t.Fatal(err)
	}
	memory, err := syscall.Mmap(int(f.Fd()), 0, 4096, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		syscall.Munmap(memory)
		os.Remove(own)
	})
	os.Remove(own) // of an earlier call
	if err := os.Link(temporary, own); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(temporary); err != nil {
		t.Fatal(err)
	}
	return own
}

func TestAServerThatDoesNotBecomeReadyIsStoppedAndTheReasonGiven(t *testing.T) {
	for _, c := range []struct{ behaviour, class, reason, exit string }{
		{"usage", lab.FailArguments, "vllm does not know --no-such-flag", "exit code 2"},
		{"silent", lab.FailTimeout, `not ready within 4s (start_timeout), still in the start-up phase "config"`, ""},
		{"other version", lab.FailIdentity, "vllm 0.15.1 answers, but 0.32.0+cpu was started", ""},
		{"other model", lab.FailIdentity, "it serves somebody-elses, but lab-test was started", ""},
		{"no token", lab.FailCanary, "the answer is not a finished completion", ""},
	} {
		t.Run(c.behaviour, func(t *testing.T) {
			t.Parallel()
			shm := listShm()
			s := launchChild(t, c.behaviour, func(_ *Launch, o *Options) {
				if c.behaviour == "silent" {
					o.StartTimeout = 4 * time.Second
				}
			})
			_, err := s.WaitReady(t.Context())
			var death *DeathError
			if !errors.As(err, &death) {
				t.Fatal(err)
			}
			f := death.Failure
			if f.Class != c.class || !strings.Contains(f.Reason, c.reason) || f.Exit != c.exit || len(f.Quote) == 0 || f.Phase == serving {
				t.Errorf("failure is %+v", f)
			}
			if death.Stop.Exit == "" {
				t.Errorf("stop was %+v", death.Stop)
			}
			checkNothingLeft(t, s, shm)
		})
	}
}

func TestAnInterruptDuringTheStartStopsTheServer(t *testing.T) {
	t.Parallel()
	shm := listShm()
	s := launchChild(t, "silent twice", nil)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("the user wants out")
	time.AfterFunc(300*time.Millisecond, func() { cancel(why) })
	if _, err := s.WaitReady(ctx); !errors.Is(err, why) {
		t.Errorf("WaitReady: %v", err)
	}
	checkNothingLeft(t, s, shm)
}

func TestAnEngineDeathIsAFailureAlthoughTheServerExitsWithZero(t *testing.T) {
	t.Parallel()
	s := launchChild(t, "engine dies", nil)
	if _, err := s.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-s.Down()
	f := s.Failure()
	if f == nil || f.Class != lab.FailEngine || f.Exit != "exit code 0" || f.Phase != serving || !strings.Contains(strings.Join(f.Quote, "\n"), "engine core exited unexpectedly") {
		t.Errorf("failure is %+v", f)
	}
	if stop := s.Stop(t.Context()); stop.Exit != "exit code 0" || len(stop.Signals) > 0 {
		t.Errorf("stop was %+v", stop)
	}
	if s.Failure() != f {
		t.Error("the failure changed with the stop")
	}
}

func TestAKilledServerIsDownAtOnce(t *testing.T) {
	t.Parallel()
	s := launchChild(t, "good", nil)
	if _, err := s.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	syscall.Kill(s.PID(), syscall.SIGKILL)
	<-s.Down()
	if f := s.Failure(); f == nil || f.Class != lab.FailExit || f.Exit != "killed by signal 9" {
		t.Errorf("failure is %+v", f)
	}
}

func TestAHungServerShowsWhichProcessStandsStill(t *testing.T) {
	t.Parallel()
	s := launchChild(t, "good grandchild", nil)
	if _, err := s.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	var child int
	for _, pid := range s.Group() {
		if pid != s.PID() {
			child = pid
		}
	}
	syscall.Kill(child, syscall.SIGSTOP)
	until(5*time.Second, func() bool { p, _ := readProcess(child); return p.state == 'T' })
	f := s.Hung("no token for 30s while 4 requests are in flight")
	if f.Class != lab.FailHang || f.Phase != serving || !strings.Contains(f.Reason, fmt.Sprintf("(pid %d) is stopped by a signal", child)) {
		t.Errorf("failure is %+v", f)
	}
	s.Stop(t.Context())
	if p, err := readProcess(child); err == nil && !p.gone() {
		t.Error("a stopped process survived")
	}
}

func TestAnEngineThatFailedAndDoesNotEndIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	epoch := lab.NewEpoch()
	epoch.Monotonic -= int64(time.Hour) // so that moments can be moved back
	s := launchChild(t, "silent stuck", func(_ *Launch, o *Options) { o.Clock = epoch.Clock() })
	until(20*time.Second, func() bool { return len(s.log.tail(9)) == 3 })
	s.log.mu.Lock()
	s.log.fatal -= giveUpAfter + time.Second
	s.log.mu.Unlock()
	_, err := s.WaitReady(t.Context())
	var death *DeathError
	if !errors.As(err, &death) || death.Failure.Class != lab.FailMemory || death.Failure.Exit != "" {
		t.Errorf("WaitReady: %v", err)
	}
}

func TestSomebodyElseOnThePortIsNotTakenForTheServer(t *testing.T) {
	t.Parallel()
	s := launchChild(t, "silent", nil)
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", s.launch.Port))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			conn.Close()
		}
	}()
	_, err = s.WaitReady(t.Context())
	var death *DeathError
	if !errors.As(err, &death) || death.Failure.Class != lab.FailIdentity || !strings.Contains(death.Failure.Reason, fmt.Sprintf("(pid %d) answers on port", os.Getpid())) {
		t.Errorf("WaitReady: %v", err)
	}
	if left := strings.Join(death.Stop.Leftovers, "\n"); !strings.Contains(left, "still listens on port") {
		t.Errorf("leftovers are %q", left)
	}
}

func TestAPortThatIsBoundButSilentIsTaken(t *testing.T) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	// As a loading vllm holds it: shared port, bound to the loopback, not listening.
	const reusePort = 15
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, reusePort, 1); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	port := name.(*syscall.SockaddrInet4).Port
	if err := PortFree(port); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("PortFree: %v", err)
	}
	_, err = Start(Launch{Argv: []string{os.Args[0]}, Port: port}, Options{Dir: t.TempDir(), StateDir: t.TempDir()})
	var taken *PortError
	if !errors.As(err, &taken) || taken.Port != port {
		t.Errorf("Start: %v", err)
	}
	if err := syscall.Listen(fd, 1); err != nil {
		t.Fatal(err)
	}
	if err := PortFree(port); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("pid %d", os.Getpid())) {
		t.Errorf("PortFree: %v", err)
	}
}

func TestAProcessNameMayLookLikeFields(t *testing.T) {
	line := "42 (a) S 1 (b) R 7 42 43 0 -1 4194304 1 0 0 0 1 2 3 4 20 0 1 0 987654 1 2 3"
	p, err := parseStat([]byte(line))
	if err != nil || p.Name != "a) S 1 (b" || p.parent != 7 || p.group != 42 || p.Start != 987654 {
		t.Errorf("%+v, %v", p, err)
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("42 (a) S 1 42 43 0 -1 4194304 1 0 0 0 1 2 3 4 20 0 1 0 987654 1 2 3"))
	f.Add([]byte("("))
	f.Fuzz(func(t *testing.T, text []byte) {
		if p, err := parseStat(text); err == nil && p.state == 0 {
			t.Errorf("%+v", p)
		}
		parseListeners(string(text), 80)
	})
}

func TestAServerIsProbedOnTheWayThatTheLoadTakes(t *testing.T) {
	if c := newClient(Access{URL: "http://box.example:8000"}); c.http.Transport.(*http.Transport).Proxy != nil {
		t.Error("the probe would go through a proxy, the load does not")
	}
}
