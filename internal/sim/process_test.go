package sim

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The test binary also plays vllm.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "play" {
		os.Exit(Main(os.Args[2:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// patience is how long a busy machine may take for what should take no time.
const patience = time.Minute

// played is the simulator as a process.
type played struct {
	*exec.Cmd
	url  string
	port string
	log  chan string // lines of both outputs
	seen strings.Builder
}

// start starts the simulator as a process on a free port, in a process group of its own.
func start(t *testing.T, args string) *played {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	listener.Close()
	p := &played{url: "http://127.0.0.1:" + port, port: port, log: make(chan string, 1000)}
	p.Cmd = exec.Command(os.Args[0], append([]string{"play", "serve", "m", "--port", port, "--sim-seed", "4"}, strings.Fields(args)...)...)
	p.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p.Stdout, p.Stderr = w, w
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	go func() {
		for lines := bufio.NewScanner(r); lines.Scan(); {
			p.log <- lines.Text()
		}
		close(p.log)
	}()
	t.Cleanup(func() {
		syscall.Kill(-p.Process.Pid, syscall.SIGKILL)
		r.Close()
	})
	return p
}

// until waits for a line of the log.
func (p *played) until(t *testing.T, text string) {
	t.Helper()
	late := time.After(patience)
	for {
		select {
		case line, ok := <-p.log:
			if !ok {
				t.Fatalf("the log ended without %q:\n%s", text, p.seen.String())
			}
			fmt.Fprintln(&p.seen, line)
			if strings.Contains(line, text) {
				return
			}
		case <-late:
			t.Fatalf("no %q in the log:\n%s", text, p.seen.String())
		}
	}
}

const ready = "Application startup complete."

// signal sends a signal to the process.
func (p *played) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// ends wants the process to end so.
func (p *played) ends(t *testing.T, how string) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.Wait() // how it ended is in ProcessState
	}()
	select {
	case <-done:
		if got := p.ProcessState.String(); got != how {
			t.Errorf("ended with %q, want %q", got, how)
		}
	case <-time.After(patience):
		t.Errorf("still runs, want %q", how)
		p.Process.Kill()
		<-done
	}
}

// stream opens a long stream and reads its first frame.
func (p *played) stream(t *testing.T) (*http.Response, *bufio.Reader) {
	t.Helper()
	resp, err := http.Post(p.url+"/v1/completions", "application/json", strings.NewReader(long(20_000)))
	if err != nil {
		t.Fatal(err)
	}
	body := bufio.NewReader(resp.Body)
	if _, err := body.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	return resp, body
}

func TestAServerThatIsToldToEndEndsWithZero(t *testing.T) {
	t.Parallel()
	for _, version := range versions {
		p := start(t, "--as "+version)
		p.until(t, ready)
		p.signal(t, syscall.SIGTERM)
		p.ends(t, "exit status 0")
	}
}

func TestASignalDuringImportsKillsAtOnce(t *testing.T) {
	t.Parallel()
	p := start(t, "--start-delay 400s")
	time.Sleep(500 * time.Millisecond) // it says nothing meanwhile
	p.signal(t, syscall.SIGTERM)
	p.ends(t, "signal: terminated")
}

func TestANewServerLosesOneSignalWhileItsEngineStartsAndAnOldOneEndsByIt(t *testing.T) {
	t.Parallel()
	p := start(t, "--fail late-start=1s")
	p.until(t, "Starting to load model")
	p.signal(t, syscall.SIGTERM)
	p.until(t, ready)
	p.signal(t, syscall.SIGTERM)
	p.ends(t, "exit status 0")

	p = start(t, "--fail no-start")
	p.until(t, "KV cache size")
	p.signal(t, syscall.SIGTERM)
	time.Sleep(300 * time.Millisecond) // two signals at once would be one
	p.signal(t, syscall.SIGTERM)
	p.until(t, "KeyboardInterrupt: terminated")
	p.ends(t, "signal: interrupt")

	p = start(t, "--as 0.17.1 --fail no-start")
	p.until(t, "KV cache size")
	p.signal(t, syscall.SIGTERM)
	p.ends(t, "signal: interrupt")
}

func TestAnOpenStreamIsAbortedByANewServerInOneOfTwoWays(t *testing.T) {
	t.Parallel()
	for seed, want := range map[string]string{"2": `"finish_reason":"abort"`, "3": `data: {"error": {"message": "EngineCore encountered an issue.`} {
		p := start(t, "--step-time 10ms --sim-seed "+seed)
		p.until(t, ready)
		resp, body := p.stream(t)
		p.signal(t, syscall.SIGTERM)
		rest, err := io.ReadAll(body)
		resp.Body.Close()
		if err != nil || !strings.Contains(string(rest), want) || !strings.HasSuffix(string(rest), "data: [DONE]\n\n") {
			t.Errorf("seed %s: %v, the stream ended with %q", seed, err, rest[max(0, len(rest)-400):])
		}
		p.ends(t, "exit status 0")
	}
}

func TestAnOpenStreamHoldsAnOldServerUpAndStalls(t *testing.T) {
	t.Parallel()
	p := start(t, "--as 0.15.1 --step-time 5ms")
	p.until(t, ready)
	resp, body := p.stream(t)
	p.signal(t, syscall.SIGTERM)
	p.until(t, "Waiting for connections to close.")
	if _, err := http.Get(p.url + "/health"); err == nil {
		t.Error("a new connection was taken")
	}
	time.Sleep(500 * time.Millisecond)
	drained := body.Buffered()
	if _, err := body.Discard(drained); err != nil {
		t.Fatal(err)
	}
	if err := p.Process.Signal(syscall.Signal(0)); err != nil {
		t.Error("it ended although a stream was open")
	}
	resp.Body.Close()
	p.ends(t, "exit status 0")
}

func TestAServerWithTimeToDrainLetsStreamsEnd(t *testing.T) {
	t.Parallel()
	p := start(t, "--step-time 20ms --shutdown-timeout 60")
	p.until(t, ready)
	answer := make(chan string, 1)
	go func() {
		_, body := post(t, p.url+"/v1/completions", long(30))
		answer <- body
	}()
	for running := false; !running; {
		_, text := get(t, p.url+"/metrics")
		running = strings.Contains(text, `vllm:num_requests_running{engine="0",model_name="m"} 1.0`)
	}
	p.signal(t, syscall.SIGTERM)
	if body := <-answer; !strings.Contains(body, `"finish_reason":"length"`) {
		t.Errorf("the stream ended with %q", body[max(0, len(body)-300):])
	}
	p.ends(t, "exit status 0")
}

func TestAnEngineThatDiesEndsStreamsWithAnErrorAndTheServerWithZero(t *testing.T) {
	t.Parallel()
	p := start(t, "--fail crash-at-request=2")
	p.until(t, ready)
	resp, body := p.stream(t)
	defer resp.Body.Close()
	if status, text := post(t, p.url+"/v1/completions", streamed); status != 500 || !strings.Contains(text, "EngineCore encountered an issue") {
		t.Errorf("the deadly request: %d %s", status, text)
	}
	if status, _ := get(t, p.url+"/health"); status != 503 {
		t.Errorf("health %d, want 503", status)
	}
	rest, err := io.ReadAll(body)
	if err != nil || !strings.HasSuffix(string(rest), `"code": 500}}`+"\n\ndata: [DONE]\n\n") {
		t.Errorf("%v, the stream ended with %q", err, rest[max(0, len(rest)-300):])
	}
	p.until(t, "died unexpectedly")
	p.ends(t, "exit status 0")

	p = start(t, "--fail crash-after=100ms")
	p.ends(t, "exit status 0")
}

func TestAHangingEngineLeavesTheRestOfTheServerAlive(t *testing.T) {
	t.Parallel()
	p := start(t, "--fail hang-after=1ms")
	p.until(t, ready)
	time.Sleep(300 * time.Millisecond) // its time counts from about the line above
	client := http.Client{Timeout: 500 * time.Millisecond}
	if resp, err := client.Post(p.url+"/v1/completions", "application/json", strings.NewReader(`{"model":"m","prompt":"x","max_tokens":1}`)); err == nil {
		t.Errorf("a hanging engine answered %d", resp.StatusCode)
	}
	for _, path := range []string{"/health", "/metrics", "/v1/models"} {
		if status, _ := get(t, p.url+path); status != 200 {
			t.Errorf("%s: %d", path, status)
		}
	}
}

func TestAStartThatIsToldToFailFails(t *testing.T) {
	t.Parallel()
	p := start(t, "--fail exit-at-start=7")
	p.until(t, "Engine core initialization failed. See root cause above.")
	if !strings.Contains(p.seen.String(), "told to exit at the start") {
		t.Errorf("the log gives no cause:\n%s", p.seen.String())
	}
	p.ends(t, "exit status 7")

	p = start(t, "--kv-tokens 1600 --max-model-len 4096")
	p.until(t, "Engine core initialization failed.")
	if !strings.Contains(p.seen.String(), "is needed, which is larger than the available KV cache memory") {
		t.Errorf("the log gives no cause:\n%s", p.seen.String())
	}
	p.ends(t, "exit status 1")
}

func TestUntilItIsReadyConnectionsAreRefusedAndThePortIsTaken(t *testing.T) {
	t.Parallel()
	p := start(t, "--fail no-start")
	p.until(t, "KV cache size")
	if _, err := http.Get(p.url + "/health"); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("got %v, want a refused connection", err)
	}
	second := exec.Command(os.Args[0], "play", "m", "--port", p.port, "--start-delay", "0s")
	text, err := second.CombinedOutput()
	if second.ProcessState.ExitCode() != 1 || !strings.HasSuffix(string(text), "OSError: [Errno 98] Address already in use\n") {
		t.Errorf("a second server on the port: %v %s", err, text)
	}
}

// children waits for the engine's process and returns all child processes with their names.
func children(t *testing.T, p *played, n int) map[int]string {
	t.Helper()
	names := map[int]string{}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", p.Process.Pid, p.Process.Pid))
	tasks, globErr := os.ReadDir(fmt.Sprintf("/proc/%d/task", p.Process.Pid))
	if globErr != nil {
		t.Fatal(globErr)
	}
	for _, task := range tasks { // a child belongs to the thread that started it
		more, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", p.Process.Pid, task.Name()))
		if err == nil {
			text = append(append(text, ' '), more...)
		}
	}
	if err != nil {
		t.Skip("this kernel does not list children:", err)
	}
	for _, field := range strings.Fields(string(text)) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		for range 100 {
			comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
			if err != nil {
				t.Fatal(err)
			}
			if names[pid] = strings.TrimSpace(string(comm)); strings.HasPrefix(names[pid], "VLLM::") {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	if len(names) != n {
		t.Fatalf("the server has children %v, want %d", names, n)
	}
	return names
}

// engineOf is the pid of the engine's process.
func engineOf(t *testing.T, p *played, n int) int {
	t.Helper()
	for pid, name := range children(t, p, n) {
		if name == "VLLM::EngineCor" {
			return pid
		}
	}
	t.Fatal("no child is the engine")
	return 0
}

func alive(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(text), ") Z ")
}

func TestChildProcessesLiveAndDieWithTheServer(t *testing.T) {
	t.Parallel()
	p := start(t, "--workers 2")
	p.until(t, ready)
	pid := engineOf(t, p, 2)
	if group, err := syscall.Getpgid(pid); err != nil || group != p.Process.Pid {
		t.Errorf("the engine is in group %d (%v), want %d", group, err, p.Process.Pid)
	}
	if !strings.Contains(p.seen.String(), fmt.Sprintf("(EngineCore pid=%d)", pid)) {
		t.Errorf("the log does not name the engine's process %d:\n%s", pid, p.seen.String())
	}
	p.signal(t, syscall.SIGTERM)
	p.ends(t, "exit status 0")
	if alive(pid) {
		t.Error("the engine outlived an orderly stop")
	}

	p = start(t, "--workers 1")
	p.until(t, ready)
	pid = engineOf(t, p, 1)
	p.signal(t, syscall.SIGKILL)
	p.ends(t, "signal: killed")
	if !alive(pid) {
		t.Error("the engine did not outlive a killed server")
	}
}

func TestKillingOrStoppingTheEnginesProcessDoesItToTheEngine(t *testing.T) {
	t.Parallel()
	p := start(t, "--workers 2 --step-time 5ms")
	p.until(t, ready)
	pid := engineOf(t, p, 2)
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond)
	client := http.Client{Timeout: 500 * time.Millisecond}
	if _, err := client.Post(p.url+"/v1/completions", "application/json", strings.NewReader(streamed)); err == nil {
		t.Error("a stopped engine answered")
	}
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if status, text := post(t, p.url+"/v1/completions", streamed); status != 200 || !strings.HasSuffix(text, "[DONE]\n\n") {
		t.Errorf("an engine that goes on: %d %s", status, text)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	p.ends(t, "exit status 0")
}

func TestASignalToTheWholeGroupWhileTheEngineStartsLeavesAServerThatNeverComesUp(t *testing.T) {
	t.Parallel()
	p := start(t, "--workers 1 --fail late-start=1s")
	p.until(t, "KV cache size")
	pid := engineOf(t, p, 1)
	if err := syscall.Kill(-p.Process.Pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(patience); alive(pid) && time.Now().Before(end); {
		time.Sleep(20 * time.Millisecond)
	}
	time.Sleep(1500 * time.Millisecond) // past the moment at which it would have been ready
	if _, err := http.Get(p.url + "/health"); err == nil || !alive(p.Process.Pid) {
		t.Errorf("health: %v, alive: %v; want it silent and alive", err, alive(p.Process.Pid))
	}
}

func TestAForeignPortIsAnsweredByAProcessOfAnotherSession(t *testing.T) {
	t.Parallel()
	p := start(t, "--fail foreign-port")
	p.until(t, ready)
	if status, _ := get(t, p.url+"/health"); status != 200 {
		t.Errorf("health: %d", status)
	}
	syscall.Kill(-p.Process.Pid, syscall.SIGKILL) // the whole group: the outsider is not in it, and ends by itself
	p.ends(t, "signal: killed")
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if _, err := http.Get(p.url + "/health"); err != nil {
			return
		}
	}
	t.Error("the outsider outlived the server")
}
