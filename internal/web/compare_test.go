package web

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"lab/internal/lab"
	"lab/store"
)

func TestRunsOfBothArmsBesideEachOtherSayThatTheirABIsNotDecided(t *testing.T) {
	site, server := serve(t, Options{})
	const said = "spoils its verdict"
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
		address := server.URL + "/compare?run=" + run.ID + "&run=" + ids[0]
		_, page := answer(t, http.DefaultClient, address, nil)
		_, file := answer(t, http.DefaultClient, address+"&file", nil) // it is sent to those who see nothing but it
		for what, text := range map[string]string{"page": page, "file": file} {
			if n := strings.Count(text, said); n > 1 || (n == 1) != want || want && !strings.Contains(text, "A/B "+plan.ID+" is not decided") {
				t.Errorf("after run %d of %s, the %s of run 1 beside it says %d times that it is not decided", i+1, plan.Order, what, n)
			}
		}
		if !strings.Contains(page, `<a href="/ab/`+plan.ID+`">`) {
			t.Errorf("after run %d of %s, nothing leads to the A/B", i+1, plan.Order)
		}
	}
	_, page := answer(t, http.DefaultClient, server.URL+"/compare?run="+ids[0]+"&run="+ids[1], nil)
	if strings.Contains(page, said) {
		t.Error("all runs are made, and the page says that it is not decided")
	}
	for _, path := range []string{"/compare?run=" + ids[0] + "&run=" + ids[1], "/ab/" + plan.ID + "?"} {
		_, page := answer(t, http.DefaultClient, server.URL+path, nil)
		_, file := answer(t, http.DefaultClient, server.URL+path+"&file", nil)
		for _, id := range ids[:2] {
			if !strings.Contains(page, `><a href="/r/`+id+`">`+id+`</a></t`) || !strings.Contains(file, ">"+id+"</t") {
				t.Errorf("%s: in its tables %s is no link, or it is not in the file", path, id)
			}
		}
		if strings.Contains(file, `href="/`) {
			t.Errorf("%s: the file has a link, and there is no server behind it", path)
		}
	}
}

func TestAComparisonWithALiveRunSaysOfWhenItIsAndIsRenewed(t *testing.T) {
	site, server := serve(t, Options{})
	first, one := liveRun(t, site.DB)
	second, other := liveRun(t, site.DB)
	address := server.URL + "/compare?run=" + one.ID + "&run=" + other.ID
	for _, c := range []struct {
		w   *store.Writer
		run lab.Run
	}{{first, one}, {second, other}} {
		_, page := answer(t, http.DefaultClient, address, nil)
		for _, want := range []string{`data-renew="#main"`, ` data-again="`, "Not all of these runs have ended.", " UTC; it is renewed"} {
			if !strings.Contains(page, want) {
				t.Errorf("while %s goes on, the page lacks %s", c.run.ID, want)
			}
		}
		c.run.Outcome, c.run.Ended = lab.Complete, time.Second
		if err := c.w.Seal(c.run, lab.Summary{}); err != nil {
			t.Fatal(err)
		}
	}
	_, page := answer(t, http.DefaultClient, address, nil)
	if !strings.Contains(page, `data-renew="#main"`) || strings.Contains(page, "data-again") || strings.Contains(page, "have ended") {
		t.Error("all have ended, and the page says that one goes on")
	}
}
