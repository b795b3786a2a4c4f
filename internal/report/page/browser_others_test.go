//go:build ui

package page

import (
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

func otherDocuments(t *testing.T) map[string]Document {
	all := map[string]Document{"sweep-zh": Sweep(madeSweep("zh")), "baseline-zh": Baseline(madeBaseline("zh"))}
	for name, make := range others(t, "en") {
		all[name] = make()
	}
	return all
}

func TestOtherPagesReadInLightAndDarkOnNarrowAndWideScreens(t *testing.T) {
	for name, document := range otherDocuments(t) {
		t.Run(name, func(t *testing.T) {
			p := open(t, document)
			ask[chromedp.Void](p, `document.querySelectorAll("details").forEach((d) => { d.open = true; })`) // what is folded away counts too
			p.reads(name)
		})
	}
}

func TestOtherPagesAreWholeWithoutScriptsAndOnPaper(t *testing.T) {
	for name, document := range otherDocuments(t) {
		t.Run(name, func(t *testing.T) {
			p := open(t, document, call(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}))
			for _, selector := range []string{"figure.picture svg .mark", "table td", ".tiles .value", "noscript p"} {
				if n := ask[int](p, `[...document.querySelectorAll("`+selector+`")].filter((e) => e.getClientRects().length).length`); n == 0 {
					t.Errorf("without scripts the page shows no %s", selector)
				}
			}
			p.do(call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print"}))
			p.shot(name + "-print")
		})
	}
}

func TestACellOfAMapOnThePageTellsItsFiguresUnderThePointer(t *testing.T) {
	p := open(t, Sweep(madeSweep("en")))
	at := ask[[]float64](p, `(() => { const e = document.querySelector("#map1 .mark, figure .mark"); e.scrollIntoView({block: "center"}); const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; })()`)
	p.do(chromedp.MouseEvent(chromedp.MouseMoved, at[0], at[1]))
	tip := ask[string](p, `document.getElementById("tip").hidden ? "" : document.getElementById("tip").textContent`)
	for _, want := range []string{"max_num_seqs=4 concurrency=1", "tok/s (n = 3)", "TTFT"} {
		if !strings.Contains(tip, want) {
			t.Errorf("under the pointer stands %q, which lacks %q", tip, want)
		}
	}
}
