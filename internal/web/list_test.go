package web

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"lab/internal/lab"
	"lab/store"
)

// noon is a moment for tests.
func noon() time.Time { return time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC) }

// someRuns are rows as the list has them, newest first.
func someRuns() []row {
	ttft := func(ms float64) []lab.Figure {
		return []lab.Figure{{Phase: "load", Metric: "ttft.mean", Value: ms / 1e3, Unit: "s"}, {Phase: "load", Metric: "output_throughput", Value: 1e5 / ms, Unit: "tok/s"}}
	}
	entries := []store.Entry{
		{ID: "20261130-115900-live", Name: "seqs-64", Model: "qwen3-8b", Outcome: lab.Live, Started: noon().Add(-time.Minute)},
		{ID: "20261130-100000-fast", Name: "seqs-32", Model: "qwen3-8b", Outcome: lab.Complete, Valid: true, Headline: ttft(40), Took: time.Minute, Started: noon().Add(-2 * time.Hour), Arm: "B", PlanID: "plan-1", Block: 1},
		{ID: "20261130-090000-slow", Name: "seqs 16", Model: "llama", Outcome: lab.Complete, Valid: true, Headline: ttft(400), Took: time.Hour, Started: noon().Add(-3 * time.Hour), Tags: []string{"nightly"}},
		{ID: "20261101-090000-odd1", Name: "seqs-16", Model: "llama", Outcome: lab.Complete, Headline: ttft(4), Started: noon().AddDate(0, 0, -29)},
		{ID: "20261001-090000-fail", Name: "seqs-1", Model: "Llama", Outcome: lab.Failed, Started: noon().AddDate(0, 0, -60), Sweep: &lab.SweepPlace{ID: "sw-1", Name: "batch", Cell: "c=1"}},
		{ID: "20260901-090000-brok", Outcome: lab.Failed, Problem: "the file is damaged"},
	}
	rows := make([]row, len(entries))
	for i, e := range entries {
		rows[i] = rowOf(e)
	}
	return rows
}

func TestAFilterFindsWhatItsTermsSay(t *testing.T) {
	for query, want := range map[string]string{
		"":                        "live fast slow odd1 fail brok",
		"llama":                   "slow odd1 fail",
		"LLAMA -nightly":          "odd1 fail",
		`"seqs 16"`:               "slow",
		`name:"seqs 16`:           "slow",
		"seqs 16":                 "slow odd1",
		"outcome:invalid":         "odd1",
		"outcome:failed":          "fail",
		"unreadable":              "brok",
		"damaged":                 "brok",
		"-outcome:complete":       "live odd1 fail brok",
		"tag:night":               "slow",
		"plan:plan-1 arm:b":       "fast",
		"sweep:batch cell:c=1":    "fail",
		"ttft<100ms":              "fast odd1",
		"ttft<=0.04s -odd1":       "fast",
		"ttft>100ms":              "slow",
		"output>1000":             "fast odd1",
		"took>=1h":                "slow",
		"since:2026-11-30":        "live fast slow",
		"since:1h":                "live",
		"until:2026-11-01":        "odd1 fail",
		"since:30d until:1d":      "odd1",
		"http://127.0.0.1:8000":   "",
		"-":                       "live fast slow odd1 fail brok",
		"baseline:x":              "",
		"model:qwen outcome:live": "live",
	} {
		f := parseFilter(query, noon())
		if len(f.faults) > 0 {
			t.Errorf("%q: %v", query, f.faults)
		}
		var got []string
		for _, r := range someRuns() {
			if f.match(&r) {
				got = append(got, r.ID[len("20261130-115900-"):])
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q finds %q, want %q", query, got, want)
		}
	}
}

func TestATermThatMakesNoSenseIsToldAndFiltersNothing(t *testing.T) {
	for _, query := range []string{"ttft<", "ttft<100", "tpot>fast", "output>many", "took<5", "since:yesterday", "until:-1d", "since:1e9d"} {
		f := parseFilter(query+" llama", noon())
		if len(f.faults) != 1 || len(f.terms) != 1 || !strings.HasPrefix(f.faults[0], query) {
			t.Errorf("%q: %d terms, faults %q", query, len(f.terms), f.faults)
		}
	}
}

func FuzzFilter(f *testing.F) {
	for _, query := range []string{"", `"a b" -c`, "ttft<100ms", "since:7d", "-", "--", `-"`, "tag:", ":", "<", "ttft<>=", "output>1e309", "since:1e300d"} {
		f.Add(query)
	}
	rows := someRuns()
	f.Fuzz(func(t *testing.T, query string) {
		filter := parseFilter(query, noon())
		all := words(query)
		if len(filter.terms)+len(filter.faults) > len(all) {
			t.Errorf("%q has %d words, and %d terms and %d faults", query, len(all), len(filter.terms), len(filter.faults))
		}
		for i := range rows {
			filter.match(&rows[i])
		}
	})
}

func TestTheAddressOfTheListHoldsAllOfItsState(t *testing.T) {
	state := listState{Query: `model:"a b"&c`, Sort: "-ttft", Page: 3, Selected: []string{"x", "y"}}
	address, err := url.Parse(state.address())
	if err != nil {
		t.Fatal(err)
	}
	if got := readListState(address.Query()); fmt.Sprint(got) != fmt.Sprint(state) {
		t.Errorf("%+v comes back from %s as %+v", state, address, got)
	}
	if got := (listState{Page: 1}).address(); got != "/" {
		t.Errorf("the list as it opens is at %q", got)
	}
	nonsense := url.Values{"sort": {"sideways"}, "page": {"-3"}, "run": {"", "x", "x"}}
	if got := readListState(nonsense); got.Sort != "" || got.Page != 1 || !slices.Equal(got.Selected, []string{"x"}) {
		t.Errorf("of nonsense %+v is left", got)
	}
}

func TestTheListIsSortedAndCutAndKeepsWhatIsSelected(t *testing.T) {
	ids := func(v listView) string {
		var all []string
		for _, r := range v.Rows {
			all = append(all, r.ID[len(r.ID)-4:])
		}
		return strings.Join(all, " ")
	}
	for sort, want := range map[string]string{
		"": "live fast slow odd1 fail brok", "ttft": "odd1 fast slow live fail brok", "-ttft": "slow fast odd1 live fail brok",
		"-output": "odd1 fast slow live fail brok", "started": "fail odd1 slow fast live brok",
	} {
		if got := ids(arrange(someRuns(), listState{Sort: sort, Page: 1}, noon())); got != want {
			t.Errorf("sorted by %q: %s, want %s", sort, got, want)
		}
	}
	var many []row
	for i := range 250 {
		many = append(many, rowOf(store.Entry{ID: fmt.Sprintf("20261130-115900-%04d", i), Name: map[bool]string{true: "even", false: "odd"}[i%2 == 0]}))
	}
	v := arrange(many, listState{Query: "even", Page: 9, Selected: []string{many[0].ID, many[1].ID, many[240].ID}}, noon())
	if v.Page != 2 || v.Matching != 125 || v.Total != 250 || v.First != 101 || v.Last != 125 || len(v.Rows) != 25 || v.Next != "" || v.Previous == "" {
		t.Errorf("the last page is %d of %d rows: %d to %d, next %q", v.Page, len(v.Rows), v.First, v.Last, v.Next)
	}
	if !slices.Equal(v.Elsewhere, []string{many[0].ID, many[1].ID}) {
		t.Errorf("selected elsewhere are %v", v.Elsewhere)
	}
	if none := arrange(many, listState{Query: "nobody", Page: 1}, noon()); none.Matching != 0 || len(none.Rows) != 0 || none.Next+none.Previous != "" {
		t.Errorf("of nothing there are %d rows", len(none.Rows))
	}
}

func TestTimesAreThoseOfUTCInEveryZone(t *testing.T) {
	tokyo := time.FixedZone("Tokyo", 9*60*60)
	if got := began(noon().In(tokyo)); got != "2026-11-30 12:00 UTC" {
		t.Errorf("noon in UTC is shown as %q", got)
	}
	site, server := serve(t, Options{})
	liveRun(t, site.DB)
	for _, day := range []struct {
		at   time.Time
		want string
	}{{time.Now().UTC(), "1 run of 1"}, {time.Now().UTC().AddDate(0, 0, 1), "0 runs of 1"}} {
		_, page := answer(t, server.Client(), server.URL+"/?q=since:"+day.at.Format(time.DateOnly), nil)
		if !strings.Contains(page, day.want) {
			t.Errorf("since %s: no %q", day.at.Format(time.DateOnly), day.want)
		}
	}
}
