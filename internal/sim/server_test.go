package sim

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// The test binary also plays vllm.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "play" {
		os.Exit(Main(os.Args[2:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// serve runs a simulated server inside the test.
func serve(t *testing.T, args ...string) *httptest.Server {
	t.Helper()
	c, err := parse(append([]string{"m", "--step-time", "1ms", "--noise", "0"}, args...))
	if err != nil {
		t.Fatal(err)
	}
	traits, err := traitsOf(c.as)
	if err != nil {
		t.Fatal(err)
	}
	loop := newLoop(c.physics, c.faults)
	loop.ready = time.Now()
	s, err := newServer(c, traits, loop)
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	go loop.run(stop)
	web := httptest.NewServer(s.handler())
	t.Cleanup(func() {
		web.CloseClientConnections()
		web.Close()
		close(stop)
		<-loop.done
	})
	return web
}

func post(t *testing.T, url, body string) (int, string) {
	t.Helper()
	resp, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil && err != io.ErrUnexpectedEOF {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

const streamed = `{"model":"m","prompt":[9,10,11],"max_tokens":4,"ignore_eos":true,"stream":true,"stream_options":{"include_usage":true,"continuous_usage_stats":true}}`

func TestAStreamHasAFrameForEachTokenThenUsageThenTheMark(t *testing.T) {
	web := serve(t)
	status, body := post(t, web.URL+"/v1/completions", streamed)
	frames := strings.Split(strings.TrimSpace(body), "\n\n")
	if status != 200 || len(frames) != 6 || frames[5] != "data: [DONE]" {
		t.Fatalf("status %d, %d frames: %s", status, len(frames), body)
	}
	for i, frame := range frames[:5] {
		var f struct {
			Object  string `json:"object"`
			Choices []struct {
				Finish *string `json:"finish_reason"`
			} `json:"choices"`
			Usage struct {
				Output int `json:"completion_tokens"`
			} `json:"usage"`
		}
		if err := json.Unmarshal([]byte(strings.TrimPrefix(frame, "data: ")), &f); err != nil {
			t.Fatal(err)
		}
		last := i == 3
		if i < 4 && (len(f.Choices) != 1 || f.Usage.Output != i+1 || (f.Choices[0].Finish != nil) != last) || i == 4 && (len(f.Choices) != 0 || f.Usage.Output != 4) {
			t.Errorf("frame %d: %s", i, frame)
		}
	}
	_, body = post(t, web.URL+"/v1/chat/completions", `{"model":"m","messages":[{"role":"user","content":"hi"}],"max_tokens":2,"ignore_eos":true,"stream":true}`)
	if frames := strings.Split(strings.TrimSpace(body), "\n\n"); len(frames) != 4 || !strings.Contains(frames[0], `"role":"assistant"`) {
		t.Errorf("chat: %s", body)
	}
}

func TestRefusalsLookAsTheyDoInTheVersionThatIsPlayed(t *testing.T) {
	for _, tc := range []struct {
		as, body string
		status   int
		want     string
	}{
		{"0.32.0", `{"model":"nope","prompt":"x"}`, 404, `{"error":{"code":404,"message":"The model ` + "`nope`" + ` does not exist."`},
		{"0.8.5", `{"model":"nope","prompt":"x"}`, 404, `"object":"error"`},
		{"0.32.0", `{"model":"m","prompt":`, 400, `"type":"Bad Request"`},
		{"0.32.0", `{"model":"m","prompt":"x","max_tokens":0}`, 400, `max_tokens must be at least 1, got 0`},
		{"0.32.0", `{"model":"m","prompt":"x","max_tokens":99999999}`, 400, `cannot be greater than max_model_len`},
		{"0.32.0", `{"model":"m","prompt":""}`, 400, `non-empty`},
		{"0.32.0", `{"model":"m","prompt":[99999999],"max_tokens":2,"stream":true}`, 200, "data: {\"error\":{\"code\":400,\"message\":\"Token id 99999999 is out of vocabulary\""},
	} {
		web := serve(t, "--as", tc.as)
		status, body := post(t, web.URL+"/v1/completions", tc.body)
		if status != tc.status || !strings.Contains(body, tc.want) {
			t.Errorf("%s as %s: %d %s", tc.body, tc.as, status, body)
		}
	}
}

func TestAKeyIsAskedForBelowV1Only(t *testing.T) {
	web := serve(t, "--api-key", "secret")
	if status, _ := post(t, web.URL+"/v1/completions", streamed); status != 401 {
		t.Errorf("without the key: %d", status)
	}
	if resp, err := http.Get(web.URL + "/health"); err != nil || resp.StatusCode != 200 {
		t.Errorf("health: %v", err)
	}
}

func TestEveryVersionHasItsOwnMetricNames(t *testing.T) {
	for version, name := range map[string]string{"0.8.5": "vllm:gpu_cache_usage_perc", "0.32.0": "vllm:kv_cache_usage_perc"} {
		web := serve(t, "--as", version)
		post(t, web.URL+"/v1/completions", streamed)
		resp, err := http.Get(web.URL + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		parser := expfmt.NewTextParser(model.UTF8Validation)
		families, err := parser.TextToMetricFamilies(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if families[name] == nil || families["vllm:generation_tokens_total"].Metric[0].Counter.GetValue() != 4 {
			t.Errorf("%s: %v", version, families)
		}
	}
}

func TestThePowerOfTheSimulatedGPUFollowsTheLoad(t *testing.T) {
	read := func(web *httptest.Server) (watts, joules float64) {
		resp, err := http.Get(web.URL + "/sim/gpu")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var body struct {
			Devices []struct {
				Watts  float64 `json:"power_w"`
				Joules float64 `json:"energy_j"`
			} `json:"devices"`
		}
		if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
			t.Fatal(err)
		}
		return body.Devices[0].Watts, body.Devices[0].Joules
	}
	web := serve(t, "--step-time", "20ms")
	idle, before := read(web)
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		post(t, web.URL+"/v1/completions", strings.Replace(streamed, `"max_tokens":4`, `"max_tokens":20`, 1))
	}()
	time.Sleep(200 * time.Millisecond)
	busy, after := read(web)
	<-finished
	if idle != idleWatts || busy < decodeWatts-1 || after <= before {
		t.Errorf("idle %g W, busy %g W, energy %g then %g J", idle, busy, before, after)
	}
}

func TestToldFaultsHappenToTheStreams(t *testing.T) {
	for fail, want := range map[string]func(string) bool{
		"stream-errors=1": func(s string) bool {
			return strings.Contains(s, `"error"`) && strings.HasSuffix(s, "data: [DONE]\n\n")
		},
		"cut-streams=1": func(s string) bool { return strings.Contains(s, "choices") && !strings.Contains(s, "[DONE]") },
		"short=1": func(s string) bool {
			return strings.Contains(s, `"completion_tokens":2,`) && !strings.Contains(s, `"completion_tokens":4`)
		},
		"merge=1": func(s string) bool { return strings.Count(s, `"text"`) == 1 },
	} {
		web := serve(t, "--fail", fail)
		if _, body := post(t, web.URL+"/v1/completions", streamed); !want(body) {
			t.Errorf("%s: %s", fail, body)
		}
	}
}

func TestTheCommandLineIsVLLMs(t *testing.T) {
	for _, tc := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"serve", "m", "--max-num-seq", "4"}, 2, "vllm: error: unrecognized arguments: --max-num-seq 4"},
		{[]string{"serve", "m", "--swap-space", "4"}, 2, "vllm: error: unrecognized arguments: --swap-space 4"},
		{[]string{"serve", "m", "--port"}, 2, "vllm serve: error: argument --port: expected one argument"},
		{[]string{"serve", "m", "--max-num-seqs", "abc"}, 2, "vllm serve: error: argument --max-num-seqs: invalid int value: 'abc'"},
		{[]string{"serve", "m", "--kv-cache-dtype", "nonsense"}, 2, "invalid choice: 'nonsense' (choose from 'auto'"},
		{[]string{"serve", "/models/nothere"}, 1, "HFValidationError: Repo id must be in the form 'repo_name' or 'namespace/repo_name': '/models/nothere'"},
		{[]string{"serve", "m", "--max-num-batched-tokens", "16", "--max-num-seqs", "64"}, 1, "max_num_batched_tokens (16) must be greater than or equal to max_num_seqs (64)"},
		{[]string{"--version", "--as", "0.17.1"}, 0, "0.17.1\n"},
		{[]string{"serve", "--help=all", "--as", "0.15.1"}, 0, "--swap-space SWAP_SPACE"},
		{[]string{"m", "--as", "0.99"}, 2, "can play 0.8.5"},
		{[]string{"m", "--fail", "sometimes"}, 2, "unknown fault"},
		{[]string{"--help"}, 0, "--fail SPEC"},
	} {
		var out, errOut bytes.Buffer
		code := Main(tc.args, &out, &errOut)
		if code != tc.code || !strings.Contains(out.String()+errOut.String(), tc.want) {
			t.Errorf("%v: exit %d\n%s%s", tc.args, code, out.String(), errOut.String())
		}
	}
	for _, version := range versions {
		if len(flagsOf(version)) < 80 {
			t.Errorf("%s has only %d flags", version, len(flagsOf(version)))
		}
	}
}

// play starts the simulator as a process and waits until it is ready (or, with `starting`, until its engine starts).
func play(t *testing.T, until string, args ...string) (*exec.Cmd, string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	listener.Close()
	cmd := exec.Command(os.Args[0], append([]string{"play", "serve", "m", "--port", fmt.Sprint(port)}, args...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if strings.Contains(lines.Text(), until) {
			break
		}
	}
	go io.Copy(io.Discard, out)
	return cmd, fmt.Sprintf("http://127.0.0.1:%d", port)
}

// ended waits for the process and says how it ended; "" where it still runs after the limit.
func ended(cmd *exec.Cmd, limit time.Duration) string {
	done := make(chan struct{})
	go func() { cmd.Wait(); close(done) }()
	select {
	case <-done:
		return cmd.ProcessState.String()
	case <-time.After(limit):
		return ""
	}
}

func TestSignalsEndItAsTheyEndTheVersionThatIsPlayed(t *testing.T) {
	t.Run("idle", func(t *testing.T) {
		cmd, _ := play(t, "Starting vLLM server", "--as", "0.32.0")
		cmd.Process.Signal(syscall.SIGTERM)
		if how := ended(cmd, 10*time.Second); how != "exit status 0" {
			t.Errorf("ended with %q", how)
		}
	})
	t.Run("one signal while the engine starts is lost, a second is not", func(t *testing.T) {
		cmd, _ := play(t, "Starting to load model", "--as", "0.32.0", "--start-delay", "20s")
		cmd.Process.Signal(syscall.SIGTERM)
		time.Sleep(300 * time.Millisecond)
		cmd.Process.Signal(syscall.SIGTERM)
		if how := ended(cmd, 10*time.Second); how != "signal: interrupt" {
			t.Errorf("ended with %q", how)
		}
	})
	t.Run("an open stream holds old versions up", func(t *testing.T) {
		cmd, url := play(t, "Starting vLLM server", "--as", "0.15.1", "--step-time", "20ms")
		waitReady(t, url)
		resp, err := http.Post(url+"/v1/completions", "application/json", strings.NewReader(strings.Replace(streamed, `"max_tokens":4`, `"max_tokens":9999`, 1)))
		if err != nil {
			t.Fatal(err)
		}
		cmd.Process.Signal(syscall.SIGTERM)
		time.Sleep(500 * time.Millisecond)
		if err := cmd.Process.Signal(syscall.Signal(0)); err != nil {
			t.Error("it ended although a stream was open")
		}
		resp.Body.Close()
		if how := ended(cmd, 10*time.Second); how != "exit status 0" {
			t.Errorf("ended with %q", how)
		}
	})
	t.Run("an engine that dies ends it with code 0", func(t *testing.T) {
		cmd, _ := play(t, "Starting vLLM server", "--fail", "crash-after=200ms")
		if how := ended(cmd, 10*time.Second); how != "exit status 0" {
			t.Errorf("ended with %q", how)
		}
	})
}

func waitReady(t *testing.T, url string) {
	t.Helper()
	for range 100 {
		if resp, err := http.Get(url + "/health"); err == nil {
			resp.Body.Close()
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("never ready")
}

func TestUntilItIsReadyConnectionsAreRefusedAndThePortIsTaken(t *testing.T) {
	_, url := play(t, "Starting to load model", "--start-delay", "20s")
	if _, err := http.Get(url + "/health"); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("got %v, want a refused connection", err)
	}
	var errOut bytes.Buffer
	port := url[strings.LastIndexByte(url, ':')+1:]
	if code := Main([]string{"m", "--port", port}, io.Discard, &errOut); code != 1 || !strings.Contains(errOut.String(), "OSError: [Errno 98] Address already in use") {
		t.Errorf("a second server on the port: exit %d %s", code, errOut.String())
	}
}
