package kit

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"lab/internal/lab"
)

// recordings are the results of a real vLLM, by the name of the case.
func recordings(tb testing.TB) map[string][]byte {
	tb.Helper()
	names, err := filepath.Glob("testdata/vllm-0.32/*/result.json")
	if err != nil || len(names) < 15 {
		tb.Fatalf("%d recordings: %v", len(names), err)
	}
	all := map[string][]byte{}
	for _, name := range names {
		documents, err := Documents(name)
		if err != nil {
			tb.Fatal(err)
		}
		all[filepath.Base(filepath.Dir(name))] = documents[len(documents)-1]
	}
	return all
}

func imported(t *testing.T, name string, document []byte) (lab.Sealed, []lab.RequestRecord) {
	t.Helper()
	s, records, err := Import(name, document, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	return s, records
}

func TestTheRecordsOfADetailedResultGiveItsNumbersBack(t *testing.T) {
	detailed := 0
	near := cmpopts.EquateApprox(0, 3e-9) // seconds: a record holds whole nanoseconds
	for name, document := range recordings(t) {
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(plainNumbers(document), &fields); err != nil {
			t.Fatal(err)
		}
		s, records := imported(t, name, document)
		lists, has := listsIn(fields)
		if _, saved := fields["ttfts"]; saved != has || has != (len(records) > 0) {
			t.Errorf("%s: lists saved %v, read %v, %d records", name, saved, has, len(records))
		}
		if !has {
			continue
		}
		detailed++
		tally := s.Summary.Phases[0]
		again := ListsOf(records, "load", time.Duration(s.Run.Epoch.Monotonic))
		if !tally.Open {
			again.QueueTimes = lists.QueueTimes // in a closed loop a request is intended when its slot comes free
		}
		for i := range lists.Errors {
			lists.Errors[i] = lastLine(lists.Errors[i])
			if lists.Errors[i] != "" {
				lists.Latencies[i] = 0
			}
		}
		if d := cmp.Diff(lists, again, near, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		b := BenchOf(s.Run, tally)
		b.Tokenizer = "/models/tiny"
		report := Measure(b, again, s.Run.Ended.Seconds())
		var got map[string]any
		if err := json.Unmarshal(report.JSON(), &got); err != nil {
			t.Fatal(err)
		}
		var want map[string]any
		if err := json.Unmarshal(plainNumbers(document), &want); err != nil {
			t.Fatal(err)
		}
		for key, value := range got {
			w, there := want[key]
			if number, ok := value.(float64); ok && there && w != nil {
				if d := cmp.Diff(w, number, cmpopts.EquateApprox(1e-6, 1e-5)); d != "" {
					t.Errorf("%s: %s: %s", name, key, d)
				}
			}
		}
	}
	if detailed < 8 {
		t.Errorf("only %d recordings have lists", detailed)
	}
}

func TestAnImportedRunHasTheFiguresOfItsFile(t *testing.T) {
	for name, document := range recordings(t) {
		read, err := parse(plainNumbers(document))
		if err != nil {
			t.Fatal(err)
		}
		s, records := imported(t, name, document)
		if s.Summary.Definitions != 0 || s.Run.Outcome != lab.Complete || s.Run.Imported.By != VLLM {
			t.Errorf("%s: definitions %d, outcome %s, %+v", name, s.Summary.Definitions, s.Run.Outcome, s.Run.Imported)
		}
		for _, f := range read.Summary.Figures {
			if got, ok := s.Summary.Figure(f.Phase, f.Metric); !ok || got != f {
				t.Errorf("%s: %+v, want %+v", name, got, f)
			}
		}
		if _, ok := s.Summary.Figure("load", "e2el.p95"); !ok && len(records) > 0 && s.Summary.Phases[0].OK > 0 {
			t.Errorf("%s: the lists are there, and e2el.p95 is not", name)
		}
		if ok := s.Summary.Phases[0].OK > 0; s.Run.Valid() != ok {
			t.Errorf("%s: valid %v, %d succeeded", name, s.Run.Valid(), s.Summary.Phases[0].OK)
		}
		end := s.Run.Epoch.Wall.Add(s.Run.Ended).Local()
		if end.Sub(read.When).Abs() > time.Microsecond {
			t.Errorf("%s ended %v, the file says %v", name, end, read.When)
		}
	}
}

func TestAnImportedRunSaysWhatWasAskedAsFarAsTheFileDoes(t *testing.T) {
	all := recordings(t)
	for name, want := range map[string]lab.Load{
		"iii-closed-c4":      {Concurrency: 4, Requests: 20, API: "completions"},
		"v-chat":             {Rate: 10, Burstiness: 1, Requests: 20, API: "chat"},
		"iv-burst08-c16":     {Rate: 20, Burstiness: 0.8, Concurrency: 16, Requests: 20, API: "completions"},
		"xiv-fixed-rate":     {Rate: 10, Burstiness: lab.Number(math.Inf(1)), Concurrency: 2, Requests: 20, API: "completions"},
		"xi-ramp":            {RampUp: &lab.RampUp{Strategy: "linear", Start: 5, End: 20}, Requests: 20, API: "completions"},
		"xvii-random-empty":  {Rate: lab.Number(math.Inf(1)), Requests: 20, API: "completions"},
		"xiii-warmups-temp0": {Rate: 10, Burstiness: 1, Requests: 20, API: "completions"},
	} {
		s, _ := imported(t, "results/"+name+".json", all[name])
		if d := cmp.Diff(want, s.Run.Experiment.Phases[0].Load); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		if label := map[string]string{"xiii-warmups-temp0": "lab1"}[name]; s.Run.Experiment.Name != name && s.Run.Experiment.Name != label {
			t.Errorf("%s is called %q", name, s.Run.Experiment.Name)
		}
		if s.Run.Experiment.Server.Model != "tiny" {
			t.Errorf("%s: model %q", name, s.Run.Experiment.Server.Model)
		}
	}
	s, _ := imported(t, "bench_io64x16_mc4_np20.json", all["iii-closed-c4"])
	if d := s.Run.Experiment.Phases[0].Load.Dataset; d.InputTokens != 64 || d.OutputTokens != 16 {
		t.Errorf("lengths of the name: %+v", d)
	}
}

func TestFailedRequestsKeepTheirClass(t *testing.T) {
	all := recordings(t)
	for name, want := range map[string]map[string]int{
		"viii-wrong-model-noready":  {lab.ErrStatus: 20},
		"x-too-long":                {lab.ErrStatus: 5},
		"xx-server-stopped-mid-run": {lab.ErrConnect: 7},
	} {
		s, records := imported(t, name, all[name])
		if d := cmp.Diff(want, s.Summary.Phases[0].Errors); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		for _, r := range records {
			if r.Error == lab.ErrStatus && r.Status != 404 && r.Status != 400 {
				t.Errorf("%s: status %d", name, r.Status)
			}
		}
	}
}

func TestAResultWithoutADateIsAsOldAsItsFile(t *testing.T) {
	s, records := imported(t, "old.json", []byte(`{"completed": 2, "num_prompts": 3, "duration": 1.5, "ttfts": [0.1, 0.1], "itls": [[], []]}`))
	if want := time.Date(2026, 1, 2, 3, 4, 3, 5e8, time.UTC); !s.Run.Epoch.Wall.Equal(want) {
		t.Errorf("began %v, want %v", s.Run.Epoch.Wall, want)
	}
	if len(records) > 0 {
		t.Errorf("records without moments: %+v", records) // before start_times were saved
	}
	if tally := s.Summary.Phases[0]; tally.OK != 2 || tally.Offered != 3 || tally.Errors != nil {
		t.Errorf("tally %+v", tally)
	}
}

func TestARunDocumentKeepsItsIDAndLeavesItsAB(t *testing.T) {
	text, err := os.ReadFile("testdata/run.json")
	if err != nil {
		t.Fatal(err)
	}
	s, records := imported(t, "run.json", text)
	if s.Run.ID != "20261123-140512-k3f9" || s.Run.Plan != nil || s.Run.Arm != "" || s.Run.Block != 0 || len(records) > 0 {
		t.Errorf("%+v", s.Run)
	}
	if s.Run.Imported.By != "lab" || s.Run.Imported.SHA256 != Hash(text) || s.Summary.Definitions != 1 {
		t.Errorf("%+v, definitions %d", s.Run.Imported, s.Summary.Definitions)
	}
	if _, _, err := Import("live.json", []byte(`{"schema": "lab.run/v1", "run": {"id": "x", "outcome": "live"}}`), time.Now()); err == nil {
		t.Error("a run that had not ended was imported")
	}
}

func FuzzImport(f *testing.F) {
	for _, document := range recordings(f) {
		if len(document) < 4<<10 {
			f.Add(document)
		}
	}
	f.Add([]byte(`{"completed": 1, "duration": 1e8, "input_lens": [1], "output_lens": [2], "ttfts": [3e7], "itls": [[1e-9, 0]], "start_times": [-9e8], "errors": [""]}`))
	f.Add([]byte(`{"schema": "lab.run/v1", "run": {"id": "x", "outcome": "complete", "imported": {"by": "z"}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		documents, err := cut(text)
		if err != nil {
			return
		}
		s, records, err := Import("io1x2.json", documents[0], time.Unix(1, 0))
		if err != nil {
			return
		}
		if s.Run.Imported == nil || s.Run.Outcome == lab.Live || s.Run.Ended < 0 && s.Run.Imported.By == VLLM {
			t.Errorf("%+v", s.Run)
		}
		if _, err := json.Marshal(s); err != nil {
			t.Error(err)
		}
		for _, r := range records {
			last := r.Sent
			for _, c := range r.Chunks {
				if c.At < last {
					t.Fatalf("request %d goes back in time: %+v", r.Seq, r)
				}
				last = c.At
			}
			if r.Intended < firstMoment || r.Sent < r.Intended || r.Done < last {
				t.Fatalf("moments of %+v", r)
			}
		}
	})
}
