package web

import (
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"lab/internal/lab"
	"lab/store"
)

// profiled puts a run with a trace into a store, which is said to be so large.
func profiled(t *testing.T, db *store.DB, size lab.Bytes, change func(*lab.Run)) string {
	t.Helper()
	trace, err := os.ReadFile("../../profiling/testdata/vllm-0.32-worker.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	run := lab.Run{ID: lab.NewID(time.Now()), Outcome: lab.Live, Epoch: lab.NewEpoch(), Experiment: lab.Experiment{Name: "a <b>"}}
	change(&run)
	w, err := db.Begin(run)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(db.RunDir(run.ID), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(db.RunDir(run.ID), "worker.json.gz"), trace, 0o600); err != nil {
		t.Fatal(err)
	}
	run.Experiment.Profile = &lab.ProfileWindow{Iterations: 8}
	run.Outcome, run.Profile = lab.Complete, &lab.Profile{Mechanism: lab.ProfileByConfig, Complete: true, Files: []lab.TraceFile{{Path: "worker.json.gz", Size: size, Kind: "worker", Complete: true}}}
	if err := w.Seal(run, lab.Summary{}); err != nil {
		t.Fatal(err)
	}
	return run.ID
}

// announce says that this process measures; the returned function takes it back, as the end of the process would.
func announce(t *testing.T, db *store.DB) (end func()) {
	t.Helper()
	db.Announce("lab run a.yaml").Say(lab.Status{Stage: "load"})
	for limit := time.Now().Add(30 * time.Second); len(db.Announced()) == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("it is not announced")
		}
	}
	return func() {
		if err := os.Remove(filepath.Join(db.Dir(), "live", strconv.Itoa(os.Getpid()))); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLargeTracesAreReadBesideAMeasurementOnlyIfOneInsists(t *testing.T) {
	site, server := serve(t, Options{})
	plan := lab.Plan{ID: "20261130-120000-plan", Made: time.Now(), Pairs: 1, Order: "AB", Phase: "load", Primary: "ttft.mean", A: lab.Experiment{Name: "a"}, B: lab.Experiment{Name: "b"}}
	arm := func(arm string) func(*lab.Run) {
		return func(r *lab.Run) { r.Plan, r.Arm = &plan, arm }
	}
	large := profiled(t, site.DB, costly+1, func(*lab.Run) {})
	small := profiled(t, site.DB, costly, func(*lab.Run) {})
	profiled(t, site.DB, costly/2+1, arm("A"))
	profiled(t, site.DB, costly/2+1, arm("B"))

	const left, hint, read = "Traces not read", "data-unread", "CPU self time" // by category
	is := func(when, path string, status int, has ...string) {
		t.Helper()
		response, page := answer(t, server.Client(), server.URL+path, nil)
		if response.StatusCode != status {
			t.Errorf("%s %s is answered with %s", when, path, response.Status)
		}
		for _, part := range has {
			if part, not := strings.CutPrefix(part, "!"); strings.Contains(page, part) == not {
				t.Errorf("%s %s: there is %q: %v", when, path, part, !not)
			}
		}
	}
	end := announce(t, site.DB)
	is("beside a measurement", "/r/"+large, http.StatusOK, left, hint, `href="?anyway="`, "!"+read)
	is("beside a measurement", "/r/"+small, http.StatusOK, "!"+left, "!"+hint, read)
	is("beside a measurement", "/ab/"+plan.ID, http.StatusOK, left, hint, "!Evidence: the two profiled runs")
	is("beside a measurement", "/ab/"+plan.ID+"?data=data-verdict", http.StatusOK, `"traces_not_read_bytes": `+strconv.Itoa(2*(costly/2+1)), `!"diff"`)
	is("beside a measurement", "/profile/"+large+"/", http.StatusServiceUnavailable, `href="?anyway="`)
	is("beside a measurement", "/profile/"+small+"/", http.StatusOK)
	end()
	is("afterwards", "/r/"+large, http.StatusOK, "!"+left, "!"+hint, read)
	is("afterwards", "/ab/"+plan.ID, http.StatusOK, "!"+left, "!"+hint, "Evidence: the two profiled runs")
	is("afterwards", "/profile/"+large+"/", http.StatusOK)

	site, server = serve(t, Options{DB: site.DB}) // which has made nothing yet
	defer announce(t, site.DB)()
	is("beside another", "/r/"+large, http.StatusOK, left)
	is("beside another", "/r/"+large+"?anyway", http.StatusOK, "!"+left, "!"+hint, read)
	is("beside another", "/r/"+large, http.StatusOK, "!"+left) // since it is made
	is("beside another", "/profile/"+large+"/?anyway", http.StatusOK)
}

func TestEveryPageOfAProfileLeadsBackToLab(t *testing.T) {
	site, server := serve(t, Options{})
	one, other := profiled(t, site.DB, 1, func(*lab.Run) {}), profiled(t, site.DB, 1, func(*lab.Run) {})
	for _, page := range []string{"", "flamegraph", "top"} {
		for path, links := range map[string][]string{"/profile/" + one + "/": {one}, "/profile-diff/" + one + "/" + other + "/": {one, other}} {
			response, body := answer(t, server.Client(), server.URL+path+page, nil)
			if response.StatusCode != http.StatusOK || !strings.Contains(body, `<body><nav aria-label="lab"`) || !strings.Contains(body, `<a href="/profiles">`) || !strings.HasSuffix(strings.TrimSpace(body), "</html>") {
				t.Errorf("%s: %s, no bar in %.500s", path+page, response.Status, body)
			}
			for _, id := range links {
				if !strings.Contains(body, `<a href="/r/`+id+`">`+id+`</a> (a &lt;b&gt;)`) {
					t.Errorf("%s has no link to %s", path+page, id)
				}
			}
			if policy := response.Header.Get("Content-Security-Policy"); policy != pprofPages {
				t.Errorf("%s: the policy is %q", path+page, policy)
			}
		}
	}
	if response, body := answer(t, server.Client(), server.URL+"/profile/"+one+"/download", nil); response.StatusCode != http.StatusOK || strings.Contains(body, "<nav") {
		t.Errorf("the profile to save: %s", response.Status)
	}
}
