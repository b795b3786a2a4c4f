package profiling

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type expected struct {
	Events     int64                    `json:"events"`
	GPU        time.Duration            `json:"gpu_ns"`
	Activities int64                    `json:"gpu_n"`
	ByName     map[string]time.Duration `json:"gpu_by_name_ns"`
	Busy       map[string]time.Duration `json:"busy_ns"`
	Unlinked   int64                    `json:"unlinked_n"`
	GraphWork  int64                    `json:"graph_n"`
	GraphTime  time.Duration            `json:"graph_ns"`
	Replays    int64                    `json:"graph_replays"`
	Steps      int                      `json:"steps_n"`
	StepTime   time.Duration            `json:"steps_ns"`
	Operators  map[string]time.Duration `json:"operator_self_ns"`
	Python     time.Duration            `json:"python_self_ns"`
	Unnamed    time.Duration            `json:"unnamed_self_ns"`
}

func TestSummariesEqualAnIndependentCountToTheNanosecond(t *testing.T) {
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
			s := read(t, filepath.Join("testdata", name))
			if !s.Complete || s.Damage != "" {
				t.Errorf("complete %t, damage %q", s.Complete, s.Damage)
			}
			if diff := cmp.Diff(want, counts(s, want)); diff != "" {
				t.Errorf("the count of expected.py is not the summary's:\n%s", diff)
			}
		})
	}
}

// counts brings a summary into the form of the independent count.
func counts(s Summary, want expected) expected {
	got := expected{Events: s.Events, ByName: map[string]time.Duration{}, Busy: map[string]time.Duration{}, Operators: map[string]time.Duration{}}
	for _, k := range s.Kernels {
		got.ByName[k.Name] += k.Took
		got.GPU += k.Took
		got.Activities += k.N
	}
	if s.Others != nil { // names beyond those listed count in the sums alone
		got.GPU += s.Others.Took
		got.Activities += s.Others.N
		for name := range want.ByName {
			if _, listed := got.ByName[name]; !listed {
				got.ByName[name] = want.ByName[name]
			}
		}
	}
	for _, g := range s.GPUs {
		got.Busy[strconv.FormatInt(g.Device, 10)] = g.Busy
		got.Unlinked += g.Unlinked
	}
	if s.Graphs != nil {
		got.GraphWork, got.GraphTime, got.Replays = s.Graphs.Activities, s.Graphs.Took, s.Graphs.Replays
	}
	if s.Steps != nil {
		for _, k := range s.Steps.Kinds {
			got.Steps += k.N
			got.StepTime += k.CPU.Mean * time.Duration(k.N)
		}
	}
	if off := got.StepTime - want.StepTime; off > -100 && off < 100 { // means are rounded
		got.StepTime = want.StepTime
	}
	for _, o := range s.Operators {
		got.Operators[o.Name] = *o.Self
	}
	if len(s.Operators) == listed {
		for name := range want.Operators {
			if _, shown := got.Operators[name]; !shown {
				got.Operators[name] = want.Operators[name]
			}
		}
	}
	got.Python = want.Python
	if len(s.Functions) < listed {
		got.Python = 0
		for _, o := range s.Functions {
			got.Python += *o.Self
		}
	}
	for _, c := range s.Categories {
		if c.Name == "python" {
			got.Python = c.Took
		}
	}
	if s.Unnamed != nil {
		got.Unnamed = *s.Unnamed
	}
	return got
}

func read(t *testing.T, name string) Summary {
	t.Helper()
	s, err := Read(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sumUp(t *testing.T, text string) Summary {
	t.Helper()
	s, err := summarise(context.Background(), strings.NewReader(text), "trace", int64(len(text)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestATraceThatBreaksOffGivesASummaryThatSaysSo(t *testing.T) {
	packed, err := os.ReadFile("testdata/vllm-0.32-worker.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	whole := unpack(t, packed)
	badSum := bytes.Clone(packed)
	badSum[len(badSum)-6] ^= 1
	for name, file := range map[string][]byte{
		"plain": whole[:len(whole)*3/4], "gz": packed[:len(packed)*3/4], "checksum": badSum, "without the end": whole[:bytes.LastIndexByte(whole, ']')],
	} {
		path := filepath.Join(t.TempDir(), "trace")
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		s := read(t, path)
		if s.Complete || s.Damage == "" || s.Events < 4000 || s.Steps == nil || s.Steps.Kinds[1].N < 5 {
			t.Errorf("%s: complete %t (%s), %d events", name, s.Complete, s.Damage, s.Events)
		}
	}
}

func unpack(t testing.TB, packed []byte) []byte {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestAFileThatIsNoTraceSaysWhatItIs(t *testing.T) {
	var cut bytes.Buffer
	z := gzip.NewWriter(&cut)
	z.Write([]byte(strings.Repeat(`{"traceEvents": [`, 9)))
	z.Close()
	for text, want := range map[string]string{
		"":                         "it is empty",
		"\n\n":                     "there is nothing in it",
		"# a page":                 "it is no JSON: its first character is neither { nor [",
		`{"vllm": 1}`:              "it is JSON without a traceEvents list",
		`{"traceEvents": {}}`:      "it is JSON without a traceEvents list",
		`{"a": {"traceEvents": [`:  "no traceEvents list was found: the file ends after 23 bytes",
		"\x1f\x8b\x08":             "begins like a gzip file but is none",
		"\x1f\x8b\x08" + "\x00abc": "begins like a gzip file but is none",
		"PK\x03\x04abc":            "it is a zip archive",
		cut.String()[:12]:          "was found after 1 bytes of JSON: unexpected EOF",
	} {
		path := filepath.Join(t.TempDir(), "trace.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Read(context.Background(), path)
		var no *NotTraceError
		if !errors.As(err, &no) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	for _, path := range []string{t.TempDir(), filepath.Join(t.TempDir(), "none")} {
		if _, err := Read(context.Background(), path); !errors.As(err, new(*NotTraceError)) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestReadingStopsWhenItIsToldTo(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Read(ctx, "testdata/hta-triton.json.gz"); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
