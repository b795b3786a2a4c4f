package loadgen

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestAWaitEndsAtItsMomentAndNotBefore(t *testing.T) {
	w := newWaiter()
	defer w.close()
	for _, wait := range []time.Duration{-time.Second, 0, 50 * time.Microsecond, 3 * time.Millisecond, 30 * time.Millisecond} {
		when := time.Now().Add(wait)
		if !w.until(t.Context(), when) || time.Now().Before(when) {
			t.Errorf("a wait of %v ended too early", wait)
		}
	}
}

func TestAWaitEndsWithItsContextAlsoOneThatBeginsAfterwards(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	w := newWaiter()
	defer w.close()
	time.AfterFunc(20*time.Millisecond, func() { cancel(errors.New("enough")) })
	for range 2 {
		if w.until(ctx, time.Now().Add(time.Hour)) {
			t.Error("an hour has passed")
		}
	}
}
