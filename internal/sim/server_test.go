package sim

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// open makes a server and starts its engine.
func open(t *testing.T, args ...string) *server {
	t.Helper()
	c, err := parse(append([]string{"m", "--step-time", "1ms", "--noise", "0"}, args...))
	if err != nil {
		t.Fatal(err)
	}
	loop := newLoop(c.physics, c.faults)
	s, err := newServer(c, loop)
	if err != nil {
		t.Fatal(err)
	}
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		loop.run(stop)
		close(ended)
	}()
	t.Cleanup(func() {
		close(stop)
		<-ended
		if s.truth != nil {
			s.truth.file.Close()
		}
	})
	return s
}

// serve runs a simulated server inside the test.
func serve(t *testing.T, args ...string) *httptest.Server {
	t.Helper()
	web := httptest.NewServer(open(t, args...))
	t.Cleanup(func() {
		web.CloseClientConnections()
		web.Close()
	})
	return web
}

func post(t *testing.T, url, body string) (int, string) {
	t.Helper()
	resp, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil && err != io.ErrUnexpectedEOF {
		t.Error(err)
	}
	return resp.StatusCode, string(text)
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

const streamed = `{"model":"m","prompt":[9,10,11],"max_tokens":4,"ignore_eos":true,"stream":true,"stream_options":{"include_usage":true,"continuous_usage_stats":true}}`

// long is the same request with more tokens.
func long(tokens int) string {
	return strings.Replace(streamed, `"max_tokens":4`, fmt.Sprintf(`"max_tokens":%d`, tokens), 1)
}

// history sends requests on a fake clock and returns when each frame of each of them was written.
func history(t *testing.T, seed string) (all []string) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, "--noise", "0.1", "--drift-noise", "0.05", "--stalls", "0.05", "--sim-seed", seed, "--max-num-seqs", "2")
		var mu sync.Mutex
		var wg sync.WaitGroup
		begin := time.Now()
		for i := range 4 {
			r := httptest.NewRequest("POST", "/v1/completions", strings.NewReader(strings.Replace(long(20), `"ignore_eos":true,`, "", 1)))
			r.Header.Set("Content-Type", "application/json")
			w := &stampWriter{ResponseRecorder: httptest.NewRecorder(), note: func() {
				mu.Lock()
				defer mu.Unlock()
				all = append(all, fmt.Sprint(i, " ", time.Since(begin)))
			}}
			wg.Go(func() { s.ServeHTTP(w, r) })
			synctest.Wait() // one after the other into the queue
		}
		wg.Wait()
	})
	return all
}

// stampWriter notes each flush.
type stampWriter struct {
	*httptest.ResponseRecorder
	note func()
}

func (w *stampWriter) Flush() {
	w.note()
	w.ResponseRecorder.Flush()
}

func TestTheSameSeedGivesTheSameRunToTheNanosecond(t *testing.T) {
	count := func(all []string) map[string]int { // rows of one step go out in any order
		n := map[string]int{}
		for _, line := range all {
			n[line]++
		}
		return n
	}
	one, again, other := history(t, "5"), history(t, "5"), history(t, "6")
	if len(one) < 20 {
		t.Fatalf("only %d frames: %v", len(one), one)
	}
	if diff := cmp.Diff(count(one), count(again)); diff != "" {
		t.Errorf("the same seed gave another run:\n%s", diff)
	}
	if cmp.Equal(count(one), count(other)) {
		t.Error("another seed gave the same run")
	}
}

func TestTokensComeAtTheTimesOfThePhysics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, "--step-time", "6ms", "--run-noise", "0", "--kv-time", "0s")
		var at []time.Duration
		begin := time.Now()
		r := httptest.NewRequest("POST", "/v1/completions", strings.NewReader(streamed))
		r.Header.Set("Content-Type", "application/json")
		s.ServeHTTP(&stampWriter{httptest.NewRecorder(), func() { at = append(at, time.Since(begin)) }}, r)
		first, step := 6060*time.Microsecond, 6020*time.Microsecond // three prompt tokens; then one sequence decoding
		want := []time.Duration{first, first + step, first + 2*step, first + 3*step, first + 3*step, first + 3*step}
		if diff := cmp.Diff(want, at); diff != "" {
			t.Error(diff)
		}
	})
}

func TestSeveralPromptsAndTextsAreRowsOfOneAnswer(t *testing.T) {
	web := serve(t)
	_, body := post(t, web.URL+"/v1/completions", `{"model":"m","prompt":[[1,2],[3,4,5]],"n":2,"max_tokens":3,"ignore_eos":true}`)
	var got struct {
		Choices []struct{ Index int }
		Usage   struct {
			Prompt int `json:"prompt_tokens"`
			Made   int `json:"completion_tokens"`
		}
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Choices) != 4 || got.Choices[3].Index != 3 || got.Usage.Prompt != 5 || got.Usage.Made != 12 {
		t.Errorf("%s", body)
	}
}

func TestATextMayEndEarlyButNotBeforeMinTokensAndNotAtAllWithIgnoreEOS(t *testing.T) {
	s := open(t, "--sim-seed", "3")
	stopped := 0
	for range 200 {
		n, why := s.endOfText(50, 400)
		if n < 50 || n > 400 || (why == "stop") != (n < 400) {
			t.Fatalf("ended at %d by %s", n, why)
		}
		if why == "stop" {
			stopped++
		}
	}
	if stopped < 100 {
		t.Errorf("only %d of 200 texts ended by themselves", stopped)
	}
}

func TestAClientThatLeavesFreesItsPlace(t *testing.T) {
	web := serve(t, "--max-num-seqs", "1")
	resp, err := http.Post(web.URL+"/v1/completions", "application/json", strings.NewReader(long(30_000)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(resp.Body).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if status, body := post(t, web.URL+"/v1/completions", streamed); status != 200 || !strings.HasSuffix(body, "[DONE]\n\n") {
		t.Errorf("the next request: %d %s", status, body)
	}
}

func TestAKeyIsAskedForBelowV1Only(t *testing.T) {
	t.Setenv("VLLM_API_KEY", "secret")
	web := serve(t)
	if status, body := post(t, web.URL+"/v1/completions", streamed); status != 401 || body != `{"error":"Unauthorized"}` {
		t.Errorf("without the key: %d %s", status, body)
	}
	if status, _ := get(t, web.URL+"/health"); status != 200 {
		t.Errorf("health: %d", status)
	}
	r, err := http.NewRequest("GET", web.URL+"/v1/models", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer secret")
	resp, err := http.DefaultClient.Do(r)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("with the key: %v %v", resp, err)
	}
	resp.Body.Close()
}

func TestATextSurvivesTokenizingAndBack(t *testing.T) {
	web := serve(t)
	_, body := post(t, web.URL+"/tokenize", `{"model":"m","prompt":"Grüße <b>"}`)
	var ids struct {
		Count  int
		Tokens []int
	}
	if err := json.Unmarshal([]byte(body), &ids); err != nil || ids.Count != len("Grüße <b>") {
		t.Fatalf("%s: %v", body, err)
	}
	back, err := json.Marshal(ids)
	if err != nil {
		t.Fatal(err)
	}
	if _, body := post(t, web.URL+"/detokenize", strings.ToLower(string(back))); body != `{"prompt":"Grüße <b>"}` {
		t.Errorf("came back as %s", body)
	}
}

func TestThePowerOfTheSimulatedGPUFollowsTheLoadAndItsEnergyIsThePowerAddedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, "--step-time", "100ms", "--run-noise", "0", "--fail", "throttle=0.5@10s")
		read := func() map[string]float64 {
			w := httptest.NewRecorder()
			s.ServeHTTP(w, httptest.NewRequest("GET", "/sim/gpu", nil))
			var body struct{ Devices []map[string]any }
			if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
				t.Fatal(err)
			}
			values := map[string]float64{}
			for name, v := range body.Devices[0] {
				if n, ok := v.(float64); ok {
					values[name] = n
				}
			}
			return values
		}
		time.Sleep(time.Second)
		idle := read()
		if idle["power_w"] != idleWatts || idle["energy_j"] != idleWatts || idle["util_percent"] != 0 || idle["throttle_bits"] != bitIdle {
			t.Errorf("after an idle second: %v", idle)
		}
		r := httptest.NewRequest("POST", "/v1/completions", strings.NewReader(long(50)))
		r.Header.Set("Content-Type", "application/json")
		var wg sync.WaitGroup
		wg.Go(func() { s.ServeHTTP(httptest.NewRecorder(), r) })
		time.Sleep(2 * time.Second)
		busy := read()
		if busy["power_w"] != decodeWatts || busy["util_percent"] != 98 || busy["energy_j"] < 1.9*decodeWatts {
			t.Errorf("after two busy seconds: %v", busy)
		}
		wg.Wait()
		time.Sleep(10 * time.Second)
		if hot := read(); hot["sm_clock_mhz"] != fullClockMHz/2 || int(hot["throttle_bits"])&bitThermal == 0 {
			t.Errorf("throttled: %v", hot)
		}
	})
}

func TestTheTruthNamesEveryTokenOnceInOrder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "truth.jsonl")
	web := serve(t, "--truth", path, "--fail", "merge=0.5")
	post(t, web.URL+"/v1/completions", long(50))
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	index, at := 0, int64(0)
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var line struct {
			ID     string
			Prompt uint64
			Index  int
			Tokens int
			At     int64 `json:"monotonic_ns"`
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		if line.Index != index+line.Tokens || line.At < at || line.Prompt != hashIDs([]int32{9, 10, 11}) || line.ID == "" {
			t.Errorf("after token %d: %s", index, lines.Text())
		}
		index, at = line.Index, line.At
	}
	if index != 50 {
		t.Errorf("the last token is %d, want 50", index)
	}
}

func BenchmarkFrame(b *testing.B) {
	c, err := parse([]string{"m"})
	if err != nil {
		b.Fatal(err)
	}
	s, err := newServer(c, newLoop(c.physics, c.faults))
	if err != nil {
		b.Fatal(err)
	}
	f, err := newFrames(s, job{}, "cmpl-1", 1)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		f.part(part{tokens: 1, made: 7})
	}
}

func FuzzARequestIsAnsweredWhateverItSays(f *testing.F) {
	for _, body := range []string{streamed, `{"model":"m","prompt":["a","b"],"n":2}`, `{"model":"m","prompt":[[1],[2]]}`, `{"model":"m","prompt":`, `{"prompt":null}`,
		`{"model":"m","messages":[{"role":"user","content":[{"type":"text"}]}]}`, `{"model":"m","prompt":[99999999]}`, `{"model":"m","prompt":"x","max_tokens":"y"}`, `[]`} {
		f.Add(body, false)
		f.Add(body, true)
	}
	c, err := parse([]string{"m"})
	if err != nil {
		f.Fatal(err)
	}
	s, err := newServer(c, newLoop(c.physics, c.faults))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body string, chat bool) {
		r := httptest.NewRequest("POST", "/", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		j, refusal := s.understand(r, chat)
		if refusal != nil {
			if _, err := marshal(s.body(*refusal)); err != nil || refusal.status < 400 {
				t.Errorf("refused with %+v: %v", refusal, err)
			}
			return
		}
		if len(j.prompts) == 0 || j.want < 1 || j.n < 1 {
			t.Errorf("taken as %+v", j)
		}
		for _, ids := range j.prompts {
			if len(ids) == 0 || len(ids)+j.want > c.maxLen {
				t.Errorf("a prompt of %d tokens and %d more was taken", len(ids), j.want)
			}
		}
	})
}

func TestAPictureCountsAsTokensAndMustBeOne(t *testing.T) {
	s := serve(t, "--image-tokens", "40")
	picture := func(data string) string {
		return `{"model":"m","max_tokens":1,"messages":[{"role":"user","content":[{"type":"text","text":"look"},{"type":"image_url","image_url":{"url":"` + data + `"}}]}]}`
	}
	const png = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
	status, body := post(t, s.URL+"/v1/chat/completions", picture(png))
	words := len("user: look\nassistant: ")
	if want := fmt.Sprintf(`"prompt_tokens":%d,`, words+40); status != 200 || !strings.Contains(body, want) {
		t.Errorf("status %d, want %s in %s", status, want, body)
	}
	for _, bad := range []string{"http://example.com/a.png", "data:image/png;base64,!", "data:image/png;base64,AAAA"} {
		if status, body := post(t, s.URL+"/v1/chat/completions", picture(bad)); status != 400 || !strings.Contains(body, "mage") {
			t.Errorf("%s: status %d %s", bad, status, body)
		}
	}
}
