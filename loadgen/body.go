package loadgen

import (
	"encoding/json"
	"fmt"
	"strconv"

	"lab/internal/lab"
)

// Request is one request, ready to be sent.
type Request struct {
	Seq    int
	Path   string
	Body   []byte
	Prompt uint64 // hash
	Input  int    // tokens sent; 0 = unknown
	Output int    // tokens wanted, exactly: ignore_eos is set
}

// bodies builds the requests of a load. What all of them share is encoded once.
type bodies struct {
	path   string
	prefix []byte // an object without its closing brace
	chat   bool
}

func newBodies(model string, l lab.Load) (bodies, error) {
	fields := map[string]any{
		"model":       model,
		"temperature": 0.0,
		"stream":      true,
		"ignore_eos":  true, // the same work in both arms, whatever the sampling says
		// The running count on every event is the only exact way to know how many tokens an event brought.
		"stream_options": map[string]bool{"include_usage": true, "continuous_usage_stats": true},
	}
	if l.Temperature != nil {
		fields["temperature"] = *l.Temperature
	}
	for name, value := range l.Body {
		fields[name] = value
	}
	text, err := json.Marshal(fields)
	if err != nil {
		return bodies{}, fmt.Errorf("encode request: %w", err)
	}
	b := bodies{path: "/v1/completions", prefix: text[:len(text)-1], chat: l.API == "chat"}
	if b.chat {
		b.path = "/v1/chat/completions"
	}
	return b, nil
}

func (b bodies) request(seq int, p Prompt) (Request, error) {
	text := append([]byte(nil), b.prefix...)
	switch {
	case b.chat && p.Messages != nil:
		text = append(append(text, `,"messages":`...), p.Messages...)
	case b.chat && p.Text != "":
		quoted, err := json.Marshal(p.Text)
		if err != nil {
			return Request{}, fmt.Errorf("encode prompt: %w", err)
		}
		text = append(append(append(text, `,"messages":[{"role":"user","content":`...), quoted...), "}]"...)
	case !b.chat && p.IDs != nil:
		text = append(text, `,"prompt":[`...)
		for i, id := range p.IDs {
			if i > 0 {
				text = append(text, ',')
			}
			text = strconv.AppendInt(text, int64(id), 10)
		}
		text = append(text, ']')
	case !b.chat && p.Text != "":
		quoted, err := json.Marshal(p.Text)
		if err != nil {
			return Request{}, fmt.Errorf("encode prompt: %w", err)
		}
		text = append(append(text, `,"prompt":`...), quoted...)
	default:
		return Request{}, fmt.Errorf("prompt %d does not fit the endpoint %s: text fits both, token ids only completions, messages only chat", seq, b.path)
	}
	text = append(text, `,"max_tokens":`...)
	text = strconv.AppendInt(text, int64(p.Output), 10)
	text = append(text, `,"min_tokens":`...)
	text = strconv.AppendInt(text, int64(p.Output), 10)
	text = append(text, '}')
	return Request{Seq: seq, Path: b.path, Body: text, Prompt: p.Hash, Input: len(p.IDs), Output: p.Output}, nil
}
