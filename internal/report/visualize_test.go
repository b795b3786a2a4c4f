package report

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"image/png"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lab/internal/report/chart"
)

// kitTable is a table as the kit writes it, from a simple model of a server with a little noise.
type kitTable struct {
	models        []string
	shapes        [][2]int
	concurrencies []int
	repeats       int
	without       []string // columns
	secondHeader  bool
}

func (k kitTable) csv() string {
	columns := strings.Fields("date backend model_id num_prompts request_rate max_concurrency duration completed total_input_tokens " +
		"total_output_tokens request_throughput request_goodput output_throughput total_token_throughput")
	metrics := []string{"ttft", "tpot", "itl", "e2el"}
	for _, m := range metrics {
		columns = append(columns, "mean_"+m+"_ms", "median_"+m+"_ms", "std_"+m+"_ms", "p99_"+m+"_ms")
	}
	columns = append(columns, "input_len", "output_len", "filename")
	columns = slices.DeleteFunc(columns, func(c string) bool { return slices.Contains(k.without, c) })
	random := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	w.Write(columns)
	if k.secondHeader {
		w.Write(slices.Repeat([]string{"中文"}, len(columns)))
	}
	minute := 0
	for _, model := range k.models {
		for _, shape := range k.shapes {
			for _, c := range k.concurrencies {
				for range k.repeats {
					noise := func() float64 { return 1 + 0.03*random.NormFloat64() }
					in, out, n := float64(shape[0]), float64(shape[1]), float64(c*10)
					ttft := (25 + 0.09*in*(1+0.08*float64(c))) * noise()
					tpot := (9 + 0.35*float64(c)) * noise()
					e2el := ttft + tpot*(out-1)
					duration := n / float64(c) * e2el / 1000
					minute += 3
					row := map[string]string{
						"date": fmt.Sprintf("20261120-%02d%02d00", minute/60%24, minute%60), "backend": "vllm", "model_id": model, "request_rate": "inf",
						"filename": fmt.Sprintf("bench_io%dx%d_mc%d_np%d.json", shape[0], shape[1], c, c*10),
					}
					for column, v := range map[string]float64{"num_prompts": n, "completed": n, "max_concurrency": float64(c), "input_len": in, "output_len": out,
						"duration": duration, "total_input_tokens": n * in, "total_output_tokens": n * out, "request_throughput": n / duration,
						"output_throughput": n * out / duration, "total_token_throughput": n * (in + out) / duration,
						"mean_ttft_ms": ttft, "mean_tpot_ms": tpot, "mean_itl_ms": tpot, "mean_e2el_ms": e2el} {
						row[column] = fmt.Sprintf("%g", v)
					}
					var record []string
					for _, column := range columns {
						record = append(record, row[column])
					}
					w.Write(record)
				}
			}
		}
	}
	w.Flush()
	return b.String()
}

var ordinary = kitTable{models: []string{"Qwen2.5-7B"}, shapes: [][2]int{{256, 256}, {1024, 1024}}, concurrencies: []int{1, 4, 16}, repeats: 2}

func read(t testing.TB, text string) *Aggregate {
	t.Helper()
	a, err := ReadAggregate(strings.NewReader(text), "table.csv")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func files(t testing.TB, a *Aggregate, o Pictures) map[string][]byte {
	t.Helper()
	written, _, err := Visualize(a, o, chart.Fonts{})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{}
	for _, f := range written {
		all[f.Name] = f.Data
	}
	return all
}

func TestEverythingTheKitsReadersExpectIsWritten(t *testing.T) {
	got := files(t, read(t, ordinary.csv()), Pictures{All: true})
	for _, name := range []string{"throughput_analysis", "latency_analysis", "concurrency_performance", "performance_comparison"} {
		picture, err := png.Decode(bytes.NewReader(got[name+".png"]))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if picture.Bounds().Dx() < 2000 || len(got[name+".png"]) < 50_000 {
			t.Errorf("%s: %v, %d bytes: too poor for a slide", name, picture.Bounds(), len(got[name+".png"]))
		}
		svg := string(got[name+".svg"])
		if !strings.Contains(svg, "n = 12 runs") || !strings.Contains(svg, " is better") || !strings.Contains(svg, "± 1 standard deviation") {
			t.Errorf("%s does not say n, what is better and what the error bars are", name)
		}
		if strings.Contains(svg, "no data") {
			t.Errorf("%s has a panel without data", name)
		}
	}
	for name, o := range map[string]Pictures{
		"latency_analysis.png latency_analysis.svg": {Latency: true},
		"interactive_dashboard.html":                {Interactive: true}, "performance_report.txt": {Report: true},
	} {
		var names []string
		for n := range files(t, read(t, ordinary.csv()), o) {
			names = append(names, n)
		}
		slices.Sort(names)
		if strings.Join(names, " ") != name {
			t.Errorf("wrote %v, want %s", names, name)
		}
	}
}

func TestTheReportNamesTheBestAndRatesEach(t *testing.T) {
	for language, chinese := range map[string]bool{"en": false, "zh": true} {
		got := files(t, read(t, ordinary.csv()), Pictures{Report: true, Chinese: chinese})["performance_report.txt"]
		golden := filepath.Join("testdata", "visualize", "performance_report."+language+".txt")
		if *update {
			if err := os.WriteFile(golden, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", language, diff)
		}
	}
}

func TestTheDashboardAsksTheNetworkForNothing(t *testing.T) {
	a := read(t, kitTable{models: []string{"<script>alert(1)</script>", "b"}, shapes: ordinary.shapes, concurrencies: ordinary.concurrencies, repeats: 1}.csv())
	page := string(files(t, a, Pictures{Interactive: true})["interactive_dashboard.html"])
	for _, foreign := range []string{"http://", "https://", "<link", "<img", "<iframe", "src=", "@import", "url(h", "<script>alert", "NaN"} {
		if strings.Contains(page, foreign) {
			t.Errorf("the page holds %q", foreign)
		}
	}
	policy := regexp.MustCompile(`Content-Security-Policy" content="([^"]*)"`).FindStringSubmatch(page)
	script := regexp.MustCompile(`(?s)<script>(.*?)</script>`).FindStringSubmatch(page)
	style := regexp.MustCompile(`(?s)<style>(.*?)</style>`).FindStringSubmatch(page)
	if policy == nil || script == nil || style == nil {
		t.Fatal("the page lacks its policy, script or style")
	}
	allowed := strings.NewReplacer("&#39;", "'", "&#43;", "+").Replace(policy[1])
	if !strings.HasPrefix(allowed, "default-src 'none'") || !strings.Contains(allowed, SourceHash(script[1])) || !strings.Contains(allowed, SourceHash(style[1])) {
		t.Errorf("the policy does not allow just the page's own script and style: %s", allowed)
	}
	if strings.Count(page, "<svg") != 6 || strings.Count(page, "<tr>") != 1+12 {
		t.Errorf("without its script the page has %d pictures and %d table rows", strings.Count(page, "<svg"), strings.Count(page, "<tr>"))
	}
}

// texts are the files that are text: drawing pixels takes long and adds nothing where words are asserted.
func texts(t testing.TB, a *Aggregate) map[string]string {
	t.Helper()
	p := newPictures(a, false)
	page, err := p.dashboard()
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{"throughput": string(p.throughput().SVG()), "latency": string(p.latency().SVG()),
		"concurrency": string(p.concurrency().SVG()), "dashboard": string(page), "report": string(p.text())}
}

func TestAMissingColumnIsSaidInItsPanel(t *testing.T) {
	k := ordinary
	k.without = []string{"mean_itl_ms", "mean_ttft_ms", "date", "total_token_throughput"}
	got := texts(t, read(t, k.csv()))
	for name, want := range map[string]string{
		"latency":     "no data: column mean_ttft_ms is missing",
		"throughput":  "no data: column total_token_throughput is missing",
		"dashboard":   "no data: column mean_ttft_ms is missing",
		"report":      "no data: mean_ttft_ms",
		"concurrency": "no data: column mean_ttft_ms is missing",
	} {
		if !strings.Contains(got[name], want) {
			t.Errorf("%s does not say %q", name, want)
		}
	}
	k.without = []string{"input_len", "output_len", "max_concurrency"} // the file names say them
	if strings.Contains(texts(t, read(t, k.csv()))["throughput"], "no data") {
		t.Error("lengths and concurrency were not taken from the file names")
	}
}

func TestRowsOfOneConfigurationAreRepeats(t *testing.T) {
	cells := read(t, "\ufeffmax_concurrency,output_len,input_len,output_throughput,mean_ttft_ms,completed,request_rate,extra\n"+
		"并发,输出,输入,吞吐,延迟,完成,速率,其他\n4,8,16,100,10,5,inf,x\n4.0,8,16,110,nan,5,inf,x\n4,8,16,0,0,0,inf,x\n8,8,16,,,5,inf,x\n4,8,16,300,10,5,2.5,x\n").cells()
	var got []string
	p := names{rates: true}
	for _, c := range cells {
		throughput, _ := spreadOf(c.rows, "output_throughput")
		ttft, _ := spreadOf(c.rows, "mean_ttft_ms")
		got = append(got, fmt.Sprintf("%s: %s; TTFT %s", p.cell(c), throughput.text("tok/s"), ttft.text("ms")))
	}
	want := []string{"io16x8 inf req/s_mc4: 105 ± 7.1 tok/s (n = 2); TTFT 10 ms (n = 1)", "io16x8 2.5 req/s_mc4: 300 tok/s (n = 1); TTFT 10 ms (n = 1)"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestATableWithoutAResultIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"":                                "empty",
		"a,b\n1,2\n":                      "names none of the columns",
		"mean_ttft_ms\n":                  "no usable row",
		"mean_ttft_ms\nnan\n":             "no usable row",
		"mean_ttft_ms,completed\n0.0,0\n": "no usable row",
		"mean_ttft_ms\n\"1\n":             "line 2",
		"mean_ttft_ms,model_id\n1,\xcd\xa8\xd2\xe5\n": "UTF-8",
	} {
		if _, err := ReadAggregate(strings.NewReader(text), "t.csv"); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "t.csv") {
			t.Errorf("%q: error %v, want %q", text, err, want)
		}
	}
}

func TestARatingHoldsBelowItsLimit(t *testing.T) {
	for v, want := range map[float64]string{99.9: "excellent", 100: "good", 200: "acceptable", 499: "acceptable", 500: "needs work"} {
		if got := (pictures{}).rating(ratings[0], v); got != want {
			t.Errorf("TTFT %v ms is %s, want %s", v, got, want)
		}
	}
}

func TestCorrelationIsOfRanks(t *testing.T) {
	p := newPictures(read(t, "mean_ttft_ms,mean_tpot_ms,mean_itl_ms,output_throughput\n1,1,9,5\n2,10,7,5\n3,100,3,5\n4,1000,1,5\n"), false)
	for column, want := range map[string]string{"mean_tpot_ms": "1 4", "mean_itl_ms": "-1 4", "output_throughput": "NaN 4"} {
		if r, n := p.spearman("mean_ttft_ms", column); fmt.Sprintf("%.3g %d", r, n) != want {
			t.Errorf("%s: %v of %d, want %s", column, r, n, want)
		}
	}
}

func FuzzReadAggregate(f *testing.F) {
	small := ordinary
	small.repeats = 1
	f.Add(small.csv())
	small.secondHeader, small.models = true, []string{"通义", "b"}
	f.Add("\ufeff" + small.csv())
	f.Add("mean_ttft_ms,max_concurrency,input_len,output_len,output_throughput,date\n-1,0,-5,1e14,1e-300,00010101-000000\n1e14,1e14,1,1,-7,99991231-235959\n")
	f.Add("output_throughput,filename\n1,io99999999999999999999x1_mc0\n")
	f.Fuzz(func(t *testing.T, text string) {
		a, err := ReadAggregate(strings.NewReader(text), "fuzz.csv")
		if err != nil || len(a.rows) > 50 {
			return
		}
		p := newPictures(a, len(text)%2 == 0)
		p.text()
		if _, err := p.dashboard(); err != nil {
			t.Fatal(err)
		}
		for _, figure := range []chart.Figure{p.throughput(), p.latency(), p.concurrency(), p.comparison()} {
			if svg := figure.SVG(); bytes.Contains(svg, []byte("NaN ")) || bytes.Contains(svg, []byte("Inf ")) {
				t.Errorf("%s has a place that is no number", figure.Title)
			}
		}
	})
}

func BenchmarkVisualize(b *testing.B) {
	k := ordinary
	k.shapes = [][2]int{{256, 256}, {512, 512}, {1024, 1024}, {2048, 2048}}
	k.concurrencies = []int{1, 4, 8, 16, 32}
	a := read(b, k.csv())
	for b.Loop() {
		files(b, a, Pictures{All: true})
	}
}
