package web

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"lab/internal/lab"
	"lab/store"
)

// event is one of a stream.
type event struct{ kind, id, data string }

// stream opens the events of a site and gives them one by one; the channel closes with the stream.
func openStream(t *testing.T, address, last string) (<-chan event, context.CancelFunc) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	if last != "" {
		request.Header.Set("Last-Event-ID", last)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if got := response.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Fatalf("%d, %s", response.StatusCode, got)
	}
	events := make(chan event, 1000)
	go func() {
		defer close(events)
		defer response.Body.Close()
		var e event
		for lines := bufio.NewScanner(response.Body); lines.Scan(); {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch name {
			case "":
				if e.kind != "" {
					events <- e
				}
				e = event{}
			case "event":
				e.kind = value
			case "id":
				e.id = value
			case "data":
				e.data += value
			}
		}
	}()
	return events, cancel
}

// next waits for an event of one of some kinds.
func next(t *testing.T, events <-chan event, kinds ...string) event {
	t.Helper()
	limit := time.After(30 * time.Second)
	for {
		select {
		case e, ok := <-events:
			if !ok {
				t.Fatalf("the stream ended before %q", kinds)
			}
			if slices.Contains(kinds, e.kind) {
				return e
			}
		case <-limit:
			t.Fatalf("no %q came", kinds)
		}
	}
}

func liveRun(t *testing.T, db *store.DB) (*store.Writer, lab.Run) {
	t.Helper()
	run := lab.Run{ID: lab.NewID(time.Now()), Outcome: lab.Live, Epoch: lab.NewEpoch(), Experiment: lab.Experiment{Name: "tiny"}}
	w, err := db.Begin(run)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w, run
}

func TestAStreamGoesOnAfterTheLastPulseThatTheBrowserHas(t *testing.T) {
	site, server := serve(t, Options{})
	w, run := liveRun(t, site.DB)
	record := func(second int) { // so that each is a batch of its own
		at := time.Duration(second) * time.Second
		w.Request(lab.RequestRecord{Seq: second, Phase: "load", Intended: at, Sent: at, Done: at + 100*time.Millisecond,
			Chunks: []lab.Chunk{{At: at + time.Duration(second)*time.Millisecond, Tokens: 1}}})
		w.Sample(lab.Sample{At: at, Device: "engine", Values: map[string]float64{lab.EngineGenerated: 10 * float64(second*second)}})
		if _, err := w.Tables(); err != nil { // writes what is pending
			t.Fatal(err)
		}
	}
	read := func(e event) pulse {
		var p pulse
		if err := json.Unmarshal([]byte(e.data), &p); err != nil {
			t.Fatal(err)
		}
		return p
	}
	record(1)
	address := server.URL + "/events?run=" + run.ID
	events, leave := openStream(t, address, "")
	first := next(t, events, "pulse")
	if p := read(first); p.V["ttft p50"] != 1 {
		t.Errorf("the first pulse is %s", first.data)
	}
	record(2)
	second := next(t, events, "pulse")
	if p := read(second); p.V["ttft p50"] != 2 || p.V["output"] != 30 { // 40 - 10 tokens in a second
		t.Errorf("the second pulse is %s", second.data)
	}
	leave()
	record(3)
	record(4)
	for _, reconnect := range []func() (<-chan event, context.CancelFunc){
		func() (<-chan event, context.CancelFunc) { return openStream(t, address, second.id) },
		func() (<-chan event, context.CancelFunc) { return openStream(t, address+"&after="+second.id, "") },
	} {
		events, leave := reconnect()
		for _, want := range []float64{3, 4} {
			e := next(t, events, "pulse")
			if p := read(e); p.V["ttft p50"] != want || p.V["output"] != 10*(2*want-1) { // the counter goes on from before the gap
				t.Errorf("pulse %v is %s", want, e.data)
			}
		}
		leave()
	}
	for _, nonsense := range []string{"x", "-5", "99999999999999999999"} { // from the beginning
		events, leave := openStream(t, address, nonsense)
		if e := next(t, events, "pulse"); e.id != first.id {
			t.Errorf("after %q comes %s", nonsense, e.id)
		}
		leave()
	}

	events, _ = openStream(t, address, second.id)
	run.Outcome, run.Ended = lab.Complete, 5*time.Second
	if err := w.Seal(run, lab.Summary{}); err != nil {
		t.Fatal(err)
	}
	if e := next(t, events, "ended"); e.data != "complete" {
		t.Errorf("it ended with %+v", e)
	}
}

func TestAStreamOfALongRunBeginsTwoMinutesBackAndSaysWhereThatLeavesPulsesOut(t *testing.T) {
	site, server := serve(t, Options{})
	w, run := liveRun(t, site.DB)
	const all = pulsesAtOnce + 7
	for second := range all {
		w.Sample(lab.Sample{At: time.Duration(second+1) * time.Second, Device: "client", Values: map[string]float64{lab.ClientFlight: 1}})
		if err := w.Close(); err != nil { // writes what is pending
			t.Fatal(err)
		}
	}
	for last, cut := range map[string]bool{"": true, "0": true, "5": true, "6": false, "9": false} { // the browser lacks those after its last
		events, leave := openStream(t, server.URL+"/events?run="+run.ID, last)
		if cut {
			next(t, events, "begin")
		}
		held, _ := strconv.Atoi(last)
		for want := max(all-pulsesAtOnce, held+1); want < all; want++ {
			if e := next(t, events, "pulse", "begin"); e.id != strconv.Itoa(want) {
				t.Fatalf("after %q comes %s %s, not pulse %d", last, e.kind, e.id, want)
			}
		}
		leave()
	}
}

func TestAStreamTellsOfOtherRunsAndOfWhatIsMeasured(t *testing.T) {
	site, server := serve(t, Options{})
	events, _ := openStream(t, server.URL+"/events", "")
	before := next(t, events, "list").data
	if now := next(t, events, "now").data; strings.Contains(now, "going") {
		t.Errorf("nothing is measured, and the page says %s", now)
	}
	began := time.Now()
	liveRun(t, site.DB)
	if after := next(t, events, "list").data; after == before {
		t.Error("a run began, and the stamp is the same")
	}
	t.Logf("a new run was told after %d ms", time.Since(began).Milliseconds())
	a := site.DB.Announce("lab run <b>.yaml")
	a.Say(lab.Status{Title: "A <script>", Stage: "load", Phase: "load", Want: 10, OK: 3})
	now := next(t, events, "now").data
	if !strings.Contains(now, "A &lt;script&gt;") || !strings.Contains(now, "3 of 10") || strings.Contains(now, "<script>") {
		t.Errorf("the page says %s", now)
	}
}

// A carriage return alone ends a line of a stream of events too.
func TestNothingThatAnEventCarriesIsAnotherEvent(t *testing.T) {
	site, server := serve(t, Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	a := site.DB.Announce("lab run a.yaml")
	a.Say(lab.Status{Title: "x\revent: pulse\rdata: {}\r\r\nid: 7\n\nz", Stage: "load"})
	var text string
	for piece := make([]byte, 1<<16); !strings.Contains(text, "</article>"); {
		n, err := response.Body.Read(piece)
		if text += string(piece[:n]); err != nil {
			t.Fatalf("%v after %q", err, text)
		}
	}
	for line := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == '\r' || r == '\n' }) {
		name, value, _ := strings.Cut(line, ":")
		if name != "data" && name != "retry" && line != "event: list" && line != "event: now" {
			t.Errorf("the stream says %q: %q", name, value)
		}
	}
	if !strings.Contains(text, "x event: pulse") {
		t.Errorf("the name is not told: %q", text)
	}
}

func TestTheEndOfLabUIEndsItsStreams(t *testing.T) {
	site, server := serve(t, Options{})
	events, _ := openStream(t, server.URL+"/events", "")
	next(t, events, "now")
	done := make(chan bool)
	go func() {
		site.Stop()
		close(done)
	}()
	limit := time.After(10 * time.Second)
	for open := true; open; {
		select {
		case _, open = <-events:
		case <-limit:
			t.Fatal("the stream goes on")
		}
	}
	<-done
	if response, _ := answer(t, server.Client(), server.URL+"/events", nil); response.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("after the end a stream is answered with %s", strconv.Itoa(response.StatusCode))
	}
}

// BenchmarkLook is what a page that is open costs every 250 ms while one lab measures.
func BenchmarkLook(b *testing.B) {
	db, err := store.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	db.Announce("lab run a.yaml").Say(lab.Status{Stage: "load", Latencies: make([]lab.Latency, 3)})
	for len(db.Announced()) == 0 {
		time.Sleep(time.Millisecond)
	}
	h := newHub(db, &catalog{db: db})
	for b.Loop() {
		h.look()
	}
}
