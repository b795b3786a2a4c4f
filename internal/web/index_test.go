package web

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"lab/internal/lab"
)

// The list and the page of a baseline are of one capture: the last whole one.
func TestTheListOfBaselinesShowsTheCaptureThatStands(t *testing.T) {
	site, server := serve(t, Options{})
	row := func() string {
		_, page := answer(t, http.DefaultClient, server.URL+"/baselines", nil)
		_, rows, _ := strings.Cut(page, "<tbody>")
		rows, _, _ = strings.Cut(rows, "</tbody>")
		return strings.Join(strings.Fields(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(rows, " ")), " ")
	}
	for i, c := range []struct {
		made int
		want string // of three
	}{
		{2, "before exp0 2026-11-30 12:00 UTC 1 2 of 3 0 broken off"},
		{3, "before exp1 2026-11-30 12:10 UTC 2 3 of 3 0 complete"},
		{1, "before exp1 2026-11-30 12:10 UTC 3 3 of 3 0 broken off the last capture: 1 of 3"},
		{3, "before exp3 2026-11-30 12:30 UTC 4 3 of 3 0 complete"},
	} {
		var ids []string
		for k := range c.made {
			began := time.Date(2026, 11, 30, 12, 10*i, k, 0, time.UTC)
			run := lab.Run{ID: fmt.Sprintf("20261130-12%02d%02d-base", 10*i, k), Outcome: lab.Complete, Ended: time.Second,
				Epoch: lab.Epoch{Wall: began}, Experiment: lab.Experiment{Name: fmt.Sprint("exp", i)}}
			sealed := lab.Sealed{Run: run, Summary: lab.Summary{Phases: []lab.Tally{{Phase: "load", Judged: true, Offered: 9, OK: 9}}}}
			if err := site.DB.Import(sealed, nil, nil); err != nil {
				t.Fatal(err)
			}
			ids = append(ids, run.ID)
		}
		if err := site.DB.Mark(ids, &lab.Capture{Name: "before", ID: fmt.Sprintf("20261130-12%02d00-capt", 10*i), Runs: 3}); err != nil {
			t.Fatal(err)
		}
		if got := row(); got != c.want {
			t.Errorf("after capture %d:\n%s\n%s", i, got, c.want)
		}
	}
}
