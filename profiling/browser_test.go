//go:build ui

package profiling

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

func TestABrowserDrawsTheFlameGraphWhereverItIsMounted(t *testing.T) {
	a, err := ReadStacks(context.Background(), "testdata/hta-graph-step.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	b, err := ReadStacks(context.Background(), "testdata/hta-test.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	for name, base := range map[string]*Stacks{"one": nil, "two": b} {
		pages, err := View(a, base)
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(OnLoopback(http.StripPrefix("/profiles/1", pages)))
		t.Cleanup(server.Close)
		options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.Flag("disable-quic", true))
		allocator, stop := chromedp.NewExecAllocator(t.Context(), options...)
		t.Cleanup(stop)
		ctx, end := chromedp.NewContext(allocator)
		t.Cleanup(end)
		ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
		t.Cleanup(cancel)
		if err := chromedp.Do(ctx, chromedp.EmulateViewport(1200, 900), chromedp.Navigate(server.URL+"/profiles/1/")); err != nil {
			t.Fatal(err)
		}
		frames, err := chromedp.Run(ctx, chromedp.Evaluate[string](`[...document.querySelectorAll(".boxtext")].map((e) => e.textContent).join("\n")`))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(frames, "step:step") || strings.Count(frames, "\n") < 20 {
			t.Errorf("%s: the page draws\n%s", name, frames)
		}
	}
}
