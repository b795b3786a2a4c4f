package sim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"
)

// answer is one request on its way out.
type answer struct {
	s       *server
	q       request
	chat    bool
	id      string
	hash    uint64 // of the prompt
	prompt  int
	cached  int
	finish  string
	arrived time.Time
	cutAt   int // close the stream after so many tokens; 0: no
	failAt  int // send an error after so many tokens
}

// afflict draws which of the told faults this request gets.
func (a *answer) afflict(want *int) {
	f := a.s.c.faults
	hit := func(share float64) bool { return share > 0 && rand.Float64() < share }
	middle := max(1, *want/2)
	switch {
	case hit(f.cutStreams):
		a.cutAt = middle
	case hit(f.streamErrors):
		a.failAt = middle
	case hit(f.short):
		*want, a.finish = middle, "stop"
	}
}

// fail answers with an error: vLLM reports what it finds late inside a stream of status 200.
func (a *answer) fail(w http.ResponseWriter, status int, kind, message string) {
	if !a.q.Stream {
		a.s.problem(w, status, kind, message, nil)
		return
	}
	a.open(w)
	a.send(w, a.s.errorBody(status, kind, message, nil))
	a.done(w)
}

func (a *answer) open(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.WriteHeader(200)
}

func (a *answer) send(w http.ResponseWriter, frame any) {
	text, err := json.Marshal(frame)
	if err != nil {
		return
	}
	fmt.Fprintf(w, "data: %s\n\n", text)
	w.(http.Flusher).Flush()
}

func (a *answer) done(w http.ResponseWriter) {
	fmt.Fprint(w, "data: [DONE]\n\n")
	w.(http.Flusher).Flush()
}

// stream writes a frame for every token as it comes, each with a write of its own.
func (a *answer) stream(w http.ResponseWriter, r *http.Request, tokens <-chan token, want int) {
	a.open(w)
	var last time.Time
	for sent := 0; sent < want; {
		var t token
		select {
		case t = <-tokens:
		case <-r.Context().Done():
			return
		case <-a.s.loop.dead:
			a.send(w, a.s.errorBody(500, "InternalServerError", engineDied, nil))
			a.done(w)
			return
		case <-a.s.abort:
			a.finish = "abort"
			a.send(w, a.frame("", sent, a.finish))
			a.end(w, sent)
			return
		}
		a.cached = t.cached
		if t.made < want && a.s.c.faults.merge > 0 && rand.Float64() < a.s.c.faults.merge {
			continue // it goes out with the next one
		}
		if sent == 0 && a.chat {
			a.send(w, a.opening())
		}
		finish := ""
		if t.made == want {
			finish = a.finish
		}
		a.s.truth.write(a.hash, t.made, a.s.clock.Now())
		a.send(w, a.frame(letters(t.made-sent), t.made, finish))
		a.s.latency.token(a.arrived, last, time.Now())
		last, sent = time.Now(), t.made
		if a.failAt > 0 && sent >= a.failAt {
			a.send(w, a.s.errorBody(500, "InternalServerError", "told to fail", nil))
			a.done(w)
			return
		}
		if a.cutAt > 0 && sent >= a.cutAt {
			panic(http.ErrAbortHandler) // the connection breaks off
		}
	}
	a.s.latency.request(a.arrived, time.Now())
	a.end(w, want)
}

func letters(n int) string { return string(bytes.Repeat([]byte("a"), n)) }

// end writes what follows the last token: the usage, where it was asked for, and the mark.
func (a *answer) end(w http.ResponseWriter, made int) {
	if a.q.Options.Usage {
		f := a.base()
		f["choices"] = []any{}
		f["usage"] = a.usage(made)
		a.send(w, f)
	}
	a.done(w)
}

func (a *answer) base() map[string]any {
	object := "text_completion"
	if a.chat {
		object = "chat.completion.chunk"
	}
	return map[string]any{"id": a.id, "object": object, "created": a.arrived.Unix(), "model": a.q.Model}
}

func (a *answer) usage(made int) map[string]any {
	u := map[string]any{"prompt_tokens": a.prompt, "total_tokens": a.prompt + made, "completion_tokens": made}
	if a.cached > 0 {
		u["prompt_tokens_details"] = map[string]int{"cached_tokens": a.cached}
	}
	return u
}

// opening is the first frame of a chat: it opens the message and carries no text.
func (a *answer) opening() map[string]any {
	f := a.base()
	f["choices"] = []any{map[string]any{"index": 0, "delta": map[string]string{"role": "assistant", "content": ""}, "logprobs": nil, "finish_reason": nil}}
	a.countInto(f, 0)
	return f
}

func (a *answer) frame(text string, made int, finish string) map[string]any {
	f := a.base()
	choice := map[string]any{"index": 0, "logprobs": nil, "finish_reason": nil, "stop_reason": nil}
	if finish != "" {
		choice["finish_reason"] = finish
		f["system_fingerprint"] = "vllm-" + a.s.t.version + "-sim"
	}
	if a.chat {
		choice["delta"] = map[string]string{"content": text}
	} else {
		choice["text"] = text
	}
	f["choices"] = []any{choice}
	a.countInto(f, made)
	return f
}

// countInto adds the running count where it was asked for.
func (a *answer) countInto(f map[string]any, made int) {
	if a.q.Options.Usage && a.q.Options.Continuous {
		f["usage"] = a.usage(made)
	} else if a.s.t.nullUsage {
		f["usage"] = nil
	}
}

// whole waits for all tokens and answers once.
func (a *answer) whole(w http.ResponseWriter, r *http.Request, tokens <-chan token, want int) {
	for made := 0; made < want; {
		select {
		case t := <-tokens:
			made, a.cached = t.made, t.cached
		case <-r.Context().Done():
			return
		case <-a.s.loop.dead:
			a.s.problem(w, 500, "InternalServerError", engineDied, nil)
			return
		case <-a.s.abort:
			a.s.problem(w, 500, "InternalServerError", "the server is shutting down", nil)
			return
		}
	}
	f := a.base()
	choice := map[string]any{"index": 0, "logprobs": nil, "finish_reason": a.finish, "stop_reason": nil}
	if a.chat {
		f["object"] = "chat.completion"
		choice["message"] = map[string]string{"role": "assistant", "content": letters(want)}
	} else {
		choice["text"] = letters(want)
	}
	f["choices"] = []any{choice}
	f["usage"] = a.usage(want)
	writeJSON(w, 200, f)
}
