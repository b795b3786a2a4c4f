package page

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"lab/internal/correlate"
	"lab/internal/lab"
	"lab/internal/report"
	"lab/internal/report/chart"
	"lab/store"
)

func html(t testing.TB, d Document) string {
	t.Helper()
	var out bytes.Buffer
	if err := d.WriteHTML(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestTheSameRecordsGiveTheSamePageInEveryTimeZone(t *testing.T) {
	pages := map[string]func() Document{
		"run":     func() Document { return Run(usual().view("en")) },
		"chinese": func() Document { return Run(usual().view("zh")) },
		"A/B":     func() Document { return AB(madeAB("en", 3)) },
		"runs":    func() Document { return Compare(CompareView{Lab: "test", Runs: madeAB("en", 3).Pair}) },
	}
	for _, lang := range []string{"en", "zh"} {
		for name, make := range others(t, lang) {
			pages[name+" "+lang] = make
		}
	}
	here := time.Local
	defer func() { time.Local = here }()
	for name, make := range pages {
		time.Local = time.UTC
		utc := html(t, make())
		time.Local = time.FixedZone("JST", 9*3600)
		if html(t, make()) != utc {
			t.Errorf("%s: two pages of the same records differ", name)
		}
	}
}

func TestAPageSaysWhereTheTokensOfItsCurveComeFrom(t *testing.T) {
	for name, c := range map[string]struct {
		count bool
		said  bool
	}{"counted along the way": {true, false}, "counted in the end": {false, true}} {
		m := usual()
		m.uncounted = !c.count
		text := html(t, Run(m.view("en")))
		if got := strings.Contains(text, "shared out over its chunks"); got != c.said {
			t.Errorf("%s: says so: %t", name, got)
		}
	}
}

func TestPicturesOfVeryManyRequestsStateAllOfThem(t *testing.T) {
	m := made{seed: 3, name: "more", requests: mostDrawn + 1000, tokens: 1, pace: time.Millisecond, phases: []string{"load"}, bare: true}
	text := html(t, Run(m.view("en")))
	if n := strings.Count(text, "n = 201000, of which 200000 are drawn, evenly picked"); n < 4 { // TTFT and E2EL, shares and histograms
		t.Errorf("said %d times", n)
	}
	if strings.Contains(text, "n = 200000") {
		t.Error("what is drawn is given as all there is")
	}
}

// Chunks that come in one piece have gaps of 0, for which a logarithmic axis has no place.
func TestADistributionNamesThePointsItHasAndHowManyValuesItHasNoPlaceFor(t *testing.T) {
	of := func(name string, zeros, n int) sample {
		values := make([]float64, n)
		for i := zeros; i < n; i++ {
			values[i] = float64(i + 1)
		}
		slices.Reverse(values)
		return sample{name, 0, values, n}
	}
	for _, c := range []struct {
		lang    string
		samples []sample
		want    string
		dots    int
	}{
		{"en", []sample{of("load", 0, 413)}, "lower is better, log scale; points: p50, p90, p99; load n = 413", 3},
		{"en", []sample{of("load", 300, 413)}, "lower is better, log scale; points: p90, p99; load n = 413 (300 of them are 0); values of 0 lie left of the axis", 2},
		{"en", []sample{of("load", 0, 50)}, "lower is better, log scale; points: p50, p90; load n = 50", 2},
		{"en", []sample{of("load", 7, 7)}, "lower is better, log scale; load n = 7 (7 of them are 0); values of 0 lie left of the axis", 0},
		{"en", []sample{of("A", 95, 100), of("B", 0, 40)}, "lower is better, log scale; points: p50, p90, p99; A n = 100 (95 of them are 0), B n = 40; values of 0 lie left of the axis", 3},
		{"zh", []sample{of("load", 300, 413)}, "越低越好，对数坐标；点：p90、p99；load n = 413（其中 300 个为 0）；为 0 的值在坐标轴左侧之外", 2},
	} {
		figure := NewBody(c.lang).ecdf("ecdf", "ITL", "ms", c.samples)
		panel, dots := figure.Panels[0], 0
		for _, layer := range panel.Layers {
			if s, ok := layer.(chart.Series); ok && s.Draw == chart.Dots {
				dots++
			}
		}
		if panel.Subtitle != c.want || dots != c.dots {
			t.Errorf("%d points, and it says\n%s\nnot %d and\n%s", dots, panel.Subtitle, c.dots, c.want)
		}
		figure.Inline() // also where nothing is left to draw
	}
}

func TestAPageNeedsNothingButItself(t *testing.T) {
	pages := map[string]string{"run": html(t, Run(usual().view("en"))), "A/B": html(t, AB(madeAB("zh", 3)))}
	for name, make := range others(t, "zh") {
		pages[name] = html(t, make())
	}
	for name, text := range pages {
		if !strings.Contains(text, `http-equiv="Content-Security-Policy" content="default-src &#39;none&#39;; script-src &#39;sha256-`) {
			t.Errorf("%s: no policy that forbids everything else", name)
		}
		outside := without(without(text, "<script", "</script>"), "<style", "</style>")
		for _, found := range regexp.MustCompile(`\s(?:src|style|on[a-z]+)=|<(?:link|iframe|img|object)\b|url\([^#]`).FindAllString(outside, 5) {
			t.Errorf("%s: has %q", name, found)
		}
		if refers := regexp.MustCompile(`@import|url\(`).FindString(Style()); refers != "" {
			t.Errorf("the style sheet has %q", refers)
		}
		if n := strings.Count(text, "<script>"); n != 1 {
			t.Errorf("%s: %d scripts that run, want 1", name, n)
		}
		ids := regexp.MustCompile(`\sid="([^"]+)"`).FindAllStringSubmatch(text, -1)
		seen := map[string]bool{}
		for _, id := range ids {
			if seen[id[1]] {
				t.Errorf("%s: the id %s is there twice", name, id[1])
			}
			seen[id[1]] = true
		}
		for _, link := range regexp.MustCompile(`href="#([^"]+)"`).FindAllStringSubmatch(text, -1) {
			if !seen[link[1]] {
				t.Errorf("%s: a link to #%s leads nowhere", name, link[1])
			}
		}
		for _, block := range regexp.MustCompile(`(?s)<script type="application/json"[^>]*>(.*?)</script>`).FindAllStringSubmatch(text, -1) {
			if !json.Valid([]byte(block[1])) {
				t.Errorf("%s: data that is no JSON: %.80s", name, block[1])
			}
		}
	}
}

// without cuts elements out of a page.
func without(text, open, shut string) string {
	var kept strings.Builder
	for {
		before, rest, found := strings.Cut(text, open)
		kept.WriteString(before)
		if !found {
			return kept.String()
		}
		_, text, _ = strings.Cut(rest, shut)
	}
}

func TestThePageOfARunHasEverySectionAndEscapesWhatItQuotes(t *testing.T) {
	d := Run(usual().view("en"))
	var ids []string
	for _, s := range d.Sections {
		ids = append(ids, s.ID)
	}
	if want := "result measured latency throughput over-time requests stalls energy hardware errors validity reproduce"; strings.Join(ids, " ") != want {
		t.Errorf("sections %v, want %s", ids, want)
	}
	text := html(t, d)
	for _, want := range []string{"千问-基线 &amp; &lt;b&gt;", "盒子", "服务繁忙 &lt;busy&gt;", "H100 &lt;80GB&gt;", "&#39;it&#39;\\&#39;&#39;s &lt;/script&gt;&lt;b&gt;&#39;", "env -u GONE TMPDIR=/tmp/x vllm serve", "output throughput", "n = 144", "GPU held down by a limit", "lab show " + d.Data[0].File[:20]} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not say %s", want)
		}
	}
	if strings.Contains(text, "<busy>") {
		t.Error("a text of a server stands in the page as markup")
	}
}

func TestTheFiguresOfThePageAreThoseOfTheCommands(t *testing.T) {
	v := usual().view("en")
	text := html(t, Run(v))
	parts := append(report.RunParts(v.Sealed), report.HardwareParts(v.Sealed.Run, v.Hardware)...)
	for _, part := range parts {
		if part.Table == nil {
			continue
		}
		for _, row := range part.Table.Rows {
			for _, cell := range row {
				if cell != "" && !strings.Contains(text, escaped(cell)) {
					t.Errorf("%s of %s is printed, and not on the page", cell, part.Of)
				}
			}
		}
	}
}

func escaped(text string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;", "'", "&#39;", "+", "&#43;").Replace(text)
}

func TestAPageBeforeTheFirstLookSaysNothingOfBAgainstA(t *testing.T) {
	v := madeAB("en", 1)
	if v.Gate.Verdict.Look.Number != 0 {
		t.Fatalf("look %+v", v.Gate.Verdict.Look)
	}
	d := AB(v)
	for _, s := range d.Sections {
		if slices.Contains([]string{"latency", "throughput", "over-time", "requests", "stalls", "energy", "figures"}, s.ID) || strings.Contains(string(s.Body), "<figure") || strings.Contains(string(s.Body), "class=\"tiles\"") {
			t.Errorf("section %s is there before the first look", s.ID)
		}
	}
}

func TestAnABShowsTheTypicalPairAndEveryRun(t *testing.T) {
	v := madeAB("en", 3)
	if v.Gate.Verdict.Call != lab.Better || len(v.Pair) != 2 {
		t.Fatalf("call %s, %d runs to look at", v.Gate.Verdict.Call, len(v.Pair))
	}
	text := html(t, AB(v))
	for _, r := range v.Runs {
		if !strings.Contains(text, r.Ref.ID) {
			t.Errorf("run %s is not named", r.Ref.ID)
		}
	}
	for _, want := range []string{"B is BETTER", "server.max_num_seqs", "seqs-16 大批", "A p50", "B p50", "lab compare " + v.Gate.Verdict.Plan.ID} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not say %s", want)
		}
	}
}

func TestARunWithoutAnythingIsAnHonestPage(t *testing.T) {
	for name, v := range map[string]RunView{
		"nothing":  {Sealed: lab.Sealed{Run: lab.Run{ID: "r", Outcome: lab.Interrupted}}},
		"failed":   {Sealed: lab.Sealed{Run: lab.Run{ID: "r", Outcome: lab.Failed, Failure: &lab.Failure{Class: lab.FailMemory, Reason: "no room for the KV cache", Quote: []string{"ValueError: <x>"}}}}, Tables: lab.Tables{Log: []lab.LogLine{{Text: "last words"}}}},
		"live":     {Sealed: lab.Sealed{Run: lab.Run{ID: "r", Outcome: lab.Live}}},
		"imported": {Sealed: lab.Sealed{Run: lab.Run{ID: "r", Outcome: lab.Complete, Imported: &lab.Import{File: "a.json", By: "vllm bench serve"}}}},
	} {
		v.Hardware, v.Timeline = correlate.Explain(v.Sealed.Run, v.Tables), correlate.Over(v.Sealed.Run, v.Tables)
		text := html(t, Run(v))
		want := map[string]string{"nothing": "INTERRUPTED", "failed": "no room for the KV cache", "live": "NOT ENDED", "imported": "vllm bench serve"}[name]
		if !strings.Contains(text, want) || !strings.Contains(text, "No request of a measured phase was recorded") {
			t.Errorf("%s: the page does not say what is the matter", name)
		}
		if strings.Contains(text, "class=\"timeline\"") || strings.Contains(text, "NaN") && !strings.Contains(pageScript+plotScript, "NaN") {
			t.Errorf("%s: charts of nothing", name)
		}
	}
}

func TestAThinnedCurveKeepsItsEndsItsPeakAndItsHoles(t *testing.T) {
	var at, v []float64
	for i := range 10_000 {
		at, v = append(at, float64(i)), append(v, math.Sin(float64(i)/500))
	}
	v[3333] = 50
	v[7000] = math.NaN()
	a, b := thin(at, v, 300)
	if len(a) > 320 || a[0] != 0 || a[len(a)-1] != 9999 || !slices.Contains(b, 50) || !slices.IsSorted(a) {
		t.Errorf("%d points from %g to %g, peak %v", len(a), a[0], a[len(a)-1], slices.Contains(b, 50))
	}
	holes := 0
	for _, one := range b {
		if math.IsNaN(one) {
			holes++
		}
	}
	if holes != 1 {
		t.Errorf("%d holes, want 1", holes)
	}
}

// large is a run of 100 000 requests.
func large() made {
	return made{seed: 2, name: "large", requests: 100_000, tokens: 25, pace: 8 * time.Millisecond, phases: []string{"load"}}
}

func TestThePageOf100000RequestsIsSmall(t *testing.T) {
	if size := len(html(t, Run(large().view("en")))); size > 2<<20 {
		t.Errorf("%d bytes, want at most 2 MiB", size)
	}
}

// From the store to the file, which is what lab report does.
func BenchmarkReportOf100000Requests(b *testing.B) {
	db, err := store.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	s, t := large().run()
	live := s.Run
	live.Outcome = lab.Live
	w, err := db.Begin(live)
	if err != nil {
		b.Fatal(err)
	}
	for _, q := range t.Requests {
		w.Request(q)
	}
	for _, one := range t.Samples {
		w.Sample(one)
	}
	for _, one := range t.Events {
		w.Event(one)
	}
	if err := errors.Join(w.Seal(s.Run, s.Summary), w.Close()); err != nil {
		b.Fatal(err)
	}
	t, size := lab.Tables{}, 0
	for b.Loop() {
		d, err := LoadRun(b.Context(), db, s.Run.ID, Asked{Lab: "test"})
		if err != nil {
			b.Fatal(err)
		}
		size = len(html(b, d))
	}
	b.ReportMetric(float64(size), "bytes")
}

func ExampleBody() {
	b := NewBody("en")
	b.Tiles([]Tile{{Name: "TTFT p50", Value: "48 ms", Note: "n = 120"}})
	fmt.Print(strings.Contains(string(b.Section("result", "Result").HTML()), "48 ms"))
	// Output: true
}
