package loadgen

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"lab/internal/lab"
)

// truth is a server whose own log of when it wrote each token is the truth: the first token comes 50 ms after the
// request was read, the others 10 ms apart. It shares the run's clock.
type truth struct {
	clock  lab.Clock
	mu     sync.Mutex
	writes map[int][]time.Duration // by the first token id of the prompt
}

func (s *truth) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		return
	}
	var body struct {
		Prompt []int `json:"prompt"`
		Max    int   `json:"max_tokens"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	next := time.Now().Add(50 * time.Millisecond)
	w.Header().Set("Content-Type", "text/event-stream")
	flusher := w.(http.Flusher)
	var at []time.Duration
	for i := range body.Max {
		time.Sleep(time.Until(next))
		next = next.Add(10 * time.Millisecond)
		finish := "null"
		if i == body.Max-1 {
			finish = `"length"`
		}
		at = append(at, s.clock.Now())
		fmt.Fprintf(w, `data: {"choices":[{"index":0,"text":"x","finish_reason":%s}],"usage":{"prompt_tokens":8,"completion_tokens":%d}}`+"\n\n", finish, i+1)
		flusher.Flush()
	}
	fmt.Fprint(w, "data: [DONE]\n\n")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes[promptKey(body.Prompt)] = at
}

func promptKey(ids []int) int {
	key := 0
	for _, id := range ids {
		key = key*31 + id
	}
	return key
}

// BenchmarkChunks is how many chunks a second lab takes in, from the socket into the records, when nothing paces them. The
// server writes them in the same process, so that this is a floor.
func BenchmarkChunks(b *testing.B) {
	const chunks = 2000
	event := `data: {"id":"cmpl-0","object":"text_completion","created":1795578669,"model":"tiny","choices":[{"index":0,"text":" word",` +
		`"logprobs":null,"finish_reason":"length","stop_reason":null}],"usage":{"prompt_tokens":8,"total_tokens":9,"completion_tokens":1}}` + "\n\n"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for range chunks {
			io.WriteString(w, event)
		}
		io.WriteString(w, done)
	}))
	defer server.Close()
	for _, streams := range []int{1, 64} {
		b.Run(strconv.Itoa(streams)+"streams", func(b *testing.B) {
			clock := lab.NewEpoch().Clock()
			var progress Progress
			c := newClient(Target{URL: server.URL}, clock, progress.token)
			defer c.close()
			for b.Loop() {
				var all sync.WaitGroup
				for range streams {
					all.Go(func() {
						var rec lab.RequestRecord
						c.do(b.Context(), Request{Path: "/", Body: []byte("{}"), Output: chunks}, &rec)
						if len(rec.Chunks) != chunks {
							b.Errorf("%d chunks: %s %s", len(rec.Chunks), rec.Error, rec.Detail)
						}
					})
				}
				all.Wait()
			}
			b.ReportMetric(float64(b.N*streams*chunks)/b.Elapsed().Seconds(), "chunks/s")
		})
	}
}

// BenchmarkErrorAgainstTheTruth prints how far lab's TTFT and gaps are from what the server did. Server and client share the
// machine, so the figures are upper bounds of the client's own error.
func BenchmarkErrorAgainstTheTruth(b *testing.B) {
	for _, streams := range []int{1, 10, 100} {
		b.Run(strconv.Itoa(streams)+"streams", func(b *testing.B) {
			for b.Loop() {
				compareToTruth(b, streams)
			}
		})
	}
}

func compareToTruth(b *testing.B, streams int) {
	clock := lab.NewEpoch().Clock()
	truth := &truth{clock: clock, writes: map[int][]time.Duration{}}
	server := httptest.NewServer(truth)
	defer server.Close()
	l := random(lab.Load{Concurrency: streams, Requests: max(streams, 10)})
	l.Dataset.OutputTokens = 100
	var mu sync.Mutex
	var records []lab.RequestRecord
	o := Options{
		Target: Target{URL: server.URL, Model: "m"}, Phase: lab.Phase{Name: "p", Load: l}, Prompts: numbered{}, Clock: clock, Progress: &Progress{},
		Record: func(r lab.RequestRecord) { mu.Lock(); defer mu.Unlock(); records = append(records, r) },
		Sample: func(lab.Sample) {},
	}
	if _, err := Run(b.Context(), o); err != nil {
		b.Fatal(err)
	}
	var first, gaps []float64
	for _, r := range records {
		var ids []int
		for _, id := range (numbered{}).At(r.Seq).IDs {
			ids = append(ids, int(id))
		}
		wrote := truth.writes[promptKey(ids)]
		if !r.OK() || len(wrote) != len(r.Chunks) {
			b.Fatalf("request %d: %s %s, %d chunks of %d", r.Seq, r.Error, r.Detail, len(r.Chunks), len(wrote))
		}
		first = append(first, (r.Chunks[0].At-wrote[0]).Seconds()*1e3)
		for i := 1; i < len(wrote); i++ {
			ours, theirs := r.Chunks[i].At-r.Chunks[i-1].At, wrote[i]-wrote[i-1]
			gaps = append(gaps, max((ours-theirs).Seconds(), (theirs-ours).Seconds())*1e3)
		}
	}
	slices.Sort(first)
	slices.Sort(gaps)
	b.ReportMetric(mean(first), "ttft-err-mean-ms")
	b.ReportMetric(first[len(first)*99/100], "ttft-err-p99-ms")
	b.ReportMetric(mean(gaps), "gap-err-mean-ms")
	b.ReportMetric(gaps[len(gaps)*99/100], "gap-err-p99-ms")
}

func mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}
