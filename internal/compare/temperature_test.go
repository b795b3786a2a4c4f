package compare

import (
	"slices"
	"strings"
	"testing"

	"lab/internal/lab"
)

func TestAPairThatStartedMoreThanFiveDegreesApartIsFlagged(t *testing.T) {
	plan, runs := experiment("ABBAABBA", example)
	for i, degrees := range []float64{60, 65, 61, 66.5, 0, 70, 60, 60} { // 0: not read
		if degrees > 0 {
			runs[i].Run.StartTemp = &degrees
		}
	}
	v := Judge(plan, runs)
	i := slices.IndexFunc(v.Warnings, func(f lab.Finding) bool { return f.Code == "start-temperature" })
	if i < 0 {
		t.Fatalf("no warning: %v", v.Warnings)
	}
	if text := v.Warnings[i].Detail; !strings.HasPrefix(text, "1 of 4 pairs") || !strings.Contains(text, "pair 2: 61 °C") || !strings.Contains(text, "66.5 °C") {
		t.Error(text)
	}
}
