package supervisor

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// The test binary also plays vllm: TestMain turns into a server that behaves as badly as its environment says.
func TestMain(m *testing.M) {
	if behaviour := os.Getenv("LAB_TEST_CHILD"); behaviour != "" {
		play(behaviour)
	}
	os.Exit(m.Run())
}

func play(behaviour string) {
	is := func(word string) bool { return strings.Contains(behaviour, word) }
	terms := make(chan os.Signal, 9)
	signal.Notify(terms, syscall.SIGTERM)
	fmt.Println("\x1b[0;36m(APIServer pid=1)\x1b[0;0m INFO 11-25 04:05:35 [x.py:1] non-default args: {'port': 1, 'max_num_seqs': 4}")
	switch {
	case is("usage"):
		fmt.Fprintln(os.Stderr, "usage: vllm [-h]\nvllm: error: unrecognized arguments: --no-such-flag")
		os.Exit(2)
	case is("sleeper"): // a child of a child
		time.Sleep(time.Minute)
		os.Exit(0)
	}
	if is("stuck") {
		fmt.Println("(EngineCore pid=2) ERROR 11-25 04:05:35 [x.py:1] EngineCore failed to start.")
		fmt.Println("(EngineCore pid=2) ERROR 11-25 04:05:35 [x.py:1] torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.")
	}
	if is("grandchild") {
		grow(false)
	}
	if is("runaway") {
		grow(true)
	}
	if is("shm") {
		os.WriteFile(os.Getenv("LAB_TEST_SHM"), []byte("x"), 0o600)
	}
	var sick atomic.Bool
	if !is("silent") {
		serve(is, &sick)
	}
	needed := 1
	if is("twice") {
		needed = 2
	}
	for range needed {
		select {
		case <-terms:
		case <-time.After(time.Minute):
		}
	}
	for is("deaf") {
		time.Sleep(time.Second)
	}
	os.Exit(0)
}

// grow starts a child that lives on, in this group or in a session of its own.
func grow(session bool) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "LAB_TEST_CHILD=sleeper")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: session}
	if err := cmd.Start(); err != nil {
		panic(err)
	}
}

func serve(is func(string) bool, sick *atomic.Bool) {
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("LAB_TEST_PORT"))
	if err != nil {
		fmt.Println("OSError: [Errno 98] Address already in use")
		os.Exit(1)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/health", func(w http.ResponseWriter, _ *http.Request) {
		if sick.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("/version", func(w http.ResponseWriter, _ *http.Request) {
		version := "0.32.0"
		if is("other version") {
			version = "0.15.1"
		}
		fmt.Fprintf(w, `{"version":%q}`, version)
	})
	mux.HandleFunc("/v1/models", func(w http.ResponseWriter, r *http.Request) {
		served := os.Getenv("LAB_TEST_SERVED")
		if is("other model") {
			served = "somebody-elses"
		}
		if key := os.Getenv("VLLM_API_KEY"); key != "" && r.Header.Get("Authorization") != "Bearer "+key {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprintf(w, `{"data":[{"id":%q}]}`, served)
	})
	mux.HandleFunc("/v1/completions", func(w http.ResponseWriter, r *http.Request) {
		finish := `"length"`
		if is("no token") {
			finish = "null"
		}
		var request struct{ Model string }
		json.NewDecoder(r.Body).Decode(&request)
		fmt.Fprintf(w, `{"model":%q,"choices":[{"finish_reason":%s}]}`, request.Model, finish)
		if is("engine dies") && request.Model != "" {
			time.AfterFunc(100*time.Millisecond, func() { die(sick) })
		}
	})
	mux.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, `vllm:cache_config_info{block_size="16",num_gpu_blocks="99"} 1.0`)
	})
	fmt.Fprintln(os.Stderr, "INFO:     Application startup complete.")
	go http.Serve(listener, mux)
}

// die does what a real vllm does when its engine is gone: it says so, answers 503, and exits with code 0.
func die(sick *atomic.Bool) {
	fmt.Println("(APIServer pid=1) WARNING 11-25 04:05:35 [x.py:1] [shutdown] MPClient: engine core exited unexpectedly; starting cleanup")
	sick.Store(true)
	time.Sleep(1200 * time.Millisecond)
	os.Exit(0)
}
