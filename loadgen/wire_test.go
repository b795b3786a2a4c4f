package loadgen

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lab/internal/lab"
)

// answering is the argument with which the test binary is a server of its own process, so that what it does takes nothing
// from the client's: it answers each request with `tokens` tokens, the first after `pause`, `pause` apart.
const answering = "answer-requests"

func answer() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	go func() {
		io.Copy(io.Discard, os.Stdin) // until the test is gone
		listener.Close()
	}()
	fmt.Println("http://" + listener.Addr().String())
	http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			return
		}
		io.Copy(io.Discard, r.Body)
		var tokens int
		var pause time.Duration
		fmt.Sscan(r.Header.Get("X-Tokens"), &tokens)
		pause, _ = time.ParseDuration(r.Header.Get("X-Pause"))
		w.Header().Set("Content-Type", "text/event-stream")
		next := time.Now()
		for i := range tokens {
			next = next.Add(pause)
			time.Sleep(time.Until(next))
			finish := "null"
			if i == tokens-1 {
				finish = `"length"`
			}
			fmt.Fprintf(w, `data: {"choices":[{"index":0,"text":"x","finish_reason":%s}],"usage":{"prompt_tokens":8,"completion_tokens":%d}}`+"\n\n", finish, i+1)
			w.(http.Flusher).Flush()
		}
		io.WriteString(w, done)
	}))
}

// answerer starts the server and gives its address.
func answerer(tb testing.TB) string {
	tb.Helper()
	cmd := exec.Command(os.Args[0], answering)
	in, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { in.Close(); cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		tb.Fatal(err)
	}
	return strings.TrimSpace(line)
}

// loadOnTheWire drives one load against the server and gives its records in order.
func loadOnTheWire(tb testing.TB, ctx context.Context, url string, l lab.Load, prompts Prompts, pause time.Duration, samples func(lab.Sample)) []lab.RequestRecord {
	tb.Helper()
	var mu sync.Mutex
	var records []lab.RequestRecord
	_, err := Run(ctx, Options{
		Target: Target{URL: url, Model: "m", Header: http.Header{"X-Tokens": {fmt.Sprint(prompts.At(0).Output)}, "X-Pause": {pause.String()}}},
		Phase:  lab.Phase{Name: "p", Load: random(l)}, Prompts: prompts, Clock: lab.NewEpoch().Clock(), Progress: &Progress{}, Sample: samples,
		Record: func(r lab.RequestRecord) { mu.Lock(); defer mu.Unlock(); records = append(records, r) },
	})
	if err != nil {
		tb.Fatal(err)
	}
	for _, r := range records {
		if !r.OK() {
			tb.Fatalf("request %d: %s: %s", r.Seq, r.Error, r.Detail)
		}
	}
	slices.SortFunc(records, func(a, b lab.RequestRecord) int { return cmp.Compare(a.Seq, b.Seq) })
	return records
}

// What a chunk costs from the socket through net/http into the record: a stream of a thousand chunks more allocates no more.
func TestAChunkMoreAllocatesNothingMoreFromTheSocketIntoTheRecord(t *testing.T) {
	url := answerer(t)
	allocations := func(tokens int) float64 {
		c := newClient(Target{URL: url, Header: http.Header{"X-Tokens": {fmt.Sprint(tokens)}, "X-Pause": {"0s"}}}, lab.NewEpoch().Clock(), func(*lab.RequestRecord) {})
		defer c.close()
		return testing.AllocsPerRun(20, func() {
			var rec lab.RequestRecord
			c.do(t.Context(), Request{Path: "/", Body: []byte("{}"), Output: tokens, Fixed: true}, &rec)
			if len(rec.Chunks) != tokens {
				t.Fatalf("%d chunks: %s %s", len(rec.Chunks), rec.Error, rec.Detail)
			}
		})
	}
	const more = 1000
	short, long := allocations(100), allocations(100+more)
	if perChunk := (long - short) / more; perChunk > 0.01 {
		t.Errorf("%g allocations a chunk: %g of a stream of 100, %g of one of %d", perChunk, short, long, 100+more)
	}
}

// BenchmarkScheduleOnTheWire sends 2 000 requests a second for 10 s by a Poisson schedule and says how late they left.
func BenchmarkScheduleOnTheWire(b *testing.B) {
	url := answerer(b)
	for b.Loop() {
		records := loadOnTheWire(b, b.Context(), url, lab.Load{Rate: 2000, Requests: 20_000, Burstiness: 1, Seed: 1}, numbered{}, 10*time.Millisecond, func(lab.Sample) {})
		var late []float64
		opened := 0
		for _, r := range records {
			lag, _ := r.Lag()
			late = append(late, lag.Seconds()*1e3)
			if r.Connected > 0 {
				opened++
			}
		}
		slices.Sort(late)
		b.ReportMetric(late[len(late)/2], "late-p50-ms")
		b.ReportMetric(late[len(late)*99/100], "late-p99-ms")
		b.ReportMetric(late[len(late)-1], "late-max-ms")
		b.ReportMetric(float64(opened), "connections")
	}
}

// mixed are short prompts with one of `long` tokens after every nine.
type mixed struct{ long int }

func (mixed) Distinct() int { return 0 }

func (m mixed) At(i int) lab.Prompt {
	p := lab.Prompt{IDs: make([]int32, 20), Output: 20, Hash: uint64(i)}
	if i%10 == 9 {
		p.IDs = make([]int32, m.long)
	}
	for k := range p.IDs {
		p.IDs[k] = int32(100_000 + k%1000)
	}
	return p
}

// BenchmarkStreamsBesideLargeBodies says how far the gaps of 32 streams of a token every 10 ms are off while one request in
// ten is large, and while none is.
func BenchmarkStreamsBesideLargeBodies(b *testing.B) {
	url := answerer(b)
	for _, long := range []int{20, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("%dtokens", long), func(b *testing.B) {
			for b.Loop() {
				records := loadOnTheWire(b, b.Context(), url, lab.Load{Concurrency: 32, Requests: 640}, mixed{long}, 10*time.Millisecond, func(lab.Sample) {})
				var off, late []float64
				for _, r := range records {
					lag, _ := r.Lag()
					late = append(late, lag.Seconds()*1e3)
					gaps, _ := r.Gaps()
					for _, g := range gaps {
						off = append(off, (g.At-10*time.Millisecond).Abs().Seconds()*1e3)
					}
				}
				slices.Sort(off)
				slices.Sort(late)
				b.ReportMetric(off[len(off)/2], "gap-off-p50-ms")
				b.ReportMetric(off[len(off)*99/100], "gap-off-p99-ms")
				b.ReportMetric(late[len(late)*99/100], "late-p99-ms")
			}
		})
	}
}
