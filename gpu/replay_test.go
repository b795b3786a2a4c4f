package gpu

import (
	"math"
	"os"
	"strings"
	"testing"
	"time"
)

func TestATraceThatCannotBeReadNamesTheLine(t *testing.T) {
	for text, want := range map[string]string{
		"0 1 2 3\nnonsense":               "t:2:",
		"0 1 2":                           "t:1:",
		"":                                "no data row",
		"0 0 0 1\nset power_period_ms no": "power_period_ms",
		"0 0 0 1 0 0 0 0 zz":              "hexadecimal",
		"0 0 0 1\nset colour red":         "t:2:",
		"0 0 0 1\ndevice 2":               "GPU 2 comes before GPU 1",
		"0 0 0 1\ndevice 1":               "GPU 1 holds no data row",
		"0 0 0 1\nfail 1 2 *":             "t:2: fail takes 4 values",
		"0 0 0 1\nfield 83 some":          "field takes",
		"0 0 0 1\nxid 5":                  "t:2:",
	} {
		if _, err := parseTrace("t", strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want …%s…", text, err, want)
		}
	}
}

func TestEnergyOfATraceIsTheIntegralOfItsPower(t *testing.T) {
	f, err := os.Open("testdata/step.trace")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	trace, err := parseTrace("step", f)
	if err != nil {
		t.Fatal(err)
	}
	g := trace.gpus[0]
	if got := g.millijoules(5000) - 1e9; got != 1515e3 { // 70 + 600 + 695 + 2*75
		t.Errorf("%g mJ, want 1515000", got)
	}
	if capped, c := g.fieldAt(fieldThrottlePower, 0, 2750); c != success || capped != 0.75e9 {
		t.Errorf("power-capped for %g ns (%s), want 0.75 s", capped, c)
	}
	if mean, c := g.fieldAt(fieldPowerAverage, 0, 1250); c != success || math.Abs(mean-(0.8*70e3+0.2*600e3)) > 1 {
		t.Errorf("mean power %g mW (%s), want that of the last second, to the last renewal", mean, c)
	}
}

func FuzzTrace(f *testing.F) {
	text, err := os.ReadFile("testdata/step.trace")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(text))
	f.Add("0 1 2 3\nfail 1 2 * 3\nslow 1 2 x 5\nfield 3 none\nfield 83 at 5 7\nxid 3 79\necc 3 1 1\nreset 4")
	f.Add("set gpm 1\n0 1 2 3 4 5 6 7 8 9 10 11 12 13 14\ndevice 1\n0 1 2 3\nproc 0 1 2 3 foreign")
	f.Fuzz(func(t *testing.T, text string) {
		trace, err := parseTrace("t", strings.NewReader(text))
		if err != nil {
			return
		}
		r := replay(trace, func() float64 { return 50 }, 0)
		for _, c := range r.cards {
			board := c.board.(*traceBoard)
			board.g.set["call_latency_us"], board.g.faults = "0", nil // no waiting
		}
		for _, group := range []Group{Fast, Util, Mid, GPM, Slow} {
			for _, s := range r.Read(group, func() time.Duration { return 50 * time.Millisecond }).Samples {
				for name, v := range s.Values {
					if math.IsNaN(v) || math.IsInf(v, 0) || v < 0 {
						t.Errorf("%s %s: %g", s.Device, name, v)
					}
				}
			}
		}
	})
}
