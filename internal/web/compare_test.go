package web

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"lab/internal/lab"
)

func TestRunsOfBothArmsBesideEachOtherSayThatTheirABIsNotDecided(t *testing.T) {
	site, server := serve(t, Options{})
	const said = "it is not decided yet"
	plan := lab.Plan{ID: "20261130-120000-plan", Made: time.Now(), Pairs: 2, Order: "ABBA", Phase: "load", Primary: "ttft.mean", Fresh: true, A: lab.Experiment{Name: "a"}, B: lab.Experiment{Name: "b"}}
	var ids []string
	for i, arm := range plan.Order {
		run := lab.Run{ID: lab.NewID(time.Now()), Outcome: lab.Live, Epoch: lab.NewEpoch(), Plan: &plan, Arm: string(arm), Block: i/2 + 1}
		w, err := site.DB.Begin(run)
		if err != nil {
			t.Fatal(err)
		}
		run.Outcome, run.Ended = lab.Complete, time.Second
		err = w.Seal(run, lab.Summary{Phases: []lab.Tally{{Phase: "load", Judged: true, Offered: 9, OK: 9}},
			Figures: []lab.Figure{{Phase: "load", Metric: "ttft.mean", Value: 0.01, Unit: "s", N: 9, NEff: 9}}})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, run.ID)
		if i == 0 {
			continue
		}
		want := arm == 'B' && i < len(plan.Order)-1
		_, page := answer(t, http.DefaultClient, server.URL+"/compare?run="+run.ID+"&run="+ids[0], nil)
		if strings.Contains(page, said) != want || want && !strings.Contains(page, `<a href="/ab/`+plan.ID+`">`) {
			t.Errorf("after run %d of %s, run 1 beside it says that it is not decided: %v", i+1, plan.Order, !want)
		}
	}
	_, page := answer(t, http.DefaultClient, server.URL+"/compare?run="+ids[0]+"&run="+ids[1], nil)
	if strings.Contains(page, said) {
		t.Error("all runs are made, and the page says that it is not decided")
	}
}
