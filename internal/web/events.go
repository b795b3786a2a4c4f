package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"lab/internal/lab"
)

// A stream of events is text/event-stream with these kinds:
//
//	now    HTML: what every lab process that measures into the store does right now; at once, and whenever it changes
//	list   the stamp of the store: other runs are there than before
//	pulse  JSON: what the followed run recorded in about a second, with the number of its batch as the event's id
//	begin  pulses after the last one that the browser has are left out: its curves end there, and begin anew with the next
//	ended  the followed run goes on no more
//	gpus   HTML: what the GPUs do, once a second, where ?gpus asks for it
//
// now and list are states: who was away gets the newest. A stream that begins again with Last-Event-ID (or ?after=, where a
// page begins a new one) gets every pulse after that one, from the run's own file: they outlive lab ui. Of more than the
// last two minutes it gets those: to begin in the second hour of a run costs the box no more than in its first minutes.
const (
	pulsesAtOnce = 120              // one for each flush of the run, about a second
	heartbeat    = 15 * time.Second // a comment, so that a dead connection is noticed on both sides
	sendLimit    = 10 * time.Second // for a browser that does not read
	retryMS      = 1000             // after which the browser connects again
)

func (s *Site) events(w http.ResponseWriter, r *http.Request) {
	end, ok := s.hub.watch()
	if !ok {
		http.Error(w, "lab ui is ending.", http.StatusServiceUnavailable)
		return
	}
	defer end()
	id := r.URL.Query().Get("run")
	stream := &stream{w: w, control: http.NewResponseController(w)}
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return
	}
	stream.send(fmt.Sprintf("retry: %d\n\n", retryMS))
	var f *follower
	if id != "" {
		f = &follower{site: s, id: id, next: after(r)}
	}
	gpus := r.URL.Query().Has("gpus")
	if gpus {
		defer s.gpus.look()()
	}
	s.pour(r, stream, f, gpus)
}

// pour sends what changes until the browser goes away or lab ui ends.
func (s *Site) pour(r *http.Request, out *stream, f *follower, gpus bool) {
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	poll := time.NewTicker(lookEvery)
	defer poll.Stop()
	if f == nil && !gpus {
		poll.Stop()
	}
	var sent sight
	var html, board string
	var boardAt time.Time
	for first := true; out.err == nil && !s.hub.ended(); first = false {
		seen, changed := s.hub.sight()
		if first || seen.stamp != sent.stamp {
			out.event("list", "", seen.stamp)
		}
		if now := s.nowHTML(seen.announced); first || now != html {
			out.event("now", "", now)
			html = now
		}
		sent = seen
		if gpus && time.Since(boardAt) > time.Second-lookEvery {
			if now := s.gpusHTML(); now != board {
				out.event("gpus", "", now)
				board, boardAt = now, time.Now()
			}
		}
		if f != nil && !f.ended {
			f.send(out)
		}
		select {
		case <-r.Context().Done():
			return
		case <-changed:
		case <-poll.C:
		case <-beat.C:
			out.send(": still here\n\n")
		}
	}
}

// after is the batch from which a stream goes on: the one after the last that the browser has.
func after(r *http.Request) int {
	last := r.Header.Get("Last-Event-ID")
	if last == "" {
		last = r.URL.Query().Get("after")
	}
	n, err := strconv.Atoi(last)
	if err != nil || n < 0 {
		return 0
	}
	return n + 1
}

// stream writes events to one browser; after an error it writes no more.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	err     error
}

func (s *stream) event(kind, id, data string) {
	var b strings.Builder
	if id != "" {
		fmt.Fprintf(&b, "id: %s\n", id)
	}
	fmt.Fprintf(&b, "event: %s\n", kind)
	data = strings.ReplaceAll(data, "\r", " ") // here it would end a line, and what a run is called would be an event of its own
	for line := range strings.SplitSeq(data, "\n") {
		fmt.Fprintf(&b, "data: %s\n", line)
	}
	b.WriteByte('\n')
	s.send(b.String())
}

func (s *stream) send(text string) {
	if s.err != nil {
		return
	}
	_ = s.control.SetWriteDeadline(time.Now().Add(sendLimit)) // without it a dead browser is noticed later
	if _, s.err = s.w.Write([]byte(text)); s.err == nil {
		s.err = s.control.Flush()
	}
}

// follower sends what one run records.
type follower struct {
	site  *Site
	id    string
	next  int    // the first batch that the browser does not have
	stamp string // of the run's file when it was read
	rates rates
	ended bool
}

func (f *follower) send(out *stream) {
	stamp := f.site.DB.RunStamp(f.id)
	if stamp == f.stamp && stamp != "" {
		return
	}
	from := f.next
	if f.rates == nil { // counters need the reading before
		f.rates = rates{}
		from = max(0, from-1)
	}
	fresh, err := f.site.DB.Since(f.id, from, pulsesAtOnce)
	if err != nil {
		if stamp == "" { // it is not there, or was removed
			f.end(out, "")
		}
		return // another process is at it: the next look tries again
	}
	f.stamp = stamp
	if fresh.From > f.next {
		out.event("begin", "", "")
	}
	for _, b := range fresh.Batches {
		p, ok := f.rates.pulse(b.Tables)
		if b.Number < f.next {
			continue
		}
		if f.next = b.Number + 1; !ok {
			continue
		}
		text, err := json.Marshal(p)
		if err != nil {
			continue // it has finite numbers only
		}
		out.event("pulse", strconv.Itoa(b.Number), string(text))
	}
	if o := fresh.Run.Run.Outcome; o != lab.Live {
		f.end(out, string(o))
	}
}

func (f *follower) end(out *stream, outcome string) {
	f.ended = true
	out.event("ended", "", outcome)
}
