package loadgen

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
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
	Output int    // tokens wanted
	Fixed  bool   // exactly Output: the server was told to ignore its end mark
}

// Prompts gives the prompts of a load one by one; the same index always gives the same.
type Prompts interface {
	At(i int) lab.Prompt
	Distinct() int // how many there are before they come again; 0: they never do
}

// Check finds what is wrong with the request body of a load, without sending anything: Run would find it too, but only
// once a server is up.
func Check(l lab.Load) error {
	_, err := newBodies("", l)
	return err
}

// bodies builds the requests of a load. What all of them share is encoded once.
type bodies struct {
	path   string
	prefix []byte // an object without its closing brace
	chat   bool
	fixed  bool
}

// newBodies encodes the shared part. All its own fields are older than vLLM 0.6.0, the oldest version of interest: those up
// to 0.6.4 refuse a request with a field they do not know.
func newBodies(model string, l lab.Load) (bodies, error) {
	for _, name := range slices.Sorted(maps.Keys(l.Body)) {
		if slices.Contains(lab.OwnBodyFields, name) {
			return bodies{}, fmt.Errorf("build request: the field %q is set by lab and cannot be given in body", name)
		}
	}
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
	if l.ServerSampling {
		delete(fields, "temperature")
	}
	maps.Copy(fields, l.Body)
	text, err := json.Marshal(fields)
	if err != nil {
		return bodies{}, fmt.Errorf("build request: %w", err)
	}
	b := bodies{path: "/v1/completions", prefix: text[:len(text)-1], chat: l.API == "chat", fixed: fields["ignore_eos"] == true}
	if b.chat {
		b.path = "/v1/chat/completions"
	}
	if l.Endpoint != "" {
		b.path = l.Endpoint
	}
	return b, nil
}

func (b bodies) request(seq int, p lab.Prompt) Request {
	const perID = 7 // an id of six digits and its comma
	text := make([]byte, 0, len(b.prefix)+len(p.Text)+len(p.Messages)+perID*len(p.IDs)+128)
	text = append(text, b.prefix...)
	switch {
	case p.Messages != nil:
		text = append(append(text, `,"messages":`...), p.Messages...)
	case b.chat:
		text = append(append(append(text, `,"messages":[{"role":"user","content":`...), quote(p.Text)...), "}]"...)
	case p.IDs != nil:
		text = append(text, `,"prompt":[`...)
		for i, id := range p.IDs {
			if i > 0 {
				text = append(text, ',')
			}
			text = strconv.AppendInt(text, int64(id), 10)
		}
		text = append(text, ']')
	default:
		text = append(append(text, `,"prompt":`...), quote(p.Text)...)
	}
	text = append(text, `,"max_tokens":`...)
	text = strconv.AppendInt(text, int64(p.Output), 10)
	if b.fixed {
		text = append(text, `,"min_tokens":`...)
		text = strconv.AppendInt(text, int64(p.Output), 10)
	}
	text = append(text, '}')
	return Request{Seq: seq, Path: b.path, Body: text, Prompt: p.Hash, Input: max(p.Input, len(p.IDs)), Output: p.Output, Fixed: b.fixed}
}

func quote(text string) []byte {
	quoted, err := json.Marshal(text)
	if err != nil {
		panic("quote prompt: " + err.Error()) // a string always has a JSON form
	}
	return quoted
}
