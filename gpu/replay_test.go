package gpu

import (
	"math"
	"os"
	"strings"
	"testing"
)

func TestATraceThatCannotBeReadNamesTheLine(t *testing.T) {
	for text, want := range map[string]string{
		"0 1 2 3\nnonsense":               "t:2:",
		"0 1 2":                           "t:1:",
		"":                                "no data row",
		"0 0 0 1\nset power_period_ms no": "power_period_ms",
		"0 0 0 1 0 0 0 0 zz":              "hexadecimal",
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
	if got := trace.joules(5000); math.Abs(got-1515) > 1e-9 { // 70 + 600 + 695 + 2*75
		t.Errorf("%g J, want 1515", got)
	}
}

func FuzzTrace(f *testing.F) {
	text, err := os.ReadFile("testdata/step.trace")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(text))
	f.Add("0 1 2 3\nfail 1 2 * 3\nhang 1 2 x\nfield 3 none")
	f.Fuzz(func(t *testing.T, text string) {
		trace, err := parseTrace("t", strings.NewReader(text))
		if err == nil && (trace.joules(1e6) < 0 || trace.at(5).ms < 0) {
			t.Error("negative")
		}
	})
}
