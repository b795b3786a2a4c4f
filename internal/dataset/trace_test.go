package dataset

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lab/internal/lab"
)

const mooncake = `{"timestamp": 27482, "input_length": 10, "output_length": 5, "hash_ids": [46, 47, 48]}
{"timestamp": 27482, "input_length": 12, "output_length": 6, "hash_ids": [46, 47, 50]}
{"timestamp": 30535, "input_length": 20, "output_length": 7, "hash_ids": [46, 49]}
{"timestamp": 30000, "input_length": 3, "output_length": 8}
`

func replay(t *testing.T, text string, requests int) lab.Load {
	return lab.Load{API: "completions", Requests: requests, Dataset: lab.Dataset{
		Kind: "timed_trace", File: write(t, "trace.jsonl", text), Trace: &lab.Trace{BlockTokens: 4, SecondsUnit: 0.001},
	}}
}

func TestATraceKeepsItsTimesLengthsAndSharedBlocks(t *testing.T) {
	p := open(t, replay(t, mooncake, 0), Env{Vocab: 512})
	if d := cmp.Diff([]time.Duration{0, 0, 2518 * time.Millisecond, 3053 * time.Millisecond}, Times(p)); d != "" {
		t.Error(d)
	}
	all := first(p, 4)
	if got, _ := inputs(all); !slices.Equal(got, []int{10, 12, 3, 20}) || Limit(p) != 4 || p.Distinct() != 4 {
		t.Errorf("inputs %v, limit %d", got, Limit(p))
	}
	if all[0].Output != 5 || all[3].Output != 7 || len(all[3].IDs) != 20 {
		t.Errorf("got %+v", all)
	}
	a, b, d := all[0].IDs, all[1].IDs, all[3].IDs
	if !slices.Equal(a[:8], b[:8]) || slices.Equal(a[8:10], b[8:10]) || !slices.Equal(a[:4], d[:4]) || slices.Equal(a[4:8], d[4:8]) {
		t.Errorf("blocks are not shared by their hash ids:\n%v\n%v\n%v", a, b, d)
	}
	if d := cmp.Diff(all, first(open(t, replay(t, mooncake, 0), Env{Vocab: 512}), 4)); d != "" {
		t.Error("opened again, the trace differs:", d)
	}
	if warm := open(t, replay(t, mooncake, 0), Env{Vocab: 512, Pool: 1}).At(0); slices.Equal(warm.IDs[:4], a[:4]) {
		t.Error("the warm-up warms the measured blocks")
	}
	if p := open(t, replay(t, mooncake, 2), Env{Vocab: 512}); len(Times(p)) != 2 || Limit(p) != 2 {
		t.Errorf("2 requests asked for: %d times, limit %d", len(Times(p)), Limit(p))
	}
	l := replay(t, mooncake, 0)
	l.Duration = lab.Duration(3 * time.Second)
	if p := open(t, l, Env{Vocab: 512}); len(Times(p)) != 3 || Limit(p) != 3 {
		t.Errorf("3 s asked for: %d times, limit %d", len(Times(p)), Limit(p))
	}
	l.Dataset.Trace.Untimed = true
	if p := open(t, l, Env{Vocab: 512}); Times(p) != nil || Limit(p) != 4 {
		t.Errorf("untimed: times %v, limit %d", Times(p), Limit(p))
	}
	if Times(open(t, custom(1), Env{})) != nil {
		t.Error("a custom file has times")
	}
}

func TestATraceMayNameItsFieldsOtherwise(t *testing.T) {
	l := replay(t, `{"ts": 1.5, "in": 2, "out": 3, "blocks": ["x"]}`, 0)
	l.Dataset.Trace = &lab.Trace{BlockTokens: 4, SecondsUnit: 1, Timestamp: "ts", InputLength: "in", OutputLen: "out", HashIDs: "blocks"}
	if p := open(t, l, Env{Vocab: 512}).At(0); p.Input != 2 || p.Output != 3 {
		t.Errorf("got %+v", p)
	}
	l.API = "chat"
	if _, err := Open(t.Context(), l, Env{Vocab: 512}); err == nil || !strings.Contains(err.Error(), "use api: completions") {
		t.Error(err)
	}
}

func FuzzTraceLine(f *testing.F) {
	for line := range strings.Lines(mooncake) {
		f.Add([]byte(line))
	}
	f.Add([]byte(`{"timestamp":null,"input_length":1e300,"output_length":-1,"hash_ids":[null]}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		r, err := parseTraced(line, lab.Trace{})
		if err != nil || r.input > 1<<16 {
			return
		}
		p := trace{requests: []traced{r}, alphabet: alphabet{size: 100}, block: 16}.At(0)
		if len(p.IDs) != r.input || p.Output != r.output || p.Output < 1 {
			t.Errorf("%q makes %+v", line, p)
		}
	})
}
