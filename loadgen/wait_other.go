//go:build !linux

package loadgen

import (
	"context"
	"time"
)

// waiter waits as any timer does.
type waiter struct{}

func newWaiter() *waiter { return &waiter{} }

func (w *waiter) close() {}

func (w *waiter) until(ctx context.Context, when time.Time) bool { return sleepUntil(ctx, when) }
