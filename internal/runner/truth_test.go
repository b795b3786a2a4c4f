package runner

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"lab/internal/dataset"
	"lab/internal/lab"
	"lab/internal/sim"
	"lab/loadgen"
	"lab/supervisor"
)

// The test binary also plays the simulated server.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "sim" {
		os.Exit(sim.Main(os.Args[2:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// BenchmarkErrorAgainstTheSimulatorsOwnLog compares what lab recorded with the simulator's log of when it wrote each
// token. The figures contain the way through the kernel and the scheduling of a machine that both share.
func BenchmarkErrorAgainstTheSimulatorsOwnLog(b *testing.B) {
	for _, streams := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("%dstreams", streams), func(b *testing.B) {
			for b.Loop() {
				againstTruth(b, streams)
			}
		})
	}
}

func againstTruth(b *testing.B, streams int) {
	log := filepath.Join(b.TempDir(), "truth.jsonl")
	url, stop := playSimulator(b, "--truth", log, "--step-time", "10ms", "--decode-time", "10us", "--noise", "0.1")
	defer stop()
	epoch := lab.NewEpoch()
	var mu sync.Mutex
	var records []lab.RequestRecord
	load := lab.Load{
		Concurrency: streams, Requests: max(10, streams), API: "completions", Seed: 1,
		Dataset: lab.Dataset{Kind: "random", InputTokens: 32, OutputTokens: 100},
	}
	prompts, err := dataset.Open(b.Context(), load, dataset.Env{Vocab: 512})
	if err != nil {
		b.Fatal(err)
	}
	before := cpu(b)
	if _, err := loadgen.Run(b.Context(), loadgen.Options{
		Target: loadgen.Target{URL: url, Model: "m"}, Phase: lab.Phase{Name: "p", Load: load}, Prompts: prompts, Clock: epoch.Clock(),
		Progress: &loadgen.Progress{}, Sample: func(lab.Sample) {},
		Record: func(r lab.RequestRecord) { mu.Lock(); defer mu.Unlock(); records = append(records, r) },
	}); err != nil {
		b.Fatal(err)
	}
	used := cpu(b) - before
	wrote := readTruth(b, log, epoch)
	var first, gaps []float64
	for _, r := range records {
		truth := wrote[r.Prompt]
		if !r.OK() || len(truth) != len(r.Chunks) {
			b.Fatalf("request %d: %q, %d chunks, the simulator wrote %d", r.Seq, r.Error, len(r.Chunks), len(truth))
		}
		first = append(first, (r.Chunks[0].At-truth[0]).Seconds()*1e3)
		for i := 1; i < len(truth); i++ {
			gaps = append(gaps, (r.Chunks[i].At-r.Chunks[i-1].At-(truth[i]-truth[i-1])).Abs().Seconds()*1e3)
		}
	}
	slices.Sort(first)
	slices.Sort(gaps)
	b.ReportMetric(first[len(first)/2], "ttft-err-p50-ms")
	b.ReportMetric(first[len(first)*99/100], "ttft-err-p99-ms")
	b.ReportMetric(gaps[len(gaps)/2], "gap-err-p50-ms")
	b.ReportMetric(gaps[len(gaps)*99/100], "gap-err-p99-ms")
	b.ReportMetric(used.Seconds()*1e6/float64(len(gaps)+len(first)), "client-cpu-us/chunk")
}

// cpu is what this process, the client alone, has used.
func cpu(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// readTruth gives, by prompt, the offsets from the epoch at which each token was written.
func readTruth(b *testing.B, name string, epoch lab.Epoch) map[uint64][]time.Duration {
	f, err := os.Open(name)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	wrote := map[uint64][]time.Duration{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var line struct {
			Prompt uint64 `json:"prompt"`
			At     int64  `json:"monotonic_ns"`
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			b.Fatal(err)
		}
		wrote[line.Prompt] = append(wrote[line.Prompt], time.Duration(line.At-epoch.Monotonic))
	}
	return wrote
}

func playSimulator(b *testing.B, args ...string) (url string, stop func()) {
	port, err := supervisor.FreePort()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], append([]string{"sim", "m", "--port", fmt.Sprint(port)}, args...)...)
	cmd.Stdout, cmd.Stderr = io.Discard, io.Discard
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	stop = func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	}
	url = fmt.Sprintf("http://127.0.0.1:%d", port)
	for range 100 {
		if resp, err := http.Get(url + "/health"); err == nil {
			resp.Body.Close()
			return url, stop
		} else if !strings.Contains(err.Error(), "refused") {
			b.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	stop()
	b.Fatal("the simulator was never ready")
	return "", nil
}
