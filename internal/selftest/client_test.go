package selftest

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lab/internal/lab"
)

var update = flag.Bool("update", false, "write the golden files anew")

// planted makes a client's report and the server's knowledge of 20 requests: the client counts from a moment that is
// `send` before the server's reading, and sees every token `way` after its write; the server is `late` with every token.
func planted(client string, send, way, late time.Duration) (report, map[string]Truth) {
	timing := Timing{First: firstToken, Gap: tokenGap}
	r, known := report{child: child{began: 1_000_000, cpu: 30 * time.Millisecond, resident: 40_000_000}}, map[string]Truth{}
	for i := range 20 {
		truth := Truth{ID: client + string(rune('a'+i)), Received: int64(time.Second) * int64(i+1)}
		origin := truth.Received - int64(send)
		seen := Seen{ID: truth.ID, Intended: origin, Sent: origin + int64(send)/2}
		for n := range 3 {
			at := truth.Due(n, timing) + int64(late)
			truth.Before, truth.After = append(truth.Before, at), append(truth.After, at+5000)
			seen.Tokens = append(seen.Tokens, at+int64(way))
		}
		seen.TTFT = time.Duration(seen.Tokens[0] - origin)
		r.seen, known[truth.ID] = append(r.seen, seen), truth
	}
	return r, known
}

// TestThePlantedErrorsComeOut: what was planted is what the table says, to the microsecond; a request of which both tell
// different tokens is left out and named; the values are medians.
func TestThePlantedErrorsComeOut(t *testing.T) {
	var o outcome
	timing := Timing{First: firstToken, Gap: tokenGap}
	for _, send := range []time.Duration{100, 900, 300} { // the median is 300 µs
		r, known := planted("lab-", send*time.Microsecond, 20*time.Microsecond, 40*time.Microsecond)
		values, notes := compare(r, known, timing)
		o.add(nameLab, values, notes)
	}
	r, known := planted("plain-", 2*time.Millisecond, time.Millisecond, 10*time.Microsecond)
	r.seen[3].Tokens = r.seen[3].Tokens[:2]
	r.seen[4].Error = "EOF"
	r.seen[5].Tokens[2] += int64(7 * time.Millisecond) // one gap that was not there
	values, notes := compare(r, known, timing)
	o.add(namePlain, values, notes)
	got, err := json.MarshalIndent(o.load(closedLoad(1), []string{nameLab, namePlain}), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "planted.json", append(got, '\n'))
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("%s (-want +got):\n%s", name, d)
	}
}

func TestATargetIsMissedWhereTheErrorIsLargeEitherWay(t *testing.T) {
	for _, c := range []struct {
		value float64
		met   bool
	}{{0.4, true}, {-0.4, true}, {0.41, false}, {-0.41, false}} {
		row := lab.AccuracyRow{Figure: "ttft_error.mean", Cells: []lab.AccuracyCell{{Client: nameLab, Value: c.value}, {Client: namePlain, Value: 2}}}
		judge(&row, promises(closedLoad(1)))
		if row.Met == nil || *row.Met != c.met || *row.Target != 0.4 {
			t.Errorf("an error of %g ms: %v, want met=%v", c.value, row.Met, c.met)
		}
		if ratio := row.Cells[1].Ratio; (ratio != nil) != (c.value > 0) {
			t.Errorf("an error of %g ms has the ratio %v", c.value, ratio)
		}
	}
	if p := promises(closedLoad(7)); len(p) != 2 { // the start-up, and that every request is seen, are promised for any load
		t.Errorf("7 streams have the targets %v", p)
	}
}

func TestTargetsAreMissedWhereLabSawNothingAndARequestLeftOutIsOne(t *testing.T) {
	missed := func(spoil func(*report)) (figures []string) {
		var o outcome
		r, known := planted("lab-", 100*time.Microsecond, 20*time.Microsecond, 40*time.Microsecond)
		r.began = r.seen[0].Sent - int64(10*time.Millisecond)
		spoil(&r)
		values, notes := compare(r, known, Timing{First: firstToken, Gap: tokenGap})
		o.add(nameLab, values, notes)
		for _, row := range o.load(closedLoad(1), []string{nameLab, namePlain}).Rows {
			if row.Met != nil && !*row.Met {
				figures = append(figures, row.Figure)
			}
		}
		return figures
	}
	for name, tc := range map[string]struct {
		spoil func(*report)
		want  []string
	}{
		"all seen": {func(*report) {}, nil},
		"one lost": {func(r *report) { r.seen[7].Error = "EOF" }, []string{leftOut}},
		"all lost": {func(r *report) {
			for i := range r.seen {
				r.seen[i].Error = "EOF"
			}
		}, []string{"ttft_error.mean", "ttft_p99.error", "gap_p99.error", "start_up", leftOut}},
		"no record": {func(r *report) { r.seen = nil }, []string{"ttft_error.mean", "ttft_p99.error", "gap_p99.error", "start_up", leftOut}},
	} {
		if got := missed(tc.spoil); !slices.Equal(got, tc.want) {
			t.Errorf("%s: missed are %v, want %v", name, got, tc.want)
		}
	}
}

func TestAResultOfVLLMBenchIsReadOnItsOwnClock(t *testing.T) {
	text := `{"request_rate": Infinity, "start_times": [100.5, 101], "ttfts": [0.0625, 0], "itls": [[0.25, 0.5], []], "errors": ["", "refused"]}`
	got, err := parseVLLM([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	want := []Seen{
		{ID: "vllm-0", Sent: 100_500_000_000, TTFT: 62_500_000, Tokens: []int64{100_562_500_000, 100_812_500_000, 101_312_500_000}},
		{ID: "vllm-1", Sent: 101_000_000_000, Error: "refused"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for _, bad := range []string{``, `{}`, `{"ttfts": [1], "start_times": [1], "itls": [], "errors": [""]}`} {
		if _, err := parseVLLM([]byte(bad)); err == nil {
			t.Errorf("%q is taken for a result", bad)
		}
	}
}

func FuzzParseVLLM(f *testing.F) {
	f.Add([]byte(`{"request_rate": Infinity, "start_times": [100.5], "ttfts": [0.0625], "itls": [[0.25, 0.5]], "errors": [""]}`))
	f.Add([]byte(`{"ttfts": [1e300], "start_times": [null], "itls": [null], "errors": ["x"]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		seen, err := parseVLLM(text)
		if (err == nil) != (len(seen) > 0) {
			t.Fatalf("%d requests with error %v", len(seen), err)
		}
	})
}

func TestAChildStaysOnItsCore(t *testing.T) {
	before, err := affinity(0)
	if err != nil {
		t.Skip(err)
	}
	core := before.cores()[len(before.cores())-1]
	server, err := startTruth(t.Context(), []string{os.Args[0], truthRole}, core, Timing{First: 1, Gap: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer server.end()
	if got, err := affinity(server.cmd.Process.Pid); err != nil || len(got.cores()) != 1 || got.cores()[0] != core {
		t.Errorf("the child may run on cores %v (%v), want %d only", got.cores(), err, core)
	}
	if after, err := affinity(0); err != nil || after != before {
		t.Errorf("the parent's cores are %v afterwards, were %v", after.cores(), before.cores())
	}
}

func TestOtherProgramsAreWhatTheCoresDidBesides(t *testing.T) {
	const stat = "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 100 1 20 5000 7 3 4 2 0 0\ncpu1 10 0 0 6000 0 0 0 0 0 0\ncpu10 1 1 1 1 1 1 1 1 0 0\n"
	if busy, err := occupied([]byte(stat), 0, 1); err != nil || busy != 1400*time.Millisecond {
		t.Errorf("both cores were busy for %s (%v), want 1.4 s", busy, err)
	}
	if _, err := occupied([]byte(stat), 0, 2); err == nil {
		t.Error("a core that is not there was busy")
	}
	const process = "17 (a (b) c) S 1 17 17 0 -1 4194560 100 0 0 0 250 50 7 7 20 0 5 0 1000"
	if cpu, err := used([]byte(process)); err != nil || cpu != 3*time.Second {
		t.Errorf("the process used %s (%v), want 3 s", cpu, err)
	}
	if _, err := used([]byte("17 (x) S 1")); err == nil {
		t.Error("half a line was read")
	}
}
