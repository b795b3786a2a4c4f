package sim

import (
	"compress/gzip"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Answers and files of a session as they were recorded of the real ones; the numbers in the names are left out.
func TestTheProfilerAnswersAndNamesItsFilesAsItsVersionDoes(t *testing.T) {
	for _, tc := range []struct {
		as    string
		args  string // of --profiler-config; empty: by the environment
		codes []int  // start, start again, stop, stop again
		files []string
	}{
		{"0.32.0", ``, []int{200, 409, 200, 200}, []string{"H_N.async_llm.N.pt.trace.json.gz", "H_N.async_llm.profiler_out.txt", "rank0.N.pt.trace.json.gz", "rank0.profiler_out.txt"}},
		{"0.32.0", `,"ignore_frontend":true`, []int{200, 409, 200, 200}, []string{"rank0.N.pt.trace.json.gz", "rank0.profiler_out.txt"}},
		{"0.17.1", ``, []int{200, 200, 200, 500}, []string{"H_N.async_llm.N.pt.trace.json.gz", "N-rank-0.N.pt.trace.json.gz", "profiler_out_0.txt"}},
		{"0.15.1", `env`, []int{200, 200, 200, 500}, []string{"H_N.async_llm.N.pt.trace.json.gz", "N-rank-0.N.pt.trace.json.gz", "profiler_out_0.txt"}},
		{"0.15.1", `,"ignore_frontend":true`, []int{200, 200, 200, 200}, []string{"N-rank-0.N.pt.trace.json.gz", "profiler_out_0.txt"}},
		{"0.8.5", `env`, []int{200, 200, 200, 200}, []string{"H_N.N.pt.trace.json.gz"}},
	} {
		dir := t.TempDir()
		args := []string{"--as", tc.as}
		if tc.args == "env" {
			t.Setenv("VLLM_TORCH_PROFILER_DIR", dir)
		} else {
			args = append(args, "--profiler-config", `{"profiler":"torch","torch_profiler_dir":"`+dir+`"`+tc.args+`}`)
		}
		web := serve(t, args...)
		for i, path := range []string{"/start_profile", "/start_profile", "/stop_profile", "/stop_profile"} {
			if status, body := post(t, web.URL+path, ""); status != tc.codes[i] {
				t.Errorf("%s: call %d: %d %s, want %d", tc.as, i, status, body, tc.codes[i])
			}
		}
		if diff := cmp.Diff(tc.files, namesIn(t, dir)); diff != "" {
			t.Errorf("%s: files: %s", tc.as, diff)
		}
		os.Unsetenv("VLLM_TORCH_PROFILER_DIR")
	}
	t.Setenv("VLLM_TORCH_PROFILER_DIR", t.TempDir())
	if status, _ := post(t, serve(t).URL+"/start_profile", ""); status != http.StatusNotFound {
		t.Errorf("0.32.0 took the variable that it does not know: %d", status)
	}
}

var digits = regexp.MustCompile(`\b[0-9]{2,}\b`)

func namesIn(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	host, names := hostName(), []string{}
	for _, e := range entries {
		name := strings.ReplaceAll(e.Name(), host+"_", "H ")
		names = append(names, strings.ReplaceAll(digits.ReplaceAllString(name, "N"), "H ", "H_"))
	}
	slices.Sort(names)
	return names
}

func TestTheOldestVersionAnswersAStopBeforeItsFileIsWritten(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("VLLM_TORCH_PROFILER_DIR", dir)
	web := serve(t, "--as", "0.8.5")
	post(t, web.URL+"/start_profile", "")
	post(t, web.URL+"/v1/completions", streamed)
	post(t, web.URL+"/stop_profile", "")
	files, err := filepath.Glob(filepath.Join(dir, "*.gz"))
	if err != nil || len(files) != 1 {
		t.Fatalf("files %v (%v)", files, err)
	}
	if info, err := os.Stat(files[0]); err != nil || info.Size() != 0 {
		t.Errorf("when the stop is answered the file has %d bytes already (%v)", info.Size(), err)
	}
	for info, err := os.Stat(files[0]); err == nil && info.Size() == 0; info, err = os.Stat(files[0]) {
		time.Sleep(10 * time.Millisecond)
	}
}

func TestAWorkerWritesByItselfAfterItsLastStep(t *testing.T) {
	dir := t.TempDir()
	web := serve(t, "--step-time", "1ms", "--profiler-config", `{"profiler":"torch","torch_profiler_dir":"`+dir+`","torch_profiler_with_stack":false,"max_iterations":3,"ignore_frontend":true}`)
	post(t, web.URL+"/start_profile", "")
	post(t, web.URL+"/v1/completions", `{"model":"m","prompt":[1,2,3],"max_tokens":20,"ignore_eos":true}`)
	files, err := filepath.Glob(filepath.Join(dir, "rank0.*.gz"))
	if err != nil || len(files) != 1 {
		t.Fatalf("before anybody asked for a stop there are %v (%v)", files, err)
	}
	steps := 0
	for _, e := range traceIn(t, files[0]) {
		if e.Cat == "user_annotation" {
			steps++
		}
	}
	if steps != 3 {
		t.Errorf("%d steps in the trace, want 3", steps)
	}
	if status, _ := post(t, web.URL+"/stop_profile", ""); status != 200 {
		t.Errorf("the stop was answered with %d", status)
	}
	if again, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(again) != 2 {
		t.Errorf("after the stop there are %v (%v)", again, err)
	}
}

type traceEvent struct {
	Ph, Cat, Name string
	Ts, Dur       float64
	Args          struct {
		Correlation int
		Graph       int `json:"graph id"`
	}
}

func traceIn(t *testing.T, path string) []traceEvent {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Events []json.RawMessage `json:"traceEvents"`
	}
	if err := json.NewDecoder(z).Decode(&doc); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	var events []traceEvent
	for _, raw := range doc.Events {
		var e traceEvent
		if err := json.Unmarshal(raw, &e); err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		events = append(events, e)
	}
	return events
}

func TestATraceHoldsTheStepsThatTheEngineMadeWithTheTimesItMadeThemIn(t *testing.T) {
	dir := t.TempDir()
	web := serve(t, "--step-time", "4ms", "--noise", "0", "--run-noise", "0", "--kv-time", "0s", "--decode-time", "0s", "--prefill-time", "0s",
		"--profiler-config", `{"profiler":"torch","torch_profiler_dir":"`+dir+`","torch_profiler_with_stack":false,"ignore_frontend":true}`)
	post(t, web.URL+"/start_profile", "")
	post(t, web.URL+"/v1/completions", `{"model":"m","prompt":[1,2,3,4,5],"max_tokens":6,"ignore_eos":true}`)
	post(t, web.URL+"/stop_profile", "")
	files, err := filepath.Glob(filepath.Join(dir, "rank0.*.gz"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	var marks []traceEvent
	launched, graphed, kernels := map[int]string{}, 0, 0
	for _, e := range traceIn(t, files[0]) {
		switch e.Cat {
		case "user_annotation":
			marks = append(marks, e)
		case "cuda_runtime":
			launched[e.Args.Correlation] = e.Name
		case "kernel":
			kernels++
			if launched[e.Args.Correlation] == "" {
				t.Fatalf("nothing launched %+v", e)
			}
			if (launched[e.Args.Correlation] == "cudaGraphLaunch") != (e.Args.Graph > 0) {
				t.Fatalf("%+v was launched by %s", e, launched[e.Args.Correlation])
			}
			if e.Args.Graph > 0 {
				graphed++
			}
		}
	}
	if len(marks) != 6 || marks[0].Name != "execute_context_1(5)_generation_0(0)" || marks[1].Name != "execute_context_0(0)_generation_1(1)" {
		t.Fatalf("steps %+v", marks)
	}
	for i := 2; i < len(marks); i++ { // 4 ms, and a tenth for the profiler
		if period := marks[i].Ts - marks[i-1].Ts; period < 4399 || period > 4401 {
			t.Errorf("step %d took %.3f us, want 4400", i-1, period)
		}
	}
	each := simLayers * len(layerKernels)
	if graphed != 5*each || kernels != 6*(each+len(sampleKernels)) {
		t.Errorf("%d kernels, %d in graphs; want %d and %d", kernels, graphed, 6*(each+len(sampleKernels)), 5*each)
	}
}
