package correlate

import (
	"math"
	"testing"
	"time"

	"lab/internal/lab"
)

func TestWindowsOfARunHoldWhatHappenedInThem(t *testing.T) {
	s := time.Second
	run := lab.Run{Experiment: lab.Experiment{Phases: []lab.Phase{{Name: "load", Load: lab.Load{Concurrency: 1}}}}}
	var tables lab.Tables
	for i := range 20 { // one after the other, each from i s to i+1 s, with 3 tokens; those of the second half are slower to begin
		at := time.Duration(i+3) * s
		first := 200 * time.Millisecond
		if i >= 10 {
			first = 400 * time.Millisecond
		}
		tables.Requests = append(tables.Requests, lab.RequestRecord{Seq: i, Phase: "load", Intended: at, Sent: at, Done: at + s,
			Chunks: []lab.Chunk{{At: at + first, Tokens: 1}, {At: at + first + 100*time.Millisecond, Tokens: 2}}})
	}
	for i := range 100 { // every 0.2 s from 3 s on, and nothing from 13 s to 18 s
		if at := 3*s + time.Duration(i)*200*time.Millisecond; at < 13*s || at > 18*s {
			tables.Samples = append(tables.Samples, lab.Sample{At: at, Device: "engine", Values: map[string]float64{lab.EngineRunning: float64(i / 50), lab.EnginePrompt: float64(i)}})
		}
	}
	line := Windows(run, tables, 10)
	if line.From != 3*s || line.To != 23*s || line.Window != 2*s {
		t.Fatalf("windows of %s from %s to %s", line.Window, line.From, line.To)
	}
	curves := map[string]Curve{}
	for _, c := range line.Curves {
		curves[c.Device+" "+c.Value] = c
	}
	nan := math.NaN()
	for name, want := range map[string]struct {
		v Values
		n int
	}{
		"requests ttft.p50":           {Values{.2, .2, .2, .2, .2, .4, .4, .4, .4, .4}, 2},
		"requests itl.p50":            {Values{.05, .05, .05, .05, .05, .05, .05, .05, .05, .05}, 4},
		"requests output_tokens":      {Values{3, 3, 3, 3, 3, 3, 3, 3, 3, 3}, 6},
		"requests in_flight":          {Values{1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, 2},
		"engine " + lab.EngineRunning: {Values{0, 0, 0, 0, 0, nan, nan, nan, 1, 1}, -1},
	} {
		c := curves[name]
		if len(c.V) != len(want.v) {
			t.Errorf("%s: %v, want %v", name, c.V, want.v)
			continue
		}
		for i, v := range c.V {
			if math.IsNaN(v) != math.IsNaN(want.v[i]) || math.Abs(v-want.v[i]) > 1e-9 || want.n >= 0 && c.N[i] != want.n {
				t.Errorf("%s in window %d: %g of n = %d, want %g of %d", name, i, v, c.N[i], want.v[i], want.n)
			}
		}
	}
	if c, ok := curves["engine "+lab.EnginePrompt]; ok {
		t.Errorf("a counter has a mean: %v", c)
	}
	if none := Windows(lab.Run{}, lab.Tables{}, 10); len(none.Curves) > 0 {
		t.Errorf("a run without requests has curves: %v", none)
	}
}

func TestWindowsAreHandyAndNeverMoreThanAsked(t *testing.T) {
	for _, most := range []int{20, 34, 100} {
		for length := time.Second; length < 1000*time.Hour; length = length * 7 / 5 {
			w := windowLength(length, most)
			if n := int((length + w - 1) / w); n > most {
				t.Errorf("%s in %d windows of %s, at most %d may be", length, n, w, most)
			}
			if w%(500*time.Millisecond) != 0 {
				t.Errorf("%s: a window of %s", length, w)
			}
		}
	}
}
