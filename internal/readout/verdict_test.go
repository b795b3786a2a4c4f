package readout

import (
	"testing"

	"lab/internal/correlate"
	"lab/internal/lab"
	"lab/internal/report"
)

func TestBetweenTheArmsOnlyRunsThatTheAnswerRestsOnAreCompared(t *testing.T) {
	v := lab.Verdict{}
	var arms []report.ArmHardware
	for i, arm := range []string{"A", "B", "B", "A", "A", "B"} { // the third pair came after the look
		id := string(rune('a' + i))
		v.Runs = append(v.Runs, lab.RunRef{ID: id, Arm: arm, Valid: true, Judged: i < 4})
		arms = append(arms, report.ArmHardware{Arm: arm, Block: i/2 + 1, Hardware: correlate.Hardware{Run: id, Stalls: correlate.Stalls{Gaps: 1000, Streams: i + 1}}})
	}
	all := Between(v, arms)
	for _, d := range all {
		if d.NA != 2 || d.NB != 2 {
			t.Errorf("%+v", d)
		}
	}
	if len(all) == 0 {
		t.Error("nothing is compared")
	}
	if got := Between(lab.Verdict{}, arms); len(got) != 0 {
		t.Errorf("before the first look: %+v", got)
	}
}
