//go:build ui

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"lab/internal/lab"
	"lab/store"
)

// place is a store with lab's own commands in it.
type place struct {
	*testing.T
	dir string // of the store; beside it lie experiments
	env []string
}

func newPlace(t *testing.T) place {
	t.Helper()
	work := t.TempDir()
	p := place{T: t, dir: filepath.Join(work, "records")}
	p.env = append(os.Environ(), "HOME="+work, "LAB_DIR="+p.dir, "LAB_LOCK_DIR="+filepath.Join(work, "locks"), "XDG_CACHE_HOME="+filepath.Join(work, "cache"))
	for name, text := range map[string]string{
		"a.yaml": `name: slow steps 慢
server: {model: tiny, max_num_seqs: 2, simulator: {as: 0.32.0, flags: {sim-seed: "1"}}}
load: {rate: 10, duration: 8s, warmup: 4, dataset: {kind: random, input_tokens: 64, output_tokens: 16}}
`,
		"b.yaml": `extends: a.yaml
name: fast steps 快
server: {max_num_seqs: 16}
`,
		"quick.yaml": `name: quick
server: {model: tiny, simulator: {as: 0.32.0, flags: {step-time: 12ms, noise: 0, run-noise: 0}}}
load: {concurrency: 4, requests: 60, warmup: 4, dataset: {kind: random, input_tokens: 16, output_tokens: 16}}
`,
		"faster.yaml": `extends: quick.yaml
name: faster
server: {simulator: {flags: {step-time: 4ms}}}
`,
		"sweep.yaml": `name: sweep
server: {model: tiny, simulator: {as: 0.32.0}}
load: {concurrency: 1, requests: 12, warmup: 0, dataset: {kind: random, input_tokens: 16, output_tokens: 8}}
sweep: {server.max_num_seqs: [2, 8], load.concurrency: [1, 4]}
`,
	} {
		if err := os.WriteFile(filepath.Join(work, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// command is one of lab's, not yet started.
func (p place) command(args ...string) *exec.Cmd {
	c := exec.CommandContext(p.Context(), "lab", args...)
	c.Env, c.Dir = p.env, filepath.Dir(p.dir)
	return c
}

func (p place) lab(args ...string) string {
	p.Helper()
	c := p.command(args...)
	var errOut bytes.Buffer
	c.Stderr = &errOut
	out, err := c.Output()
	if err != nil {
		p.Fatalf("lab %s: %v\n%s%s", strings.Join(args, " "), err, out, errOut.Bytes())
	}
	return string(out)
}

// try is a command whose measurement may be invalid, on a busy box, without harm to the test.
func (p place) try(args ...string) {
	p.Helper()
	c := p.command(args...)
	out, _ := c.CombinedOutput()
	if code := c.ProcessState.ExitCode(); code != exitOK && code != exitInvalid {
		p.Fatalf("lab %s: exit %d\n%s", strings.Join(args, " "), code, out)
	}
}

// ui starts lab ui and gives its address and its process.
func (p place) ui(listen string) (string, *exec.Cmd) {
	p.Helper()
	c := p.command("ui", "--listen", listen)
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		p.Fatal(err)
	}
	if err := c.Start(); err != nil {
		p.Fatal(err)
	}
	p.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		p.Fatal(err)
	}
	return strings.TrimSuffix(strings.TrimSpace(line), "/"), c
}

func TestBrowserListsTenThousandRunsAndFiltersThemWhileOneTypes(t *testing.T) {
	p := newPlace(t)
	manyRuns(t, p.dir, 10_000)
	home, _ := p.ui("127.0.0.1:0")
	b := startBrowser(t, home)

	began := time.Now()
	b.open("/")
	b.await(`document.querySelectorAll(".runs tbody tr").length === 100`)
	t.Logf("10 000 runs: the list opened in %d ms, the first time", time.Since(began).Milliseconds())
	began = time.Now()
	b.open("/")
	b.await(`document.querySelectorAll(".runs tbody tr").length === 100`)
	t.Logf("10 000 runs: the list opened in %d ms, the second time", time.Since(began).Milliseconds())
	b.await(`document.body.classList.contains("scripted")`)
	if text := ask[string](b, `document.querySelector("[role=status]").innerText`); !strings.Contains(text, "10\u202f000 runs") {
		t.Errorf("the list says %q", text)
	}
	b.looks("list")

	// The keyboard alone: / filters, j and x go on and select.
	b.keys("/")
	var slowest time.Duration
	for i, query := 0, "llama nightly ttft<30ms"; i < len(query); i++ {
		b.keys(query[i : i+1])
		typed := strings.TrimSpace(query[:i+1])
		slowest = max(slowest, b.await(fmt.Sprintf(`document.getElementById("list").dataset.query === %q`, typed)))
	}
	t.Logf("10 000 runs: a letter typed filtered the list in at most %d ms", slowest.Milliseconds())
	matching := ask[string](b, `document.querySelector("[role=status]").innerText`)
	if n := ask[int](b, `[...document.querySelectorAll(".runs tbody .name")].filter((e) => !/llama.*nightly/i.test(e.textContent)).length`); n != 0 || strings.HasPrefix(matching, "10") {
		t.Errorf("%d rows are none of llama and nightly; the list says %q", n, matching)
	}
	b.shot("list-filtered")
	b.keys("\x1b")
	b.keys("j")
	b.keys("j")
	b.keys("x")
	b.keys("j")
	b.keys("x")
	b.await(`document.querySelector(".choice").textContent.trim() === "2 selected"`)

	// All of it is in the address: a reload and the back button bring it again.
	address := ask[string](b, "location.search")
	for _, part := range []string{"q=llama", "run="} {
		if !strings.Contains(address, part) {
			t.Errorf("the address %q has no %q", address, part)
		}
	}
	b.do(chromedp.Reload())
	b.await(`document.getElementById("list")?.dataset.query === "llama nightly ttft<30ms"`)
	if n := ask[int](b, `document.querySelectorAll("#list input:checked").length`); n != 2 {
		t.Errorf("after a reload %d are selected", n)
	}
	b.await(`document.body.classList.contains("scripted")`)
	b.run(`document.querySelector('thead a[href*="sort=ttft"]').click()`)
	b.await(`document.querySelector("th[aria-sort=ascending]")?.innerText.startsWith("TTFT")`)
	b.run(`history.back()`)
	b.await(`document.querySelector("th[aria-sort]")?.innerText.startsWith("Run") && document.getElementById("q").value !== ""`)
	b.run(`history.back()`)
	b.await(`document.getElementById("q").value === "" && document.querySelector("[role=status]").innerText.startsWith("10")`)
	b.calm()

	// Without scripts it is a form.
	b.do(call(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}))
	b.open("/?q=outcome:failed&page=2")
	if n := ask[int](b, `document.querySelectorAll(".runs tbody tr.failed").length`); n != 100 {
		t.Errorf("without scripts the second page of the failed runs has %d", n)
	}
	if shown := ask[bool](b, `document.querySelector(".without-script").checkVisibility()`); !shown {
		t.Error("without scripts nothing sends the filter")
	}
}

func TestBrowserFollowsARunningABAndNothingItDoesReachesTheRun(t *testing.T) {
	p := newPlace(t)
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	home, ui := p.ui("127.0.0.1:0")
	b := startBrowser(t, home)
	b.open("/")
	b.await(`document.querySelector(".empty")?.innerText.includes("lab demo")`)
	b.looks("empty")

	ab := p.command("ab", "--pairs", "2", "--seed", "1", "a.yaml", "b.yaml")
	var told bytes.Buffer
	ab.Stdout, ab.Stderr = &told, &told
	if err := ab.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- ab.Wait() }()

	t.Logf("the page showed the A/B %d ms after its start, without a reload", b.await(`document.querySelector("#now .going")`).Milliseconds())
	b.await(`document.querySelector(".runs tr.live")`)
	b.await(`document.querySelector("#now dl")`)
	b.shot("list-live")
	b.open("/now")
	b.wide(390)
	b.await(`document.querySelector("#now .spread")`)
	if over := ask[int](b, `document.documentElement.scrollWidth - document.documentElement.clientWidth`); over > 0 {
		t.Errorf("what is measured at length is %d pixels too wide at 390", over)
	}
	b.shot("now-live-390")
	b.wide(1440)
	b.open("/")
	b.await(`document.querySelector("#now dl")`)

	// How old what is shown can be: the greatest pause between two changes of the counts, while the load goes on.
	pause := ask[float64](b, `new Promise((done) => { let last = performance.now(), worst = 0;
		const seen = new MutationObserver(() => { const now = performance.now(); if (document.querySelector("#now dl")) worst = Math.max(worst, now - last); last = now; });
		seen.observe(document.getElementById("now"), { childList: true, subtree: true, characterData: true });
		setTimeout(() => { seen.disconnect(); done(worst); }, 4000); })`)
	t.Logf("while it measured, what was shown changed at the latest after %.0f ms", pause)

	// What changes several times a second can be reached by the keyboard all the same.
	b.run(`document.querySelector("#now a").focus()`)
	was := ask[string](b, `document.querySelector("#now .clock").textContent`)
	b.await(fmt.Sprintf(`document.querySelector("#now .clock")?.textContent !== %q`, was))
	if !ask[bool](b, `document.activeElement === document.querySelector("#now a")`) {
		t.Error("a link lost the focus when what is around it changed")
	}

	// The run's own page: curves that go on after a reload and after a lost connection, without a hole or a second time.
	for range 3 { // on a busy box a run may be over before its page is there: then the next one
		b.await(`document.querySelector("#now a[href^='/r/']")`)
		run := ask[string](b, `document.querySelector("#now a[href^='/r/']").getAttribute("href")`)
		b.run(`document.querySelector("#now a[href^='/r/']").click()`)
		b.await(fmt.Sprintf(`location.pathname === %q && document.readyState === "complete" && (`, run) + `document.querySelectorAll("#curves figure").length >= 3 || !document.getElementById("live"))`)
		if ask[bool](b, `!!document.getElementById("live")`) {
			break
		}
	}
	b.await(`document.querySelectorAll("#curves figure").length >= 3`)
	if over := ask[int](b, `[...document.querySelectorAll("#curves figure")].filter((f) => f.querySelector(".u-wrap").offsetWidth > f.clientWidth).length`); over > 0 {
		t.Errorf("%d curves are wider than their place", over)
	}
	b.shot("run-live")
	b.axe("a live run")
	b.calm()
	b.do(chromedp.Reload())
	b.await(`document.querySelectorAll("#curves figure").length >= 3 || !document.getElementById("live")`) // unless the run has ended

	began := time.Now()
	p.lab("list")
	t.Logf("lab list beside it took %d ms", time.Since(began).Milliseconds())

	// The terminal with lab ui is closed; another one takes its place at the same address.
	address := strings.TrimPrefix(home, "http://")
	ui.Process.Signal(syscall.SIGKILL)
	ui.Wait()
	b.await(`!document.getElementById("link").hidden`)
	b.forgive()
	_, ui = p.ui(address)
	b.await(`document.getElementById("link").hidden`)
	shown := ask[string](b, `document.querySelector("#now").textContent`)
	b.await(fmt.Sprintf(`document.querySelector("#now").textContent !== %q`, shown)) // it goes on, by itself
	b.forgive()

	// So is the browser.
	b.do(call(network.Disable, cdp.Empty{}))
	if err := chromedp.Cancel(b.ctx); err != nil {
		t.Log(err)
	}
	<-ended
	if code := ab.ProcessState.ExitCode(); code != exitOK && code != exitInvalid { // on a busy box the client is the limit
		t.Fatalf("lab ab: exit %d\n%s", code, told.Bytes())
	}
	if out := p.lab("list"); strings.Contains(out, "interrupted") || strings.Contains(out, "live") {
		t.Errorf("the runs are\n%s", out)
	}
	if err := ui.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
}

// followed is a run of this process, each second of which is a batch of its own; it seems to be measured until it says otherwise.
type followed struct {
	*store.Writer
	run   lab.Run
	says  *store.Announcer
	until int // seconds
}

func (p place) follow() *followed {
	p.Helper()
	db, err := store.Open(p.dir)
	if err != nil {
		p.Fatal(err)
	}
	f := &followed{says: db.Announce("lab run tiny.yaml"),
		run: lab.Run{ID: lab.NewID(time.Now()), Outcome: lab.Live, Epoch: lab.NewEpoch(), Experiment: lab.Experiment{Name: "tiny"}}}
	if f.Writer, err = db.Begin(f.run); err != nil {
		p.Fatal(err)
	}
	p.Cleanup(func() { f.Close() })
	f.says.Say(lab.Status{Title: "tiny", Run: f.run.ID, Stage: "load", Phase: "load"})
	return f
}

func (f *followed) record(t *testing.T, seconds int) {
	t.Helper()
	for range seconds {
		f.until++
		f.Sample(lab.Sample{At: time.Duration(f.until) * time.Second, Device: "client", Values: map[string]float64{lab.ClientFlight: float64(f.until)}})
		if err := f.Close(); err != nil { // writes what is pending
			t.Fatal(err)
		}
	}
}

func TestBrowserDrawsNoLineOverWhatItDidNotGet(t *testing.T) {
	p := newPlace(t)
	f := p.follow()
	f.record(t, 3)
	home, ui := p.ui("127.0.0.1:0")
	b := startBrowser(t, home)
	b.open("/r/" + f.run.ID)
	const curve = `document.querySelector("#curves figure")`
	for _, c := range []struct {
		missed int
		goesOn bool
	}{{100, true}, {121, false}} {
		b.await(curve)
		b.run(`window.curve = ` + curve)
		ui.Process.Kill()
		ui.Wait()
		b.await(`!document.getElementById("link").hidden`)
		b.forgive()
		f.record(t, c.missed)
		_, ui = p.ui(strings.TrimPrefix(home, "http://"))
		b.await(`document.getElementById("link").hidden`)
		b.await(fmt.Sprintf(`document.querySelector("#curves .last")?.textContent === "in flight %d"`, f.until))
		if goesOn := ask[bool](b, `window.curve.isConnected`); goesOn != c.goesOn {
			t.Errorf("after %d pulses that were missed the curves go on: %v", c.missed, goesOn)
		}
	}
}

// The page that is fetched when a run has ended comes late here, and nothing that is to be renewed meanwhile takes its place.
func TestBrowserShowsTheEndOfARunHoweverLongThePageTakes(t *testing.T) {
	p := newPlace(t)
	f := p.follow()
	f.record(t, 2)
	home, _ := p.ui("127.0.0.1:0")
	b := startBrowser(t, home)
	b.open("/r/" + f.run.ID)
	b.await(`document.querySelectorAll("#curves figure").length === 1 && document.querySelector("#now .going")`)
	b.run(`(() => {
		const real = window.fetch;
		window.fetch = async (address, o) => {
			window.asked = true;
			const answer = await real(address, o);
			await new Promise((r) => setTimeout(r, 8000)); // longer than a live document is left as it is
			o.signal.throwIfAborted();
			return answer;
		};
	})()`)
	f.run.Outcome, f.run.Ended = lab.Complete, 3*time.Second
	if err := f.Seal(f.run, lab.Summary{}); err != nil {
		t.Fatal(err)
	}
	b.await("window.asked") // the page has been told
	f.says.Say(lab.Status{})
	b.await(`!document.querySelector("#now .going")`)
	b.await(`document.querySelector("#document:not([data-again])")`)
	if ask[bool](b, `!!document.getElementById("live")`) {
		t.Error("the run has ended, its document is there, and above it its curves stand as if they went on")
	}
	b.calm()
}

func TestBrowserShowsEveryKindOfResult(t *testing.T) {
	p := newPlace(t)
	p.try("sweep", "--repeats", "2", "sweep.yaml")
	p.try("baseline", "set", "before", "quick.yaml", "--runs", "3")
	p.try("ab", "--pairs", "2", "--profile", "--seed", "1", "quick.yaml", "faster.yaml")
	home, _ := p.ui("127.0.0.1:0")
	b := startBrowser(t, home)
	first := func(path, selector string) string {
		t.Helper()
		b.open(path)
		return ask[string](b, `document.querySelector(`+fmt.Sprintf("%q", selector)+`)?.getAttribute("href") ?? ""`)
	}

	ab := first("/ab", ".index .id a")
	b.looks("abs")
	b.open(ab)
	b.await(`document.querySelector("#result")`)
	b.looks("ab")

	run := first("/?q=outcome:complete+name:faster", ".runs .id a")
	b.open(run)
	b.await(`document.querySelector(".timeline.mounted")`) // the script of the documents has taken it
	b.looks("run")
	if file := ask[string](b, `fetch(location.pathname + "?file").then((r) => r.text()).then((t) => t.slice(0, 15) + (t.includes("default-src &#39;none&#39;") ? " closed" : ""))`); file != "<!doctype html> closed" {
		t.Errorf("the page as a file begins with %q", file)
	}

	if data := ask[string](b, `fetch(document.querySelector("#data a").href).then((r) => r.json()).then((d) => Object.keys(d).length > 1 ? "json" : "")`); data != "json" {
		t.Errorf("the data of the page is %q", data)
	}

	b.open("/?q=outcome:complete+sweep:sweep")
	b.await(`document.body.classList.contains("scripted")`)
	b.run(`document.querySelectorAll(".runs [name=run]")[0].click()`)
	b.await(`document.querySelector(".choice").textContent.trim() === "1 selected"`)
	b.run(`document.querySelectorAll(".runs [name=run]")[2].click()`)
	b.await(`document.querySelector(".choice").textContent.trim() === "2 selected"`)
	b.keys("c")
	b.await(`location.pathname === "/compare" && document.querySelector("#different")`)
	b.looks("compare")
	b.run(`history.back()`)
	b.await(`location.pathname === "/" && document.querySelectorAll("#list input:checked").length === 2`)

	sweep := first("/sweeps", ".index .id a")
	b.looks("sweeps")
	b.open(sweep)
	b.await(`document.querySelector("main")`)
	b.looks("sweep")

	baseline := first("/baselines", ".index .id a")
	b.looks("baselines")
	b.open(baseline)
	b.await(`document.querySelector("main")`)
	b.looks("baseline")

	graph := first("/profiles", `.index a[href^="/profile/"]`)
	b.looks("profiles")
	b.open("/now")
	b.await(`document.querySelector("#gpus .device")`)
	b.looks("now")
	b.calm()

	b.open(graph)
	b.await(`location.pathname.endsWith("/flamegraph")`)
	b.shot("flamegraph")
	b.open("/profiles")
	b.run(`document.querySelectorAll("[name=run]").forEach((e) => e.click())`)
	b.run(`document.querySelector(".bar button").click()`)
	b.await(`location.pathname.startsWith("/profile-diff/") && location.pathname.endsWith("/flamegraph")`)
	b.calm()

	// Without scripts every page says what it says.
	b.do(call(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}))
	for path, selector := range map[string]string{ab: "#result", run: ".timeline figure svg", sweep: "main table", baseline: "main table"} {
		b.open(path)
		if n := ask[int](b, `document.querySelectorAll("`+selector+`").length`); n == 0 {
			t.Errorf("%s without scripts has no %s", path, selector)
		}
	}
}
