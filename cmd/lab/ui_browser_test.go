//go:build ui

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// browser is one tab. What it asks of others than lab ui, and what goes wrong in it, is noted.
type browser struct {
	*testing.T
	ctx  context.Context
	home string // address of lab ui, without the slash at its end

	mu        sync.Mutex
	elsewhere []string
	troubles  []string
}

func startBrowser(t *testing.T, home string) *browser {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))
	allocator, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	ctx, end := chromedp.NewContext(allocator)
	t.Cleanup(end)
	ctx, cancel := context.WithTimeout(ctx, 4*time.Minute)
	t.Cleanup(cancel)
	b := &browser{T: t, ctx: ctx, home: home}
	b.do(chromedp.EmulateViewport(1440, 900), call(log.Enable, cdp.Empty{}))
	if err := chromedp.Listen(ctx, b.note); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *browser) note(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		if u := e.Request.URL; !strings.HasPrefix(u, b.home+"/") && !strings.HasPrefix(u, "data:") {
			b.elsewhere = append(b.elsewhere, u)
		}
	case *runtime.EventExceptionThrown:
		b.troubles = append(b.troubles, e.ExceptionDetails.Text+" "+e.ExceptionDetails.URL)
	case *runtime.EventConsoleAPICalled:
		b.troubles = append(b.troubles, "console."+string(e.Type))
	case *log.EventEntryAdded:
		if e.Entry.Level == "error" {
			b.troubles = append(b.troubles, e.Entry.Text+" "+e.Entry.URL)
		}
	}
}

// calm wants that nothing went wrong so far.
func (b *browser) calm() {
	b.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.elsewhere)+len(b.troubles) > 0 {
		b.Errorf("the page asked others for %q and had trouble with %q", b.elsewhere, b.troubles)
	}
	b.elsewhere, b.troubles = nil, nil
}

// forgive forgets what went wrong, where the test wanted it to.
func (b *browser) forgive() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.troubles = nil
}

func (b *browser) do(actions ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.Fatal(err)
	}
}

func (b *browser) open(path string) {
	b.Helper()
	b.do(chromedp.Navigate(b.home + path))
}

func ask[T any](b *browser, expression string) T {
	b.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.Fatalf("%s: %v", expression, err)
	}
	return v
}

// await waits until an expression is true, and gives how long that took.
func (b *browser) await(expression string) time.Duration {
	b.Helper()
	began := time.Now()
	for time.Since(began) < time.Minute {
		if ask[bool](b, "!!("+expression+")") {
			return time.Since(began)
		}
		time.Sleep(10 * time.Millisecond)
	}
	b.Fatalf("never: %s\nthe page says %s", expression, ask[string](b, `document.body.innerText.slice(0, 2000)`))
	return 0
}

func (b *browser) shot(name string) {
	b.Helper()
	dir := os.Getenv("LAB_SCREENSHOTS")
	if dir == "" {
		return
	}
	take := chromedp.FullScreenshot(100)
	if ask[int](b, `document.documentElement.scrollHeight`) > 8000 {
		take = chromedp.CaptureScreenshot()
	}
	picture, err := chromedp.Run(b.ctx, take)
	if err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o644); err != nil {
		b.Fatal(err)
	}
}

func (b *browser) dark(is bool) {
	b.Helper()
	scheme := map[bool]string{true: "dark", false: "light"}[is]
	b.do(call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}))
}

func (b *browser) wide(columns int64) {
	b.Helper()
	b.do(chromedp.EmulateViewport(columns, 900))
}

// run evaluates an expression for what it does.
func (b *browser) run(expression string) {
	b.Helper()
	ask[bool](b, "("+expression+", true)")
}

// keys types as a keyboard does: a page that takes a key for itself keeps it from the field.
func (b *browser) keys(text string) {
	b.Helper()
	for _, key := range text {
		down := input.DispatchKeyEventParams{Type: input.DispatchKeyEventTypeKeyDown, Key: string(key), Text: string(key)}
		if key == '\x1b' {
			down.Key, down.Text, down.WindowsVirtualKeyCode = "Escape", "", 27
		}
		b.do(call(input.DispatchKeyEvent, down))
		down.Type, down.Text = input.DispatchKeyEventTypeKeyUp, ""
		b.do(call(input.DispatchKeyEvent, down))
	}
}

func call[P, R any](command cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, command, params)
		return err
	})
}

// looks takes pictures of a page in light and dark, wide and narrow, and wants that it never scrolls sideways and breaks no
// rule of accessibility.
func (b *browser) looks(name string) {
	b.Helper()
	for _, width := range []int64{1440, 390} {
		for _, dark := range []bool{false, true} {
			b.wide(width)
			b.dark(dark)
			scheme := map[bool]string{true: "dark", false: "light"}[dark]
			if over := ask[int](b, `document.documentElement.scrollWidth - document.documentElement.clientWidth`); over > 0 {
				b.Errorf("%s at %d columns is %d pixels too wide", name, width, over)
			}
			b.axe(fmt.Sprintf("%s at %d, %s", name, width, scheme))
			b.shot(fmt.Sprintf("%s-%d-%s", name, width, scheme))
		}
	}
	b.wide(1440)
	b.dark(false)
}

// axe runs the rules of accessibility over the page; LAB_AXE names the file with them.
func (b *browser) axe(where string) {
	b.Helper()
	name := os.Getenv("LAB_AXE")
	if name == "" {
		b.Log("LEFT OUT: accessibility of " + where + ": LAB_AXE does not name axe.min.js (make test-ui does)")
		return
	}
	rules, err := os.ReadFile(name)
	if err != nil {
		b.Fatal(err)
	}
	ask[int](b, string(rules)+";0")
	found := ask[[]string](b, `axe.run(document, {resultTypes: ["violations"]}).then((r) => r.violations.map((v) => v.id + ": " + v.help + ": " + v.nodes.slice(0, 3).map((n) => n.html.slice(0, 200) + " " + n.failureSummary).join(" | ")))`)
	for _, f := range found {
		b.Errorf("%s: %s", where, f)
	}
}
