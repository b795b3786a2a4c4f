//go:build ui

package report

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// page opens the dashboard in a browser of its own; what the page asks the network for, and what goes wrong in it, is
// noted.
type page struct {
	*testing.T
	ctx context.Context

	mu       sync.Mutex
	requests []string
	troubles []string
}

func openDashboard(t *testing.T, before ...chromedp.Action[chromedp.Void]) *page {
	t.Helper()
	name := filepath.Join(t.TempDir(), "dashboard.html")
	html := files(t, read(t, ordinary.csv()), Pictures{Interactive: true})["interactive_dashboard.html"]
	if err := os.WriteFile(name, html, 0o600); err != nil {
		t.Fatal(err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))
	allocator, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	ctx, end := chromedp.NewContext(allocator)
	t.Cleanup(end)
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	t.Cleanup(cancel)
	p := &page{T: t, ctx: ctx}
	p.do(append([]chromedp.Action[chromedp.Void]{chromedp.EmulateViewport(1200, 900)}, before...)...)
	if err := chromedp.Listen(ctx, p.note); err != nil {
		t.Fatal(err)
	}
	p.do(chromedp.Navigate((&url.URL{Scheme: "file", Path: name}).String()))
	return p
}

func (p *page) note(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		if u := e.Request.URL; !strings.HasPrefix(u, "file://") && !strings.HasPrefix(u, "data:") {
			p.requests = append(p.requests, u)
		}
	case *runtime.EventExceptionThrown:
		p.troubles = append(p.troubles, e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		p.troubles = append(p.troubles, "console."+string(e.Type))
	}
}

func (p *page) do(actions ...chromedp.Action[chromedp.Void]) {
	p.Helper()
	if err := chromedp.Do(p.ctx, actions...); err != nil {
		p.Fatal(err)
	}
}

func ask[T any](p *page, expression string) T {
	p.Helper()
	v, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		p.Fatalf("%s: %v", expression, err)
	}
	return v
}

// place is the middle of the first element that a selector finds, in the window.
func (p *page) place(selector string) (x, y float64) {
	p.Helper()
	at := ask[[]float64](p, `(() => { const e = document.querySelector("`+selector+`"); e.scrollIntoView({block: "center"});
		const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; })()`)
	return at[0], at[1]
}

func call[P, R any](command cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, command, params)
		return err
	})
}

func TestTheDashboardAnswersThePointerAndTheKeyboardWithoutANetwork(t *testing.T) {
	p := openDashboard(t)
	x, y := p.place(".series .mark")
	p.do(chromedp.MouseEvent(chromedp.MouseMoved, x, y))
	if tip := ask[string](p, `document.getElementById("tip").hidden ? "" : document.getElementById("tip").textContent`); !strings.Contains(tip, "tok/s") {
		t.Errorf("under the pointer stands %q", tip)
	}

	const ticks = `document.querySelector("figure .ticks-x").textContent`
	whole := ask[string](p, ticks)
	box := ask[[]float64](p, `(() => { const b = document.querySelector("figure .data").getBoundingClientRect(); return [b.x, b.y, b.width, b.height]; })()`)
	left, top, width, height := box[0], box[1], box[2], box[3]
	p.do(
		chromedp.MouseEvent(chromedp.MousePressed, left+width*.5, top+height*.2, chromedp.ButtonLeft),
		chromedp.MouseEvent(chromedp.MouseMoved, left+width*.7, top+height*.5, chromedp.ButtonLeft),
		chromedp.MouseEvent(chromedp.MouseMoved, left+width*.9, top+height*.8, chromedp.ButtonLeft),
		chromedp.MouseEvent(chromedp.MouseReleased, left+width*.9, top+height*.8, chromedp.ButtonLeft),
	)
	if zoomed := ask[string](p, ticks); zoomed == whole {
		t.Errorf("a drag over the plot left the ticks as they were: %q", zoomed)
	}
	p.do(chromedp.KeyEvent("\x1b"))
	if again := ask[string](p, ticks); again != whole {
		t.Errorf("after Esc the ticks are %q, were %q", again, whole)
	}

	x, y = p.place("figure .key")
	p.do(chromedp.MouseClickXY(x, y))
	if hidden := ask[int](p, `[...document.querySelectorAll("figure .series")].filter((s) => s.style.display === "none").length`); hidden == 0 {
		t.Error("a click on the legend hid nothing")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.requests)+len(p.troubles) > 0 {
		t.Errorf("the page asked for %q and had trouble with %q", p.requests, p.troubles)
	}
}

func TestTheDashboardReadsInTheDarkOnPaperAndWithoutScripts(t *testing.T) {
	p := openDashboard(t, call(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}))
	shot := func(name string) []byte {
		p.Helper()
		picture, err := chromedp.Run(p.ctx, chromedp.FullScreenshot(100))
		if err != nil {
			p.Fatal(err)
		}
		if dir := os.Getenv("LAB_SCREENSHOTS"); dir != "" {
			if err := os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o644); err != nil {
				p.Fatal(err)
			}
		}
		return picture
	}
	light := shot("light")
	p.do(call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}}))
	if dark := shot("dark"); string(dark) == string(light) {
		t.Error("the dark page is the light one")
	}
	p.do(call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print"}))
	shot("print")
	for _, selector := range []string{"figure svg .mark", "table td"} {
		if n := ask[int](p, `document.querySelectorAll("`+selector+`").length`); n == 0 {
			t.Errorf("without scripts the page shows no %s", selector)
		}
	}
}
