package correlate

import (
	"encoding/json"
	"math"
	"slices"
	"testing"
	"time"

	"lab/internal/lab"
)

func curve(t *testing.T, line Timeline, device, value string) Curve {
	t.Helper()
	for _, c := range line.Curves {
		if c.Device == device && c.Value == value {
			return c
		}
	}
	t.Fatalf("no curve %s %s", device, value)
	return Curve{}
}

func TestATimelineHasEachTokenInTheWindowInWhichItCame(t *testing.T) {
	var tables lab.Tables
	const requests, gap = 100, 10 * time.Millisecond
	for i := range requests { // one each 100 ms: TTFT 20 ms, in the second half 60 ms; 4 tokens
		first := 20 * time.Millisecond
		if i >= requests/2 {
			first = 60 * time.Millisecond
		}
		tables.Requests = append(tables.Requests, request(i, "p", time.Second+time.Duration(i)*100*time.Millisecond, first, gap, 50, 4))
	}
	line := Over(experiment("p"), tables)
	if line.Window != time.Second || len(line.Phases) != 1 {
		t.Fatalf("windows of %s, %d phases: want 1 s for ten first tokens each, and 1", line.Window, len(line.Phases))
	}
	ttft, tokens := curve(t, line, "requests", "ttft.p50"), curve(t, line, "requests", "output_tokens")
	if got := []float64{ttft.V[0], ttft.V[9]}; math.Abs(got[0]-.02) > 1e-9 || math.Abs(got[1]-.06) > 1e-9 || ttft.N[0] != 10 {
		t.Errorf("median TTFT %v of %d requests in the first window, want 0.02 and 0.06 of 10", got, ttft.N[0])
	}
	if tokens.V[0] < 39 || tokens.V[0] > 41 || !tokens.Rate {
		t.Errorf("%g tokens a second, want 40", tokens.V[0])
	}
	for _, c := range line.Curves {
		if c.Value == "ttft.p99" {
			t.Error("there is a p99 of ten values")
		}
		if len(c.At) != len(c.V) || !slices.IsSorted(c.At) {
			t.Errorf("%s: %d moments, %d values", c.Value, len(c.At), len(c.V))
		}
	}
	flight := curve(t, line, "requests", "in_flight")
	const want = (20 + 3*10 + 1) / 100.0 // it ends 1 ms after its last token
	if math.Abs(flight.V[2]-want) > 0.001 {
		t.Errorf("%g in flight, want %g", flight.V[2], want)
	}
}

// However a server counts, the area under the curve of output is the tokens of the run; where nobody counted there is none.
func TestTheAreaUnderTheOutputIsTheTokensOfTheRun(t *testing.T) {
	for name, c := range map[string]struct {
		change func(q *lab.RequestRecord)
		want   float64
		scaled bool
	}{
		"a running count":         {func(*lab.RequestRecord) {}, 400, false},
		"no count but in the end": {func(q *lab.RequestRecord) { q.Usage.Output = 13; uncounted(q) }, 1300, true},
		"another one in the end":  {func(q *lab.RequestRecord) { q.Usage.Output = 6 }, 600, true},
		"a chunk without tokens":  {func(q *lab.RequestRecord) { q.Chunks[1].Tokens = 0; q.Usage = nil }, 300, false},
		"no count":                {func(q *lab.RequestRecord) { q.Usage = nil; uncounted(q) }, 0, false},
	} {
		var tables lab.Tables
		for i := range 100 {
			q := request(i, "p", time.Second+time.Duration(i)*100*time.Millisecond, 20*time.Millisecond, 10*time.Millisecond, 50, 4)
			c.change(&q)
			tables.Requests = append(tables.Requests, q)
		}
		for kind, line := range map[string]Timeline{"over time": Over(experiment("p"), tables), "windows": Windows(experiment("p"), tables, 40)} {
			area, scaled := 0.0, false
			for _, of := range line.Curves {
				if of.Value != "output_tokens" {
					continue
				}
				scaled = of.Scaled
				for i, v := range of.V {
					from, to := line.slots().bounds(i)
					area += v * (to - from).Seconds()
				}
			}
			if math.Abs(area-c.want) > 1e-6 || scaled != c.scaled {
				t.Errorf("%s, %s: the area is %g tokens, scaled %t; want %g, %t", name, kind, area, scaled, c.want, c.scaled)
			}
		}
	}
}

func uncounted(q *lab.RequestRecord) {
	for i := range q.Chunks {
		q.Chunks[i].Tokens = 0
	}
}

func TestATimelineBreaksWhereNothingWasRead(t *testing.T) {
	var tables lab.Tables
	for i := range 100 {
		tables.Requests = append(tables.Requests, request(i, "p", time.Second+time.Duration(i)*100*time.Millisecond, 20*time.Millisecond, 10*time.Millisecond, 50, 4))
	}
	for at := time.Second; at < 11*time.Second; at += 100 * time.Millisecond {
		if at > 4*time.Second && at < 6*time.Second {
			continue
		}
		tables.Samples = append(tables.Samples, lab.Sample{At: at, Device: "gpu0", Values: map[string]float64{lab.GPUPower: 300, lab.GPUEnergy: 300 * at.Seconds()}})
	}
	line := Over(experiment("p"), tables)
	holes := 0
	power := curve(t, line, "gpu0", lab.GPUPower)
	for _, v := range power.V {
		if math.IsNaN(v) {
			holes++
		}
	}
	if holes != 1 {
		t.Errorf("%d breaks in the power, want the one", holes)
	}
	energy := curve(t, line, "gpu0", lab.GPUEnergy)
	if v := energy.V[1]; !energy.Rate || math.Abs(v-300) > 1 {
		t.Errorf("the energy rises by %g J a second, want 300", v)
	}
	text, err := json.Marshal(power)
	if err != nil || !json.Valid(text) {
		t.Errorf("%s: %v", text, err)
	}
}

func TestARunWithoutRequestsHasNoTimeline(t *testing.T) {
	if line := Over(experiment("p"), lab.Tables{}); len(line.Curves)+len(line.Phases) > 0 {
		t.Errorf("%+v", line)
	}
}

func BenchmarkOver100000RequestsInAnHour(b *testing.B) {
	r, t := hour(100_000)
	for b.Loop() {
		if line := Over(r, t); len(line.Curves) == 0 {
			b.Fatal(line)
		}
	}
}
