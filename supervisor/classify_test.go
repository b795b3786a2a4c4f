package supervisor

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"lab/internal/lab"
)

// recorded reads a log as the supervisor would have seen it; a leading number is the second it was written in.
func recorded(t *testing.T, stderr bool, path ...string) []lab.LogLine {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		return nil // some recordings lack one of the two
	}
	stamp := regexp.MustCompile(`^ *(\d+\.\d{3}) `)
	var s splitter
	var lines []lab.LogLine
	for _, text := range append(s.feed(text), s.feed([]byte("\n"))...) {
		line := lab.LogLine{Text: text, Stderr: stderr}
		if m := stamp.FindStringSubmatch(text); m != nil && strings.Contains(filepath.Base(path[len(path)-1]), "stamped") {
			seconds, _ := strconv.ParseFloat(m[1], 64)
			line.At, line.Text = time.Duration(seconds*1e9), text[len(m[0]):]
		}
		lines = append(lines, line)
	}
	return lines
}

// phaseOf replays a log through the stages of a start-up.
func phaseOf(lines []lab.LogLine) string {
	var s startup
	for _, line := range lines {
		s.see(line)
	}
	if stages[s.now].name == "canary" {
		return serving
	}
	return stages[s.now].name
}

type wanted struct {
	class  string
	reason string // part of it
	quote  string // a quoted line begins so
	phase  string
}

func check(t *testing.T, f *lab.Failure, want wanted, exit string) {
	t.Helper()
	switch {
	case f == nil:
		t.Fatal("no failure")
	case f.Class != want.class || !strings.Contains(f.Reason, want.reason) || f.Exit != exit || f.Phase != want.phase:
		t.Errorf("failure is %+v, want %+v and exit %q", *f, want, exit)
	}
	for _, line := range f.Quote {
		if strings.HasPrefix(line, want.quote) {
			return
		}
	}
	t.Errorf("no quoted line begins with %q: %q", want.quote, f.Quote)
}

func TestEveryRecordedLaunchFailureIsNamedByItsCause(t *testing.T) {
	want := map[string]wanted{
		"bad-choice":                        {lab.FailArguments, "--kv-cache-dtype: invalid choice: 'nonsense'", "vllm serve: error: argument --kv-cache-dtype", "import"},
		"bad-json":                          {lab.FailArguments, "--profiler-config: Invalid JSON: key must be a string", "vllm serve: error: argument --profiler-config", "import"},
		"json-unknown-key":                  {lab.FailArguments, "--profiler-config: nokey: Unexpected keyword argument", "nokey", "import"},
		"missing-value":                     {lab.FailArguments, "--port: expected one argument", "vllm serve: error: argument --port", "import"},
		"not-an-int":                        {lab.FailArguments, "invalid human_readable_int value: 'abc'", "vllm serve: error: argument --max-num-batched-tokens", "import"},
		"unknown-flag-disable-log-requests": {lab.FailArguments, "vllm does not know --disable-log-requests", "vllm: error: unrecognized", "import"},
		"unknown-flag-swap-space":           {lab.FailArguments, "vllm does not know --swap-space 4", "vllm: error: unrecognized", "import"},
		"unknown-flag-swap-space-again":     {lab.FailArguments, "vllm does not know --swap-space 4", "vllm: error: unrecognized", "import"},
		"bad-value-gpu-mem":                 {lab.FailConfig, "gpu_memory_utilization: Input should be less than or equal to 1", "gpu_memory_utilization", "config"},
		"batched-tokens-too-small":          {lab.FailConfig, "max_num_batched_tokens (16) must be greater than or equal to max_num_seqs (64)", "  Value error, max_num_batched_tokens (16)", "config"},
		"max-model-len-too-large":           {lab.FailConfig, "User-specified max_model_len (999999) is greater than", "  Value error, User-specified", "config"},
		"no-such-hub-model":                 {lab.FailModel, "Cannot find an appropriate cached snapshot folder", "huggingface_hub.errors.LocalEntryNotFoundError", "config"},
		"no-such-model":                     {lab.FailModel, "'/models/nothere'", "huggingface_hub.errors.HFValidationError", "config"},
		"underscore-flag-no-such-model":     {lab.FailModel, "'/models/nothere'", "huggingface_hub.errors.HFValidationError", "config"},
		"port-in-use":                       {lab.FailPort, "the port was taken", "OSError: [Errno 98] Address already in use", "config"},
		"kv-blocks-too-few":                 {lab.FailMemory, "max seq len (2048)", "ValueError: To serve at least one request", "weights"},
		"weights-missing":                   {lab.FailModel, "Cannot find any model weights with `/models/tiny`", "RuntimeError: Cannot find any model weights", "weights"},
	}
	folders, err := os.ReadDir("testdata/launch")
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range folders {
		t.Run(folder.Name(), func(t *testing.T) {
			dir := filepath.Join("testdata/launch", folder.Name())
			code, err := os.ReadFile(filepath.Join(dir, "exit_code.txt"))
			if folder.Name() == "unknown-env-var" {
				if err == nil {
					t.Fatal("it started, and yet there is an exit code")
				}
				return // only a warning: vllm started
			}
			if err != nil {
				t.Fatal(err)
			}
			exit, err := strconv.Atoi(strings.TrimSpace(string(code)))
			if err != nil {
				t.Fatal(err)
			}
			lines := append(recorded(t, false, dir, "stdout.txt"), recorded(t, true, dir, "stderr.txt")...)
			f := Classify(lines, Exit{Code: exit, Exited: true}, false, phaseOf(lines))
			expected, ok := want[folder.Name()]
			if !ok {
				t.Fatalf("a recording without an expectation: %+v", f)
			}
			check(t, f, expected, "exit code "+strconv.Itoa(exit))
		})
	}
}

// lastExit reads how the recorded API process ended.
func lastExit(t *testing.T, folder string) Exit {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata/lifecycle", folder, "events.json"))
	if err != nil {
		t.Fatal(err)
	}
	var events []struct {
		Event string
		RC    any
	}
	if err := json.Unmarshal(text, &events); err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if rc, ok := e.RC.(float64); ok && strings.Contains(e.Event, "api process exited") {
			if rc < 0 {
				return Exit{Signal: syscall.Signal(-rc), Exited: true}
			}
			return Exit{Code: int(rc), Exited: true}
		}
	}
	return Exit{}
}

func TestEveryRecordedEndIsAFailureUnlessLabAskedForIt(t *testing.T) {
	want := map[string]struct {
		exit    string
		asked   bool   // the recorder stopped it the way lab does
		unasked wanted // what it is if nobody asked
	}{
		"L0-main-sigterm-20-streams":               {"", true, wanted{lab.FailExit, "had not asked for it", "", serving}},
		"L1-dev-stop-disconnect-sigterm-midstream": {"", true, wanted{lab.FailExit, "stopped working", "", serving}},
		"L2-sigint":                             {"exit code 0", true, wanted{lab.FailExit, "had not asked for it", "", serving}},
		"L3-sigkill-api":                        {"killed by signal 9", false, wanted{lab.FailExit, "killed by signal 9", "", serving}},
		"L4-kill-enginecore":                    {"exit code 0", false, wanted{lab.FailEngine, "the engine died: [shutdown] MPClient: engine core exited unexpectedly", "[shutdown] MPClient: engine core exited unexpectedly", serving}},
		"L5-sigterm-idle":                       {"exit code 0", true, wanted{lab.FailExit, "had not asked for it", "", serving}},
		"L6-sigterm-during-startup":             {"", true, wanted{lab.FailExit, "stopped working", "", serving}},
		"L7-kill-worker":                        {"exit code 0", false, wanted{lab.FailEngine, "the engine died: Worker proc VllmWorker-0 died unexpectedly", "Worker proc VllmWorker-0 died unexpectedly", serving}},
		"L8-sigterm-midstream":                  {"exit code 0", true, wanted{lab.FailEngine, "the engine died", "vllm.v1.engine.exceptions.EngineDeadError", serving}},
		"L9-sigterm-during-imports":             {"killed by signal 15", true, wanted{lab.FailExit, "killed by signal 15", "", "import"}},
		"L10-sigterm-repeated-during-startup":   {"killed by signal 2", true, wanted{lab.FailExit, "killed by signal 2", "KeyboardInterrupt: terminated", "kv-cache"}},
		"L11-sigterm-once-during-engine-start":  {"exit code 0", true, wanted{lab.FailExit, "had not asked for it", "", serving}},
		"L12-sigint-once-during-engine-start":   {"exit code 0", true, wanted{lab.FailEngine, "the engine died", "vllm.v1.engine.exceptions.EngineDeadError", serving}},
		"L13-sigterm-group-during-engine-start": {"", false, wanted{lab.FailEngine, "the engine did not start", "EngineCore failed to start.", "engine"}},
	}
	folders, err := os.ReadDir("testdata/lifecycle")
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range folders {
		t.Run(folder.Name(), func(t *testing.T) {
			expected, ok := want[folder.Name()]
			if !ok {
				t.Fatal("a recording without an expectation")
			}
			lines := recorded(t, false, "testdata/lifecycle", folder.Name(), "serve.stamped.log")
			exit := lastExit(t, folder.Name())
			phase := phaseOf(lines)
			switch folder.Name() {
			case "L3-sigkill-api":
				exit = Exit{Signal: syscall.SIGKILL, Exited: true} // the recorder was not its parent, but killed it so
				phase = serving
			case "L0-main-sigterm-20-streams":
				phase = serving // its log was not kept
			}
			if exit.String() != expected.exit {
				t.Errorf("exit is %q, want %q", exit, expected.exit)
			}
			if f := Classify(lines, exit, true, phase); f != nil {
				t.Errorf("asked for, and yet a failure: %+v", *f)
			}
			f := Classify(lines, exit, false, phase)
			if expected.unasked.quote == "" && len(f.Quote) == 0 {
				f.Quote = []string{""} // nothing was logged
			}
			check(t, f, expected.unasked, expected.exit)
		})
	}
}

func TestOlderVersionsFailuresAreNamedByTheirCauseOnStdout(t *testing.T) {
	for name, c := range map[string]struct {
		exit  Exit
		phase string
		want  wanted
	}{
		"0.8.5-startup-failure":         {Exit{Code: 1, Exited: true}, "", wanted{lab.FailEnviron, "No module named 'setuptools'", "ModuleNotFoundError: No module named 'setuptools'", "engine"}},
		"0.12.0-profiler-env-crash":     {Exit{Signal: syscall.SIGSEGV, Exited: true}, serving, wanted{lab.FailEngine, "'profile' object has no attribute 'annotate_context_manager'", "EngineCore encountered a fatal error.", serving}},
		"0.17.1-sigterm-during-startup": {Exit{Signal: syscall.SIGINT, Exited: true}, "", wanted{lab.FailExit, "killed by signal 2", "KeyboardInterrupt: terminated", "config"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join("testdata/older", name)
			lines := append(recorded(t, false, dir, "serve.stdout.log"), recorded(t, true, dir, "serve.stderr.log")...)
			phase := c.phase
			if phase == "" {
				phase = phaseOf(lines)
			}
			check(t, Classify(lines, c.exit, false, phase), c.want, c.exit.String())
		})
	}
}

func TestTheStartUpIsSplitIntoStages(t *testing.T) {
	var s startup
	s.begin(0)
	for _, line := range recorded(t, false, "testdata/lifecycle/L4-kill-enginecore/serve.stamped.log") {
		s.see(line)
	}
	var names []string
	var sum time.Duration
	for _, stage := range s.seen[:len(s.seen)-1] {
		names = append(names, stage.Name)
		sum += stage.Took
	}
	if got := strings.Join(names, " "); got != "import config engine weights kv-cache routes" {
		t.Errorf("stages are %s", got)
	}
	if s.seen[1].At != 69781*time.Millisecond || sum != 138305*time.Millisecond {
		t.Errorf("config begins at %s, all took %s", s.seen[1].At, sum)
	}
	for key, want := range map[string]string{
		"engine": "V1", "engine.max_seq_len": "2048", "engine.enable_prefix_caching": "True", "args.max_num_seqs": "64",
		"max_model_len": "2048", "kv_cache_tokens": "2097152", "engine.model": "/models/tiny", "engine.seed": "0",
	} {
		if s.resolved[key] != want {
			t.Errorf("resolved %s is %q, want %q", key, s.resolved[key], want)
		}
	}
	for _, key := range []string{"args.port", "engine.served_model_name", "args.served_model_name"} {
		if value, there := s.resolved[key]; there {
			t.Errorf("%s=%s would differ in every comparison", key, value)
		}
	}
}

func TestTheCacheConfigurationComesFromTheMetrics(t *testing.T) {
	text, err := os.ReadFile("testdata/metrics-0.32.0.txt")
	if err != nil {
		t.Fatal(err)
	}
	got := cacheConfig(string(text))
	if got["num_gpu_blocks"] != "16384" || got["gpu_memory_utilization"] != "0.92" || got["engine"] != "" || got["sliding_window"] != "" {
		t.Errorf("resolved %v", got)
	}
}

func TestAnErrorOfOneRequestIsNotTheCauseOfALaterDeath(t *testing.T) {
	lines := []lab.LogLine{
		{Text: "(APIServer pid=1) ERROR 11-25 04:05:35 [serving.py:9] ValueError: bad request of somebody"},
		{Text: "(APIServer pid=1) INFO 11-25 04:05:36 [x.py:9] fine"},
	}
	f := Classify(lines, Exit{Signal: syscall.SIGKILL, Exited: true}, false, serving)
	if f.Class != lab.FailExit || strings.Contains(f.Reason, "bad request") {
		t.Errorf("failure is %+v", *f)
	}
}

func FuzzClassify(f *testing.F) {
	for _, name := range []string{"launch/weights-missing/stdout.txt", "launch/bad-json/stderr.txt", "launch/bad-value-gpu-mem/stderr.txt", "lifecycle/L7-kill-worker/serve.stamped.log"} {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, 1, false)
		f.Add(text, 2, true)
	}
	f.Add([]byte("non-default args: {'a': [}, 'b\nInitializing a V\nInitializing a V1 LLM engine with config: a=(,b=\nx: error: argument y: 1 validation error for Z"), 0, true)
	f.Fuzz(func(t *testing.T, text []byte, code int, ready bool) {
		var s splitter
		var up startup
		up.begin(1)
		var lines []lab.LogLine
		for i, line := range append(s.feed(text), s.feed([]byte("\n"))...) {
			if strings.ContainsAny(line, "\r\n") || line == "" {
				t.Fatalf("line %q", line)
			}
			lines = append(lines, lab.LogLine{At: time.Duration(i + 1), Text: line})
			up.see(lines[i])
		}
		cacheConfig(string(text))
		cacheConfig("vllm:cache_config_info{" + string(text))
		phase := stages[up.now].name
		if ready {
			phase = serving
		}
		failure := Classify(lines, Exit{Code: code, Exited: true}, false, phase)
		if failure == nil || failure.Class == "" || failure.Reason == "" || len(failure.Quote) > 2*quoteLines {
			t.Fatalf("failure is %+v", failure)
		}
		if Classify(lines, Exit{Code: code, Exited: true}, true, phase) != nil {
			t.Fatal("a requested end is a failure")
		}
		for i := 1; i < len(up.seen); i++ {
			if up.seen[i].At < up.seen[i-1].At {
				t.Fatalf("stages go back in time: %+v", up.seen)
			}
		}
	})
}
