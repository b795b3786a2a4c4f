package sim

import (
	"net/http"
	"strconv"
	"time"
)

const engineDied = "EngineCore encountered an issue. See stack trace (above) for the root cause."

// answer is one request on its way out.
type answer struct {
	s       *server
	job     job
	id      string
	created time.Time
	box     *outbox
	rows    []*row
	frames  *frames
	cutAt   int // close the stream after so many tokens; 0: no
	failAt  int // send an error after so many tokens
	told    int // tokens that went out
	cached  int // prompt tokens that the prefix cache had
}

// row is one text of the answer.
type row struct {
	seq  *sequence
	hash uint64 // of its prompt
	text byte   // of each of its tokens
	made int    // tokens that came from the engine
	sent int    // tokens that went out
}

func (s *server) generate(w http.ResponseWriter, r *http.Request, chat bool) {
	s.open.Add(1)
	defer s.open.Add(-1)
	j, refusal := s.understand(r, chat)
	if refusal != nil {
		s.fail(w, *refusal)
		return
	}
	if n := s.requests.Add(1); n == int64(s.c.faults.crashAt) {
		s.loop.crash()
	}
	died := problem{500, "InternalServerError", engineDied, nil}
	if s.loop.crashed() {
		s.fail(w, died)
		return
	}
	a := &answer{s: s, job: j, id: s.requestID(r, chat), created: time.Now(), box: newOutbox()}
	if s.c.switched("enable-force-include-usage", false) {
		a.job.Options.Usage, a.job.Options.Continuous = true, true
	}
	if id, found := s.foreign(j.prompts); found {
		a.late(w, problem{400, "BadRequestError", "Token id " + strconv.Itoa(int(id)) + " is out of vocabulary", nil})
		return
	}
	rows := a.fill()
	s.loop.submit(rows)
	s.loop.lock(func() { s.loop.stats.request(j.n, j.want) })
	defer s.loop.drop(rows)
	if j.Stream {
		a.stream(w, r)
	} else {
		a.whole(w, r)
	}
}

// fill makes a row for every text that is asked for, and draws which of the told faults the request gets.
func (a *answer) fill() []*sequence {
	var all []*sequence
	f, middle := a.s.c.faults, max(1, a.job.want/2)
	hit := func(share float64) bool { return share > 0 && a.s.draw() < share }
	short := false
	switch {
	case hit(f.cutStreams):
		a.cutAt = middle
	case hit(f.streamErrors):
		a.failAt = middle
	case hit(f.short):
		short = true
	}
	for _, prompt := range a.job.prompts {
		hash := hashIDs(prompt)
		for range a.job.n {
			seq := &sequence{prompt: prompt, want: a.job.want, finish: "length", box: a.box, row: len(all)}
			switch {
			case short:
				seq.want, seq.finish = middle, "stop"
			case !a.job.IgnoreEOS:
				seq.want, seq.finish = a.s.endOfText(a.job.MinTokens, a.job.want)
			}
			all = append(all, seq)
			a.rows = append(a.rows, &row{seq: seq, hash: hash, text: a.s.text(hash)})
		}
	}
	return all
}

// text is what the tokens of an answer to a prompt are.
func (s *server) text(prompt uint64) byte {
	f := s.c.faults
	switch {
	case float64(prompt%1000) < 1000*f.answers, f.answersVary > 0 && s.draw() < f.answersVary:
		return otherText
	}
	return generatedText
}

// endOfText draws where a model would stop of itself.
func (s *server) endOfText(atLeast, want int) (int, string) {
	const chance = 1.0 / 200
	for n := max(1, atLeast); n < want; n++ {
		if s.draw() < chance {
			return n, "stop"
		}
	}
	return want, "length"
}

// late answers with an error that is found after a stream has begun: inside it, under status 200.
func (a *answer) late(w http.ResponseWriter, p problem) {
	if !a.job.Stream {
		a.s.fail(w, p)
		return
	}
	a.open(w)
	a.sendProblem(w, p)
}

func (a *answer) open(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.WriteHeader(200)
}

// send writes one frame, alone: each goes out as it is made.
func (a *answer) send(w http.ResponseWriter, frame []byte) {
	if _, err := w.Write(frame); err != nil {
		return // the client left; its context says so
	}
	if err := http.NewResponseController(w).Flush(); err != nil {
		return
	}
}

func (a *answer) done(w http.ResponseWriter) { a.send(w, []byte("data: [DONE]\n\n")) }

// sendProblem ends a stream with an error. vLLM writes these frames with Python's blanks, and [DONE] after them.
func (a *answer) sendProblem(w http.ResponseWriter, p problem) {
	fields := `"message": ` + strconv.Quote(p.message) + `, "type": ` + strconv.Quote(p.kind) + `, "param": null, "code": ` + strconv.Itoa(p.status)
	if a.s.t.flatErrors {
		a.send(w, []byte(`data: {"object": "error", `+fields+"}\n\n"))
	} else {
		a.send(w, []byte(`data: {"error": {`+fields+"}}\n\n"))
	}
	a.done(w)
}

// stream writes frames as tokens come.
func (a *answer) stream(w http.ResponseWriter, r *http.Request) {
	var err error
	if a.frames, err = newFrames(a.s, a.job, a.id, a.created.Unix()); err != nil {
		a.s.fail(w, problem{500, "InternalServerError", err.Error(), nil})
		return
	}
	a.open(w)
	for left := len(a.rows); left > 0; {
		select {
		case <-a.box.ready:
		case <-r.Context().Done():
			return
		case <-a.s.loop.dead:
			a.sendProblem(w, problem{500, "InternalServerError", engineDied, nil})
			return
		case <-a.s.abort:
			a.aborted(w)
			return
		}
		for _, t := range a.box.take() {
			r := a.count(t)
			if !a.due(r) {
				continue
			}
			if r.made == r.seq.want {
				left--
			}
			if a.tell(w, r, left == 0); a.broke(w) {
				return
			}
		}
	}
	a.end(w)
}

// count enters one token and returns its row.
func (a *answer) count(t token) *row {
	r := a.rows[t.row]
	r.made++
	if r.made == 1 && t.row%a.job.n == 0 {
		a.cached += t.cached
	}
	return r
}

// details is how many prompt tokens the cache had, where the server was told to say so.
func (a *answer) details() object {
	if !a.s.c.switched("enable-prompt-tokens-details", false) {
		return nil
	}
	return object{"cached_tokens", a.cached}
}

// due says whether a row's tokens go out now or with the next one.
func (a *answer) due(r *row) bool {
	switch {
	case r.made == r.seq.want:
		return true
	case a.s.c.faults.merge > 0 && a.s.draw() < a.s.c.faults.merge:
		return false
	}
	every := a.s.c.every
	if a.job.Interval > 0 && a.s.t.minor >= 27 {
		every = a.job.Interval
	}
	return r.sent == 0 || r.made-r.sent >= every
}

// tell writes what has come for a row and has not gone out.
func (a *answer) tell(w http.ResponseWriter, r *row, last bool) {
	if a.told == 0 && a.job.chat {
		for _, each := range a.rows {
			a.send(w, a.frames.opening(each.seq.row, each.seq.prompt))
		}
	}
	p := part{row: r.seq.row, prompt: r.seq.prompt, text: r.text, first: r.sent == 0, tokens: r.made - r.sent, made: r.made, last: last && !a.job.Options.Usage}
	if r.made == r.seq.want {
		p.finish = r.seq.finish
	}
	r.sent, a.told = r.made, a.told+p.tokens
	stamp := a.s.truth.now()
	a.send(w, a.frames.part(p))
	a.s.truth.write(a.id, r.hash, p.row, r.made, p.tokens, stamp)
}

// broke plays the faults that end a stream in its middle.
func (a *answer) broke(w http.ResponseWriter) bool {
	if a.cutAt > 0 && a.told >= a.cutAt {
		panic(http.ErrAbortHandler) // the connection breaks off
	}
	if a.failAt > 0 && a.told >= a.failAt {
		a.sendProblem(w, problem{500, "InternalServerError", "told to fail", nil})
		return true
	}
	return false
}

// aborted ends a stream that the server's stop cut short, in one of the two ways that were seen: by a last frame that
// says so, or by the error of a dead engine. An odd seed takes the second.
func (a *answer) aborted(w http.ResponseWriter) {
	if a.s.c.physics.Seed%2 == 1 {
		a.sendProblem(w, problem{500, "InternalServerError", engineDied, nil})
		return
	}
	for i, r := range a.rows {
		if r.sent < r.seq.want {
			last := i == len(a.rows)-1 && !a.job.Options.Usage
			a.send(w, a.frames.part(part{row: i, prompt: r.seq.prompt, first: r.sent == 0, made: r.sent, finish: "abort", last: last}))
		}
	}
	a.end(w)
}

// end writes what follows the last token: the usage, where it was asked for, and the mark.
func (a *answer) end(w http.ResponseWriter) {
	if a.job.Options.Usage {
		prompt, made := a.counts()
		a.send(w, a.frames.total(prompt, made, a.details()))
	}
	a.done(w)
}

// counts are the tokens of all prompts, and those that were made for them.
func (a *answer) counts() (prompt, made int) {
	for _, ids := range a.job.prompts {
		prompt += len(ids)
	}
	for _, r := range a.rows {
		made += r.made
	}
	return prompt, made
}
