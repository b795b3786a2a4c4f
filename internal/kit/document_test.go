package kit

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lab/internal/lab"
)

func TestMetadataShadowsAndIsOverwrittenAsInAPythonDict(t *testing.T) {
	b := Bench{Model: "m", Rate: 1, Burstiness: 1, Metadata: []Pair{{"model_id", "mine"}, {"duration", "long"}, {"ttfts", "gone"}, {"note", "é"}, {"schema", "x"}}}
	got := string(Measure(b, Lists{Latencies: []float64{1}}, 2).JSON())
	for _, want := range []string{`"label": null, "model_id": "mine", "tokenizer_id": ""`, `"num_prompts": 0, "duration": 2.0, "note": "\u00e9", "schema": "x", "request_rate": 1.0,`} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
	if strings.Contains(got, "ttfts") {
		t.Errorf("a list that was not asked for: %s", got)
	}
	if r, err := parse([]byte(got)); err != nil || r.Source != "vllm" {
		t.Errorf("read back: %+v, %v", r, err)
	}
}

func TestAMomentWithoutAFractionHasNone(t *testing.T) {
	b := Bench{RampUp: &lab.RampUp{Strategy: "linear", Start: 1, End: 2}, RPSChanges: []RPSChange{
		{1, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}, {2, time.Date(2026, 1, 2, 3, 4, 5, 7000, time.UTC)},
	}}
	want := `"rps_change_events": [{"rps": 1, "timestamp": "2026-01-02T03:04:05"}, {"rps": 2, "timestamp": "2026-01-02T03:04:05.000007"}]`
	if got := string(Measure(b, Lists{}, 1).JSON()); !strings.Contains(got, want) {
		t.Error(got)
	}
}

func TestAResultReplacesTheFileOrAddsALine(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "results", "a.json")
	link := filepath.Join(dir, "link.json")
	if err := os.Symlink(name, link); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		name, json string
		add        bool
		want       string
	}{
		{name, `{"a": 1}`, true, `{"a": 1}`},
		{name, `{"a": 2}`, true, "{\"a\": 1}\n{\"a\": 2}"},
		{name, `{"a": 3}`, false, `{"a": 3}`},
		{link, `{"a": 4}`, false, `{"a": 4}`},
	} {
		if err := AppendResult(step.name, []byte(step.json), step.add); err != nil {
			t.Fatal(err)
		}
		if got := text(t, name); got != step.want {
			t.Errorf("after %s: %q, want %q", step.json, got, step.want)
		}
	}
	left, err := os.ReadDir(filepath.Dir(name))
	if err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if there, err := os.Lstat(link); err != nil || there.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v, %v", there, err)
	}
	if err := AppendResult(dir, []byte("{}"), false); err == nil || !strings.Contains(err.Error(), "save result: ") || !strings.Contains(err.Error(), dir) {
		t.Errorf("a folder as the file: %v", err)
	}
}

// Whatever was measured, the JSON is one that the reader takes, and the console is printed.
func FuzzResult(f *testing.F) {
	for _, rec := range bothOutputs(f) {
		l := rec.lists(f)
		if len(l.Errors) > 0 {
			var numbers []byte
			for _, v := range l.Latencies {
				numbers = binary.LittleEndian.AppendUint64(numbers, math.Float64bits(v))
			}
			f.Add(numbers, l.Texts[0], l.Errors[0], 3.5, 99.0)
		}
	}
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xef\x7f"), "a\"\\\xff\U0001F600", "schema", math.Inf(1), math.NaN())
	f.Fuzz(func(t *testing.T, numbers []byte, word, fault string, duration, percent float64) {
		var l Lists
		for i := 0; i+8 <= len(numbers); i += 8 {
			bits := binary.LittleEndian.Uint64(numbers[i:])
			v := math.Float64frombits(bits)
			switch i / 8 % 7 { // lists of unequal length
			case 0:
				l.TTFTs = append(l.TTFTs, v)
			case 1:
				l.ITLs = append(l.ITLs, []float64{v, 1 / v})
			case 2:
				l.Latencies = append(l.Latencies, v)
			case 3:
				l.StartTimes = append(l.StartTimes, v)
			case 4:
				l.QueueTimes = append(l.QueueTimes, v)
				l.Errors = append(l.Errors, []string{"", fault}[bits%2])
			case 5:
				l.OutputLens = append(l.OutputLens, int(bits))
			case 6:
				l.InputLens = append(l.InputLens, int(bits>>7))
				l.Texts = append(l.Texts, word)
			}
		}
		b := Bench{
			Backend: fault, Model: word, Label: word, Rate: percent, Burstiness: duration, Concurrency: len(numbers) % 5, Metadata: []Pair{{fault, word}, {word, fault}},
			Metrics: []string{"ttft", "tpot", "itl", "e2el", "client_queue_time", "e2el_including_client_queue"}, Percentiles: []float64{percent, 50},
			Goodput: []lab.SLO{{Metric: "tpot", Limit: lab.Duration(len(word))}}, Detailed: len(numbers)%2 == 0, Spec: &SpecDecode{PerPosition: []float64{duration}},
		}
		r := Measure(b, l, duration)
		if !strings.HasSuffix(r.Console(), "\n"+strings.Repeat("=", 50)+"\n") {
			t.Error("the console has no end")
		}
		out := r.JSON()
		if strings.ContainsFunc(string(out), func(r rune) bool { return r > '~' || r < ' ' }) {
			t.Errorf("not one line of ASCII: %q", out)
		}
		if !json.Valid(plainNumbers(out)) {
			t.Fatalf("no JSON: %s", out)
		}
		read, err := parse(out)
		if err != nil || read.Source != "vllm" {
			t.Fatalf("%+v, %v: %s", read, err, out)
		}
		if tally := read.Summary.Phases[0]; tally.OK != r.Completed || tally.Offered != r.Completed+r.Failed {
			t.Errorf("read %+v, written %d and %d", tally, r.Completed, r.Failed)
		}
	})
}
