package supervisor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// ErrNoProfiler says that a server was started without its profiler, and how to start it with one.
var ErrNoProfiler = errors.New(`the server runs without its profiler: start it with --profiler-config '{"profiler": "torch", "torch_profiler_dir": "/tmp/profiles"}' (vLLM 0.13 and later), or with VLLM_TORCH_PROFILER_DIR=/tmp/profiles in its environment (before)`)

// StartProfile turns the server's torch profiler on.
func StartProfile(ctx context.Context, a Access) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return profile(ctx, a, "/start_profile")
}

// StopProfile turns it off and waits for as long as the server takes to write its traces.
func StopProfile(ctx context.Context, a Access) error { return profile(ctx, a, "/stop_profile") }

func profile(ctx context.Context, a Access, path string) error {
	c := newClient(a)
	defer c.http.CloseIdleConnections()
	status, body, err := c.do(ctx, "POST", path, nil)
	switch {
	case err != nil:
		return fmt.Errorf("ask %s: %w", path, err)
	case status == http.StatusNotFound:
		return fmt.Errorf("ask %s: %w", path, ErrNoProfiler)
	case status != http.StatusOK:
		return fmt.Errorf("ask %s: status %d %s", path, status, brief(body))
	}
	return nil
}
