//go:build ui

package page

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// shown is a page in a browser of its own, without a network; what it asks for, and what goes wrong in it, is noted.
type shown struct {
	*testing.T
	ctx context.Context

	mu       sync.Mutex
	requests []string
	troubles []string
}

func open(t *testing.T, d Document, before ...chromedp.Action[chromedp.Void]) *shown {
	t.Helper()
	name := filepath.Join(t.TempDir(), "报告 1.html")
	if err := os.WriteFile(name, []byte(html(t, d)), 0o600); err != nil {
		t.Fatal(err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))
	allocator, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	ctx, end := chromedp.NewContext(allocator)
	t.Cleanup(end)
	ctx, cancel := context.WithTimeout(ctx, 4*time.Minute)
	t.Cleanup(cancel)
	p := &shown{T: t, ctx: ctx}
	p.do(append([]chromedp.Action[chromedp.Void]{
		chromedp.EmulateViewport(1440, 900),
		call(network.Enable, network.EnableParams{}),
		call(log.Enable, cdp.Empty{}),
		call(network.EmulateNetworkConditionsByRule, network.EmulateNetworkConditionsByRuleParams{MatchedNetworkConditions: []*network.Conditions{{Offline: true, DownloadThroughput: -1, UploadThroughput: -1}}}),
	}, before...)...)
	if err := chromedp.Listen(ctx, p.note); err != nil {
		t.Fatal(err)
	}
	p.do(chromedp.Navigate((&url.URL{Scheme: "file", Path: name}).String()))
	t.Cleanup(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if len(p.requests)+len(p.troubles) > 0 {
			t.Errorf("the page asked for %q and had trouble with %q", p.requests, p.troubles)
		}
	})
	return p
}

func (p *shown) note(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		if u := e.Request.URL; !strings.HasPrefix(u, "file://") && !strings.HasPrefix(u, "blob:") {
			p.requests = append(p.requests, u)
		}
	case *runtime.EventExceptionThrown:
		p.troubles = append(p.troubles, e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		p.troubles = append(p.troubles, "console."+string(e.Type))
	case *log.EventEntryAdded: // what the browser itself complains of, such as the policy
		p.troubles = append(p.troubles, e.Entry.Text)
	}
}

func (p *shown) do(actions ...chromedp.Action[chromedp.Void]) {
	p.Helper()
	if err := chromedp.Do(p.ctx, actions...); err != nil {
		p.Fatal(err)
	}
}

func ask[T any](p *shown, expression string, options ...chromedp.EvaluateOption) T {
	p.Helper()
	v, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](expression, options...))
	if err != nil {
		p.Fatalf("%.200s: %v", expression, err)
	}
	return v
}

func call[P, R any](command cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, command, params)
		return err
	})
}

func media(features ...*emulation.MediaFeature) chromedp.Action[chromedp.Void] {
	return call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features})
}

func dark() *emulation.MediaFeature {
	return &emulation.MediaFeature{Name: "prefers-color-scheme", Value: "dark"}
}

// shot takes a picture of the whole page, kept where LAB_SCREENSHOTS names a folder.
func (p *shown) shot(name string) []byte {
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

// accessible wants no fault of axe-core, every rule of it.
func (p *shown) accessible(where string) {
	p.Helper()
	name := os.Getenv("LAB_AXE")
	if name == "" {
		p.Log("LEFT OUT: axe, which make test-ui names in LAB_AXE")
		return
	}
	source, err := os.ReadFile(name)
	if err != nil {
		p.Fatal(err)
	}
	ask[chromedp.Void](p, string(source))
	faults := ask[[]string](p, `axe.run(document, {resultTypes: ["violations"]}).then((r) => r.violations.map((v) => v.id + " (" + v.impact + "): " + v.help + ": " + v.nodes.slice(0, 3).map((n) => n.html.slice(0, 160) + " " + n.failureSummary).join(" | ")))`, chromedp.EvalAwaitPromise)
	for _, fault := range faults {
		p.Errorf("%s: %s", where, fault)
	}
}

// fits wants that nothing but what scrolls by itself is wider than the window.
func (p *shown) fits(where string) {
	p.Helper()
	if wide := ask[[]string](p, `[...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".scroll,pre,svg,.u-wrap,.skip")).slice(0, 5).map((e) => e.outerHTML.slice(0, 120))`); len(wide) > 0 {
		p.Errorf("%s: wider than the window: %q", where, wide)
	}
}

func documents() map[string]Document {
	return map[string]Document{"run": Run(usual().view("en")), "ab": AB(madeAB("en", 3)), "zh": Run(usual().view("zh"))}
}

func TestPagesReadInLightAndDarkOnNarrowAndWideScreens(t *testing.T) {
	for name, document := range documents() {
		t.Run(name, func(t *testing.T) { open(t, document).reads(name) })
	}
}

// reads looks at a page in every light and width.
func (p *shown) reads(name string) {
	p.Helper()
	for _, width := range []int64{1440, 390} {
		for _, theme := range []string{"light", "dark"} {
			where := fmt.Sprintf("%s-%d-%s", name, width, theme)
			p.do(chromedp.EmulateViewport(width, 900))
			if theme == "dark" {
				p.do(media(dark()))
			} else {
				p.do(media())
			}
			p.fits(where)
			p.shot(where)
			p.accessible(where)
		}
	}
}

func TestChartsOverTimeShareACrosshairAndAZoom(t *testing.T) {
	p := open(t, Run(usual().view("en")))
	if n := ask[int](p, `document.querySelectorAll(".timeline .uplot canvas").length`); n < 8 {
		t.Fatalf("%d charts over time", n)
	}
	const values = `[...document.querySelectorAll(".timeline .keys .v")].map((e) => e.textContent).join(" ").trim()`
	if text := ask[string](p, values); text != "" {
		t.Errorf("without a crosshair there are values: %q", text)
	}
	over := ask[[]float64](p, `(() => { const e = document.querySelectorAll(".timeline .u-over")[2]; e.scrollIntoView({block: "center"}); const b = e.getBoundingClientRect(); return [b.x, b.y, b.width, b.height]; })()`)
	x, y, w, h := over[0], over[1], over[2], over[3]
	p.do(chromedp.MouseEvent(chromedp.MouseMoved, x+w/2, y+h/2))
	if text := ask[string](p, values); len(strings.Fields(text)) < 10 {
		t.Errorf("under the crosshair of one chart the others show %q", text)
	}
	if n := ask[int](p, `[...document.querySelectorAll(".timeline .u-cursor-x")].filter((e) => /translate\((?!-)/.test(e.style.transform)).length`); n < 8 {
		t.Errorf("%d charts show the crosshair", n)
	}
	before := ask[string](p, `labPage.span("time").join()`)
	p.do(
		chromedp.MouseEvent(chromedp.MousePressed, x+w*.4, y+h/2, chromedp.ButtonLeft),
		chromedp.MouseEvent(chromedp.MouseMoved, x+w*.5, y+h/2, chromedp.ButtonLeft),
		chromedp.MouseEvent(chromedp.MouseMoved, x+w*.6, y+h/2, chromedp.ButtonLeft),
		chromedp.MouseEvent(chromedp.MouseReleased, x+w*.6, y+h/2, chromedp.ButtonLeft),
	)
	if after := ask[string](p, `labPage.span("time").join()`); after == before {
		t.Errorf("a drag left the window at %s", after)
	}
	p.shot("zoomed")
	p.do(chromedp.KeyEvent(kb.Escape))
	ask[chromedp.Void](p, `document.querySelector(".timeline .plots").focus()`)
	p.do(chromedp.KeyEvent(kb.Escape))
	if after := ask[string](p, `labPage.span("time").join()`); after != before {
		t.Errorf("after Esc the window is %s, was %s", after, before)
	}
}

func TestChartsOverTimeAnswerTheKeyboard(t *testing.T) {
	p := open(t, AB(madeAB("en", 3)))
	ask[chromedp.Void](p, `document.querySelector(".timeline .plots").focus()`)
	const said = `document.querySelector(".timeline output").textContent`
	at := ask[string](p, said)
	for range 3 {
		p.do(chromedp.KeyEvent(kb.ArrowRight))
	}
	moved := ask[string](p, said)
	if moved == at || !strings.Contains(moved, " s") {
		t.Errorf("after three arrows the crosshair is at %q, was %q", moved, at)
	}
	p.do(chromedp.KeyEvent("+"))
	if !ask[bool](p, `!document.querySelector(".timeline .bar button").hidden`) {
		t.Error("after + nothing says that the charts are zoomed")
	}
	button := `document.querySelector(".timeline .keys button")`
	ask[chromedp.Void](p, button+`.focus()`)
	p.do(chromedp.KeyEvent(" "))
	if pressed := ask[string](p, button+`.getAttribute("aria-pressed")`); pressed != "false" {
		t.Errorf("a name in the legend is %s after a blank on it, want hidden", pressed)
	}
}

func TestPagesAreWholeWithoutScriptsAndOnPaper(t *testing.T) {
	for name, document := range documents() {
		t.Run(name, func(t *testing.T) {
			p := open(t, document, call(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}))
			for _, selector := range []string{".timeline figure svg", "figure.picture svg .mark", "table td", ".tiles .value", "noscript p"} {
				if n := ask[int](p, `[...document.querySelectorAll("`+selector+`")].filter((e) => e.getClientRects().length).length`); n == 0 {
					t.Errorf("without scripts the page shows no %s", selector)
				}
			}
			p.shot(name + "-noscript")
			p.do(call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print", Features: []*emulation.MediaFeature{dark()}}))
			p.shot(name + "-print")
			if n := ask[int](p, `[...document.querySelectorAll("nav,button")].filter((e) => e.getClientRects().length).length`); n > 0 {
				t.Errorf("on paper there are %d buttons and lists of links", n)
			}
			if ink := ask[string](p, `getComputedStyle(document.body).backgroundColor`); ink != "rgb(255, 255, 255)" {
				t.Errorf("the paper is %s", ink)
			}
		})
	}
}

func TestAMountedPageIsPrintedWithPictures(t *testing.T) {
	p := open(t, Run(usual().view("en")))
	p.do(call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print"}))
	if n := ask[int](p, `[...document.querySelectorAll(".timeline .static svg")].filter((e) => e.getClientRects().length).length`); n < 8 {
		t.Errorf("%d charts over time on paper", n)
	}
	if n := ask[int](p, `[...document.querySelectorAll("canvas")].filter((e) => e.getClientRects().length).length`); n > 0 {
		t.Errorf("%d charts twice on paper", n)
	}
}

func TestDataOfThePageCanBeSaved(t *testing.T) {
	p := open(t, Run(usual().view("en")))
	saved := ask[string](p, `new Promise((done) => {
		const click = HTMLAnchorElement.prototype.click;
		HTMLAnchorElement.prototype.click = function () { HTMLAnchorElement.prototype.click = click; done(this.download + " " + this.protocol); };
		document.querySelector("button[data-save]").click();
	})`, chromedp.EvalAwaitPromise)
	if !strings.HasSuffix(saved, ".json blob:") {
		t.Errorf("a click on Save saves %q", saved)
	}
}
