package box

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestASecondMeasurementIsToldWhoHoldsTheBox(t *testing.T) {
	folder := t.TempDir()
	first, err := Acquire(t.Context(), folder, []string{"GPU-1", "host"}, "lab ab a.yaml b.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Acquire(t.Context(), folder, []string{"host"}, "lab run c.yaml", nil)
	var busy *BusyError
	if !errors.As(err, &busy) || busy.What != "host" || !strings.Contains(busy.Holder, "lab ab a.yaml b.yaml") {
		t.Fatalf("got %v, want a BusyError that names the holder", err)
	}
	first.Release()
	second, err := Acquire(t.Context(), folder, []string{"host"}, "lab run c.yaml", nil)
	if err != nil {
		t.Fatalf("after the first ended: %v", err)
	}
	second.Release()
}

func TestAMeasurementThatWaitsGetsTheBoxWhenItIsFree(t *testing.T) {
	folder := t.TempDir()
	first, err := Acquire(t.Context(), folder, []string{"host"}, "first", nil)
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan error, 1)
	go func() {
		second, err := Acquire(t.Context(), folder, []string{"host"}, "second", func(error) {})
		if err == nil {
			second.Release()
		}
		got <- err
	}()
	first.Release()
	if err := <-got; err != nil {
		t.Fatal(err)
	}
}

func TestWaitingForTheBoxEndsWithTheContext(t *testing.T) {
	folder := t.TempDir()
	first, err := Acquire(t.Context(), folder, []string{"host"}, "first", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Release()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Acquire(ctx, folder, []string{"host"}, "second", func(error) {}); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v, want the context's end", err)
	}
}
