package kit

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lab/internal/lab"
)

func TestARunsRampUpIsInItsReport(t *testing.T) {
	run := lab.Run{Epoch: lab.Epoch{Wall: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}, Experiment: lab.Experiment{Phases: []lab.Phase{{Name: phase, Load: lab.Load{
		RampUp: &lab.RampUp{Strategy: "linear", Start: 5, End: 6}, Requests: 2, API: "completions"}}}}}
	records := []lab.RequestRecord{{Phase: phase, Seq: 0, Intended: 1500 * ms, Sent: 1600 * ms}, {Phase: phase, Seq: 1, Intended: 1700*ms + 1001, Sent: 1800 * ms}, {Phase: lab.Warmup, Intended: 1}}
	r := ReportOf(run, lab.Tally{Phase: phase, Offered: 2, Start: time.Second, End: 3 * time.Second}, records)
	began := run.Epoch.Wall.Local()
	if d := cmp.Diff([]RPSChange{{5, began.Add(time.Second)}, {6, began.Add(1700*ms + 1001)}}, r.Bench.RPSChanges); d != "" {
		t.Error(d)
	}
	want := `"rps_change_events": [{"rps": 5, "timestamp": "` + began.Add(time.Second).Format("2006-01-02T15:04:05") +
		`"}, {"rps": 6, "timestamp": "` + began.Add(time.Second).Format("2006-01-02T15:04:05") + `.700001"}]`
	if document := string(r.JSON()); !strings.Contains(document, want) {
		t.Errorf("%s lacks %s", document, want)
	}
	if r.Duration != 2 || r.Bench.Date != began.Add(3*time.Second) || r.Bench.Requests != 2 {
		t.Errorf("%+v", r.Bench)
	}
}
