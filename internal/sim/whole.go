package sim

import (
	"net/http"
	"strings"
)

// whole waits for all tokens and answers once.
func (a *answer) whole(w http.ResponseWriter, r *http.Request) {
	for left := len(a.rows); left > 0; {
		select {
		case <-a.box.ready:
		case <-r.Context().Done():
			return
		case <-a.s.loop.dead:
			a.s.fail(w, problem{500, "InternalServerError", engineDied, nil})
			return
		case <-a.s.abort:
			a.s.fail(w, problem{500, "InternalServerError", engineDied, nil})
			return
		}
		for _, t := range a.box.take() {
			if r := a.count(t); r.made == r.seq.want {
				left--
			}
		}
	}
	a.writeWhole(w)
}

func (a *answer) writeWhole(w http.ResponseWriter) {
	choices := []any{}
	for i, r := range a.rows {
		choices = append(choices, a.choice(i, r))
	}
	kind := "text_completion"
	if a.job.chat {
		kind = "chat.completion"
	}
	var fingerprint any
	if a.s.t.minor >= 18 {
		fingerprint = a.s.fingerprint()
	}
	body := object{"id", a.id, "object", kind, "created", a.created.Unix(), "model", a.job.Model, "choices", choices}
	if a.s.t.minor >= 10 {
		body = append(body, "service_tier", nil, "system_fingerprint", fingerprint)
	}
	body = append(body, "usage", a.usage())
	switch {
	case a.s.t.minor >= 18 && a.job.chat:
		body = append(body, "prompt_logprobs", nil, "prompt_token_ids", nil, "prompt_text", nil, "kv_transfer_params", nil, "ec_transfer_params", nil, "metrics", nil)
	case a.s.t.minor >= 18:
		body = append(body, "kv_transfer_params", nil, "ec_transfer_params", nil, "metrics", nil)
	case a.s.t.minor >= 10 && a.job.chat:
		body = append(body, "prompt_logprobs", nil, "prompt_token_ids", nil, "kv_transfer_params", nil)
	case a.s.t.minor >= 10:
		body = append(body, "kv_transfer_params", nil)
	case a.job.chat:
		body = append(body, "prompt_logprobs", nil)
	}
	writeJSON(w, 200, body)
}

// choice is one text of a whole answer.
func (a *answer) choice(i int, r *row) object {
	text := strings.Repeat(string(rune(r.text)), r.made)
	var ids any
	if a.job.TokenIDs && a.s.t.minor >= 10 {
		all := make([]int32, r.made)
		for k := range all {
			all[k] = generatedID
		}
		ids = all
	}
	c := object{"index", i}
	if a.job.chat {
		c = append(c, "message", a.message(text))
	} else {
		c = append(c, "text", text)
	}
	c = append(c, "logprobs", nil, "finish_reason", r.seq.finish, "stop_reason", nil)
	switch {
	case a.s.t.minor >= 10 && a.job.chat:
		c = append(c, "token_ids", ids)
	case a.s.t.minor >= 10:
		c = append(c, "token_ids", ids, "prompt_logprobs", nil, "prompt_token_ids", nil)
	case !a.job.chat:
		c = append(c, "prompt_logprobs", nil)
	}
	if a.s.t.minor >= 18 {
		c = append(c, "routed_experts", nil)
	}
	return c
}

func (a *answer) message(text string) object {
	m := object{"role", "assistant", "content", text}
	if a.s.t.minor >= 10 {
		m = append(m, "refusal", nil, "annotations", nil, "audio", nil, "function_call", nil, "reasoning", nil)
	}
	return m
}

func (a *answer) usage() object {
	prompt, made := a.counts()
	var details any
	if d := a.details(); d != nil {
		details = d
	}
	u := object{"prompt_tokens", prompt, "total_tokens", prompt + made, "completion_tokens", made, "prompt_tokens_details", details}
	if a.s.t.minor >= 18 {
		u = append(u, "completion_tokens_details", nil)
	}
	return u
}
