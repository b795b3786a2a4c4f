package profiling

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/pprof/profile"
)

// TestPprofShowsTheSumsOfAnIndependentCount converts each recorded trace and asks `go tool pprof` what it shows.
func TestPprofShowsTheSumsOfAnIndependentCount(t *testing.T) {
	text, err := os.ReadFile("testdata/expected.json")
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]expected
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	for name, want := range all {
		t.Run(name, func(t *testing.T) {
			s, err := ReadStacks(context.Background(), filepath.Join("testdata", name))
			if err != nil {
				t.Fatal(err)
			}
			cpu := want.Python + want.Unnamed
			for _, self := range want.Operators {
				cpu += self
			}
			if s.GPUTime != want.GPU || s.CPUTime != cpu || s.Damage != "" {
				t.Errorf("%d ns on the GPU and %d on the CPU, want %d and %d (%s)", s.GPUTime, s.CPUTime, want.GPU, cpu, s.Damage)
			}
			file := filepath.Join(t.TempDir(), "f.pb.gz")
			save(t, s, file)
			if want.GPU > 0 {
				total, flat := top(t, file, gpuTime)
				if total != want.GPU {
					t.Errorf("pprof shows %d ns on the GPU, want %d", total, want.GPU)
				}
				if diff := cmp.Diff(want.ByName, flat); diff != "" {
					t.Errorf("by kernel: %s", diff)
				}
			}
			if cpu > 0 && s.Folded == 0 {
				total, flat := top(t, file, cpuTime)
				if total != cpu {
					t.Errorf("pprof shows %d ns on the CPU, want %d", total, cpu)
				}
				for op, self := range want.Operators {
					if flat[op] != self {
						t.Errorf("%s: pprof shows %d ns, want %d", op, flat[op], self)
					}
				}
			}
		})
	}
}

func save(t *testing.T, s *Stacks, file string) {
	t.Helper()
	if err := s.profile.CheckValid(); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Write(f); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

var topLine = regexp.MustCompile(`^ *(\d+)ns? +\S+ +\S+ +(\d+)ns? +\S+ +(.*)$`)

// top is what `go tool pprof -top` prints: the total, and the time of each name that has any of its own.
func top(t *testing.T, file, kind string) (total time.Duration, flat map[string]time.Duration) {
	t.Helper()
	out, err := exec.Command("go", "tool", "pprof", "-top", "-unit=ns", "-nodecount=100000", "-nodefraction=0", "-edgefraction=0", "-sample_index="+kind, file).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	flat = map[string]time.Duration{}
	for line := range strings.Lines(string(out)) {
		line = strings.TrimRight(line, "\n")
		if m := regexp.MustCompile(`of (\d+)ns total`).FindStringSubmatch(line); m != nil {
			n, _ := strconv.ParseInt(m[1], 10, 64)
			total = time.Duration(n)
		}
		if m := topLine.FindStringSubmatch(line); m != nil && m[1] != "0" {
			n, _ := strconv.ParseInt(m[1], 10, 64)
			flat[m[3]] += time.Duration(n)
		}
	}
	return total, flat
}

func stacksOf(t *testing.T, text string) *Stacks {
	t.Helper()
	name := filepath.Join(t.TempDir(), "trace.json")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := ReadStacks(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// folded writes samples as lines, root first.
func folded(s *Stacks) []string {
	var all []string
	for _, sample := range s.profile.Sample {
		var frames []string
		for _, l := range sample.Location {
			f := l.Line[0].Function
			if f.SystemName != "" {
				frames = append(frames, "SYSTEM NAME")
			}
			frames = append([]string{f.Name}, frames...)
		}
		all = append(all, fmt.Sprint(strings.Join(frames, ";"), " ", sample.Value))
	}
	return all
}

// pythonTrace has Python functions, one of them longer than 32 bits of nanoseconds, launches that come behind their kernels, and a
// copy without one.
const pythonTrace = `[
{"ph":"X","cat":"python_function","name":"/v/lib/python3.12/site-packages/vllm/core.py(10): run","pid":1,"tid":1,"ts":0,"dur":5000000},
{"ph":"X","cat":"user_annotation","name":"execute_context_1(9)_generation_0(0)","pid":1,"tid":1,"ts":100,"dur":50},
{"ph":"X","cat":"python_function","name":"nn.Module: LlamaMLP_17","pid":1,"tid":1,"ts":100,"dur":30},
{"ph":"X","cat":"cpu_op","name":"aten::mm","pid":1,"tid":1,"ts":110,"dur":10},
{"ph":"X","cat":"user_annotation","name":"execute_context_0(0)_generation_2(2)","pid":1,"tid":1,"ts":200,"dur":50},
{"ph":"X","cat":"python_function","name":"<built-in method to of Tensor object at 0x7f12>","pid":1,"tid":1,"ts":260,"dur":10},
{"ph":"X","cat":"kernel","name":"void at::native::(anonymous namespace)::softmax<float, 2>(float*, int)","pid":0,"tid":7,"ts":300,"dur":7,"args":{"correlation":1}},
{"ph":"X","cat":"kernel","name":"gemm","pid":0,"tid":7,"ts":310,"dur":5,"args":{"correlation":2}},
{"ph":"X","cat":"kernel","name":"gemm","pid":0,"tid":7,"ts":315,"dur":6,"args":{"correlation":2}},
{"ph":"X","cat":"gpu_memcpy","name":"Memcpy HtoD (Pinned -> Device)","pid":0,"tid":8,"ts":330,"dur":1,"args":{"correlation":99}},
{"ph":"X","cat":"cuda_runtime","name":"cudaLaunchKernel","pid":1,"tid":1,"ts":112,"dur":2,"args":{"correlation":1}},
{"ph":"X","cat":"cuda_runtime","name":"cudaGraphLaunch","pid":1,"tid":1,"ts":262,"dur":2,"args":{"correlation":2}}]`

func TestStacksHaveTheFramesThatWereOpenAtTheLaunch(t *testing.T) {
	s := stacksOf(t, pythonTrace)
	want := []string{
		"step:prefill;run;execute_context_N(T)_generation_N(T);nn.Module: LlamaMLP;aten::mm;cudaLaunchKernel;void at::native::(anonymous namespace)::softmax<float, 2>(float*, int) [1 7000 0 0]",
		"step:decode;run;<built-in method to of Tensor object>;cudaGraphLaunch;gemm [2 11000 0 0]",
		"[unlinked];Memcpy HtoD (Pinned -> Device) [1 1000 0 0]",
		"run [0 0 1 100000]",
		"step:prefill;run;execute_context_N(T)_generation_N(T) [0 0 1 20000]",
		"step:prefill;run;execute_context_N(T)_generation_N(T);nn.Module: LlamaMLP [0 0 1 20000]",
		"step:prefill;run;execute_context_N(T)_generation_N(T);nn.Module: LlamaMLP;aten::mm [0 0 1 10000]",
		"step:prefill;run [0 0 0 50000]",
		"step:decode;run;execute_context_N(T)_generation_N(T) [0 0 1 50000]",
		"step:decode;run [0 0 0 4999740000]",
		"step:decode;run;<built-in method to of Tensor object> [0 0 1 10000]",
	}
	got := folded(s)
	for _, line := range want {
		if !strings.Contains("\n"+strings.Join(got, "\n")+"\n", "\n"+line+"\n") {
			t.Errorf("no %s", line)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d stacks, want %d:\n%s", len(got), len(want), strings.Join(got, "\n"))
	}
	f := s.profile.Function[0]
	for _, f = range s.profile.Function {
		if f.Name == "run" && (f.Filename != "vllm/core.py" || f.StartLine != 10) {
			t.Errorf("%+v", f)
		}
	}
	if l := s.profile.Sample[1].Label; l["step"][0] != "decode" || l["category"][0] != "gemm" || l["stream"][0] != "7" {
		t.Errorf("labels %v", l)
	}
}

func TestAProfileOfManyStacksIsFoldedAndKeepsItsSums(t *testing.T) {
	name := filepath.Join(t.TempDir(), "trace.json")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	generate(f, 40e6)
	f.Close()
	s, err := ReadStacks(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	sum := read(t, name)
	of := map[string]time.Duration{}
	for _, sample := range s.profile.Sample {
		if sample.Value[1] > 0 {
			of[sample.Location[0].Line[0].Function.Name] += time.Duration(sample.Value[1])
		}
	}
	whole := time.Duration(0)
	for _, k := range sum.Kernels {
		whole += k.Took
		if of[k.Name] != k.Took {
			t.Errorf("%s: %d ns, the summary has %d", k.Name, of[k.Name], k.Took)
		}
	}
	if s.GPUTime != whole || s.Folded == 0 || len(s.profile.Sample) > maxStacks {
		t.Errorf("%d of %d ns, %d stacks, %d folded", s.GPUTime, whole, len(s.profile.Sample), s.Folded)
	}
	var cpu time.Duration
	for _, o := range append(sum.Operators, sum.Functions...) {
		cpu += *o.Self
	}
	if cpu > s.CPUTime {
		t.Errorf("%d ns of CPU, the summary lists %d", s.CPUTime, cpu)
	}
}

func TestProfilesOfRanksAreOne(t *testing.T) {
	one, err := ReadStacks(context.Background(), "testdata/vllm-0.32-worker.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	two, err := ReadStacks(context.Background(), "testdata/vllm-0.32-worker.json.gz", "testdata/vllm-0.32-worker.json.gz")
	if err != nil || two.CPUTime != 2*one.CPUTime || len(two.profile.Sample) != len(one.profile.Sample) {
		t.Errorf("%v: %d ns, one has %d", err, two.CPUTime, one.CPUTime)
	}
	if _, err := ReadStacks(context.Background(), "testdata/vllm-0.32-worker.json.gz", "testdata/hta-triton.json.gz"); err == nil {
		t.Error("a trace with a GPU and one without were joined")
	}
}

func get(t *testing.T, h http.Handler, path, host string) (int, string) {
	t.Helper()
	r := httptest.NewRequest("GET", "http://"+host+path, nil)
	r.RemoteAddr = "127.0.0.1:5000"
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	body, _ := io.ReadAll(w.Result().Body)
	return w.Code, string(body)
}

func TestTheViewShowsTheFlameGraphFirstAndComparesBySteps(t *testing.T) {
	trace := func(steps int, took int64) *Stacks {
		var e engine
		for range steps {
			e.step(decode(2), 0, work{"gemm<float, 2>(float*)", took})
		}
		return stacksOf(t, "["+strings.Join(e.events, ",")+"]")
	}
	a, b := trace(10, 100), trace(5, 90)
	before := fmt.Sprint(folded(b))
	h, err := View(b, a)
	if err != nil {
		t.Fatal(err)
	}
	if code, _ := get(t, h, "/", "localhost"); code != http.StatusFound {
		t.Errorf("/ is %d", code)
	}
	for path, want := range map[string]string{"/flamegraph": "gemm\\u003cfloat, 2\\u003e(float*)", "/top": "gemm\\u003cfloat, 2\\u003e", "/peek?f=gemm": "cudaLaunchKernel"} {
		if code, page := get(t, h, path, "localhost"); code != http.StatusOK || !strings.Contains(page, want) {
			t.Errorf("%s: %d, no %q", path, code, want)
		}
	}
	for path, want := range map[string]int{"/saveconfig?config=x": 403, "/disasm": 404, "/nosuch": 404} {
		if code, _ := get(t, h, path, "localhost"); code != want {
			t.Errorf("%s: %d, want %d", path, code, want)
		}
	}
	_, raw := get(t, h, "/download", "localhost")
	p, err := profile.Parse(bytes.NewReader([]byte(raw)))
	if err != nil {
		t.Fatal(err)
	}
	var delta int64
	for _, sample := range p.Sample {
		delta += sample.Value[1]
	}
	if delta != 5*(90-100)*1000 {
		t.Errorf("five steps of B differ by %d ns, want -50000", delta)
	}
	if fmt.Sprint(folded(b)) != before {
		t.Error("the view changed the profile")
	}
}

func TestAViewIsForThisMachineAlone(t *testing.T) {
	h := OnLoopback(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for host, want := range map[string]int{"localhost:80": 200, "127.0.0.1:4": 200, "[::1]:3": 200, "localhost": 200, "evil.example": 403, "10.0.0.1:80": 403} {
		if code, _ := get(t, h, "/", host); code != want {
			t.Errorf("%s: %d, want %d", host, code, want)
		}
	}
}

func TestOverlapsAndLateEventsOfTheCPUKeepSumsAndStacks(t *testing.T) {
	trace := `[
{"ph":"X","cat":"kernel","name":"k","pid":0,"tid":7,"ts":30,"dur":4,"args":{"correlation":1}},
{"ph":"X","cat":"cuda_runtime","name":"cudaLaunchKernel","pid":1,"tid":1,"ts":12,"dur":1,"args":{"correlation":1}},
{"ph":"X","cat":"cpu_op","name":"first","pid":1,"tid":1,"ts":1,"dur":10},
{"ph":"X","cat":"cpu_op","name":"outlasts","pid":1,"tid":1,"ts":6,"dur":10},
{"ph":"X","cat":"cpu_op","name":"other thread","pid":1,"tid":"x","ts":6,"dur":10}]`
	s, sum := stacksOf(t, trace), sumUp(t, trace)
	got := folded(s)
	if want := "first;outlasts;cudaLaunchKernel;k [1 4000 0 0]"; got[0] != want {
		t.Errorf("%s, want %s", got[0], want)
	}
	self := time.Duration(0)
	for _, o := range sum.Operators {
		self += *o.Self
	}
	if s.CPUTime != 25*time.Microsecond || self != s.CPUTime {
		t.Errorf("%d ns of CPU, the summary has %d", s.CPUTime, self)
	}
}
