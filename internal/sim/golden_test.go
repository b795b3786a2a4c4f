package sim

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// like starts a server in the test as the recorded ones were started: model tiny, 2048 tokens, vocabulary 512.
func like(t *testing.T, version string) *httptest.Server {
	t.Helper()
	length := "1024"
	if version == newest {
		length = "2048"
	}
	return serve(t, "--as", version, "--served-model-name", "tiny", "--max-model-len", length)
}

func recorded(t *testing.T, version, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", version, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// shape is a JSON text with its keys in their order, and its values replaced by their kind where they may differ.
func shape(t *testing.T, text string) string {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(text))
	var walk func() string
	walk = func() string {
		token, err := dec.Token()
		if err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		switch v := token.(type) {
		case json.Delim:
			var parts []string
			for dec.More() {
				part := ""
				if v == '{' {
					key, err := dec.Token()
					if err != nil {
						t.Fatal(err)
					}
					part = fmt.Sprint(key, ":")
				}
				part += walk()
				if v == '[' && slices.Contains(parts, part) {
					continue // a list of the same
				}
				parts = append(parts, part)
			}
			if _, err := dec.Token(); err != nil {
				t.Fatal(err)
			}
			return string(v.String()) + strings.Join(parts, ",")
		case string:
			switch v {
			case "text_completion", "chat.completion", "chat.completion.chunk", "length", "stop", "assistant", "tiny", "error", "model", "list":
				return v
			}
			return "text"
		case float64:
			return "number"
		}
		return fmt.Sprint(token)
	}
	return walk()
}

func TestAStreamHasTheFramesAndKeysOfTheRecordedOne(t *testing.T) {
	web := like(t, newest)
	for _, name := range []string{"comp-a-plain", "comp-b-usage", "comp-c-contusage", "comp-d-n2", "comp-g-tokenids-out", "comp-h-interval",
		"chat-a-plain", "chat-b-usage", "chat-c-contusage", "chat-g-tokenids-out"} {
		line, body, _ := strings.Cut(recorded(t, newest, name+".request.txt"), "\n")
		_, path, _ := strings.Cut(line, " ")
		status, got := post(t, web.URL+path, body)
		if status != 200 {
			t.Fatalf("%s: status %d %s", name, status, got)
		}
		same(t, name, got, recorded(t, newest, name+".sse"))
	}
}

// same compares two streams frame by frame. Which rows of a request with several come first may differ.
func same(t *testing.T, name, got, want string) {
	t.Helper()
	split := func(text string) []string {
		frames := strings.Split(strings.TrimSuffix(text, "\n\n"), "\n\n")
		for i, frame := range frames {
			data, ok := strings.CutPrefix(frame, "data: ")
			if !ok {
				t.Fatalf("%s: frame %q", name, frame)
			}
			if data != "[DONE]" {
				frames[i] = shape(t, data)
			}
		}
		return frames
	}
	g, w := split(got), split(want)
	if strings.Contains(name, "-n2") {
		slices.Sort(g)
		slices.Sort(w)
	}
	if diff := cmp.Diff(w, g); diff != "" {
		t.Errorf("%s (-recorded +simulated):\n%s", name, diff)
	}
}

func TestOlderVersionsStreamAsTheyDid(t *testing.T) {
	for _, version := range []string{"0.8.5", "0.12.0", "0.17.1"} {
		web := like(t, version)
		for name, more := range map[string]string{"completion.sse": "", "completion-continuous-usage.sse": `,"continuous_usage_stats":true`} {
			want := recorded(t, version, name)
			if n := strings.Count(want, "data: "); n != 10 { // 0.12.0 put two tokens into one frame
				want = strings.Replace(want, "data: ", strings.Repeat("data: "+strings.SplitN(strings.SplitN(want, "data: ", 3)[1], "\n\n", 2)[0]+"\n\n", 10-n)+"data: ", 1)
			}
			_, got := post(t, web.URL+"/v1/completions", `{"model":"tiny","prompt":"hello world","max_tokens":8,"ignore_eos":true,"stream":true,"stream_options":{"include_usage":true`+more+`}}`)
			same(t, version+" "+name, got, want)
		}
		_, want, _ := strings.Cut(recorded(t, version, "completion-nonstream.json"), "\n")
		_, got := post(t, web.URL+"/v1/completions", `{"model":"tiny","prompt":"hi","max_tokens":4,"ignore_eos":true}`)
		if diff := cmp.Diff(shape(t, want), shape(t, got)); diff != "" {
			t.Errorf("%s: %s", version, diff)
		}
	}
}

func TestWholeAnswersAndModelsHaveTheRecordedKeys(t *testing.T) {
	web := like(t, newest)
	for name, body := range map[string]string{
		"completion-nonstream.txt": `{"model":"tiny","prompt":"hello","max_tokens":8,"ignore_eos":true}`,
		"chat-nonstream.txt":       `{"model":"tiny","messages":[{"role":"user","content":"hi"}],"max_tokens":8,"ignore_eos":true}`,
	} {
		path := "/v1/completions"
		if strings.HasPrefix(name, "chat") {
			path = "/v1/chat/completions"
		}
		_, got := post(t, web.URL+path, body)
		if diff := cmp.Diff(shape(t, payload(recorded(t, newest, name))), shape(t, got)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	for _, version := range []string{"0.8.5", "0.12.0", "0.17.1"} {
		_, got := get(t, like(t, version).URL+"/v1/models")
		if diff := cmp.Diff(shape(t, recorded(t, version, "models.json")), shape(t, got)); diff != "" {
			t.Errorf("%s models: %s", version, diff)
		}
	}
	if _, got := get(t, web.URL+"/v1/models"); shape(t, got) != shape(t, payload(recorded(t, newest, "models.txt"))) {
		t.Errorf("models: %s", got)
	}
}

// payload is the body of a recorded answer: without its head, and without the request behind it.
func payload(text string) string {
	_, body, _ := strings.Cut(strings.ReplaceAll(text, "\r\n", "\n"), "\n\n")
	body, _, _ = strings.Cut(body, "\n--- request:")
	return strings.TrimSpace(body)
}

func TestRefusalsAreWordForWordTheRecordedOnes(t *testing.T) {
	web := like(t, newest)
	for _, name := range []string{"bad-json", "ctx-too-long", "ctx-too-long-chat", "empty-prompt", "max-tokens-zero", "missing-prompt",
		"neg-temperature", "token-out-of-vocab", "unknown-model", "not-found"} {
		text := recorded(t, newest, "error-"+name+".txt")
		_, request, _ := strings.Cut(text, "--- request: POST ")
		path, body, _ := strings.Cut(request, "\n")
		status, got := post(t, web.URL+path, strings.TrimSpace(body))
		var want int
		if _, err := fmt.Sscanf(text, "HTTP/1.1 %d", &want); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(payload(text), strings.TrimSpace(got)); status != want || diff != "" {
			t.Errorf("%s: status %d, want %d\n%s", name, status, want, diff)
		}
	}
	for _, version := range []string{"0.8.5", "0.12.0", "0.17.1"} {
		old := like(t, version)
		for name, body := range map[string]string{
			"error-too-long.json":      `{"model":"tiny","prompt":"xy","max_tokens":5000}`,
			"error-unknown-model.json": `{"model":"nope","prompt":"x","max_tokens":4}`,
		} {
			_, want, _ := strings.Cut(recorded(t, version, name), "\n")
			_, got := post(t, old.URL+"/v1/completions", body)
			if diff := cmp.Diff(strings.TrimSpace(want), got); diff != "" {
				t.Errorf("%s %s: %s", version, name, diff)
			}
		}
	}
}

func TestAWrongMethodOrContentTypeIsRefusedAsRecorded(t *testing.T) {
	web := like(t, newest)
	status, got := get(t, web.URL+"/v1/completions")
	if want := payload(recorded(t, newest, "error-get-method.txt")); status != 405 || got != want {
		t.Errorf("GET: %d %s, want 405 %s", status, got, want)
	}
	resp, err := http.Post(web.URL+"/v1/completions", "text/plain", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if want := payload(recorded(t, newest, "error-no-content-type.txt")); err != nil || resp.StatusCode != 400 || string(text) != want {
		t.Errorf("plain text: %d %s (%v)", resp.StatusCode, text, err)
	}
	if status, got := get(t, web.URL+"/server_info"); status != 404 || got != `{"detail":"Not Found"}` {
		t.Errorf("server_info: %d %s", status, got)
	}
	if resp, err := http.Head(web.URL + "/health"); err != nil || resp.StatusCode != 405 {
		t.Errorf("HEAD /health: %v %v, want 405", resp, err)
	}
}

func TestMetricsHaveTheRecordedNamesTypesAndLabels(t *testing.T) {
	own := []string{"python_info", "vllm:cache_config_info"} // with labels of their own
	for _, version := range []string{"0.8.5", "0.12.0", "0.17.1", newest} {
		web := like(t, version)
		post(t, web.URL+"/v1/completions", strings.Replace(streamed, `"m"`, `"tiny"`, 1))
		known := map[string]string{}
		for line := range strings.Lines(recorded(t, version, "metrics.tsv")) {
			name, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
			known[name] = rest
		}
		families := scrape(t, web.URL)
		for name, family := range families {
			want, ok := known[name]
			labels := map[string]bool{}
			for _, m := range family.Metric {
				for _, l := range m.Label {
					labels[l.GetName()] = true
				}
			}
			var names []string
			for label := range labels {
				names = append(names, label)
			}
			slices.Sort(names)
			got := strings.ToLower(family.GetType().String()) + "\t" + strings.Join(names, ",")
			if !ok || got != want && !slices.Contains(own, name) {
				t.Errorf("%s: %s is %q, recorded %q (%v)", version, name, got, want, ok)
			}
		}
		if len(families) < 20 {
			t.Errorf("%s has only %d metrics", version, len(families))
		}
	}
}

func TestMetricsCountWhatHappened(t *testing.T) {
	web := serve(t)
	for range 3 {
		post(t, web.URL+"/v1/completions", streamed)
	}
	families := scrape(t, web.URL)
	value := func(name string) float64 {
		m := families[name].Metric[0]
		if m.Histogram != nil {
			return float64(m.Histogram.GetSampleCount())
		}
		return m.Counter.GetValue() + m.Gauge.GetValue()
	}
	for name, want := range map[string]float64{
		"vllm:generation_tokens_total": 12, "vllm:prompt_tokens_total": 9, "vllm:time_to_first_token_seconds": 3,
		"vllm:inter_token_latency_seconds": 9, "vllm:e2e_request_latency_seconds": 3, "vllm:iteration_tokens_total": 12,
		"vllm:num_requests_running": 0, "vllm:num_requests_waiting": 0, "vllm:kv_cache_usage_perc": 0,
	} {
		if got := value(name); got != want {
			t.Errorf("%s is %g, want %g", name, got, want)
		}
	}
	if got := families["vllm:request_success_total"].Metric[1].Counter.GetValue(); got != 3 {
		t.Errorf("%g requests ended by length, want 3", got)
	}
	if quiet := serve(t, "--disable-log-stats"); len(scrape(t, quiet.URL)) > 2 {
		t.Error("there are engine metrics although they were switched off")
	}
	if old := serve(t, "--as", "0.8.5"); len(scrape(t, old.URL)) != 1 {
		t.Error("0.8.5 shows more than its cache before the first request")
	}
}

func scrape(t *testing.T, url string) map[string]*dto.MetricFamily {
	t.Helper()
	_, text := get(t, url+"/metrics")
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return families
}
