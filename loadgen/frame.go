package loadgen

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
)

// frame is what the load needs to know of one event of vLLM's stream. It is read by walking the JSON once, without
// building anything: this happens for every token of every stream.
type frame struct {
	done    bool // the [DONE] mark
	choices int
	text    bool   // some choice carries text (content, reasoning, tool call)
	content []byte // text or content of the first choice, escapes as they stand
	thought []byte // its reasoning
	role    bool   // a chat frame that opens the message
	finish  string // finish_reason of the last choice that has one
	usage   bool
	input   int
	output  int
	cached  int
	failed  bool // an error in place of output
	message []byte
}

var errFrame = errors.New("the event is not the JSON of a completion")

func parseFrame(data []byte) (frame, error) {
	var f frame
	if string(data) == "[DONE]" {
		f.done = true
		return f, nil
	}
	w := walker{data: data}
	flat := false // the error shape of vLLM up to 0.10.0: {"object":"error","message":…}
	err := w.object(func(key []byte) error {
		switch string(key) {
		case "choices":
			if w.null() {
				return nil
			}
			return w.array(func() error { f.choices++; return w.choice(&f) })
		case "usage":
			return w.tokens(&f)
		case "error":
			start := w.skipSpace()
			if err := w.skip(); err != nil {
				return err
			}
			if value := w.data[start:w.pos]; string(value) != "null" {
				f.failed, f.message = true, value
			}
			return nil
		case "object":
			value, err := w.text()
			flat = string(value) == "error"
			return err
		}
		return w.skip()
	})
	if err != nil {
		return f, err
	}
	if w.skipSpace() != len(data) {
		return f, errFrame
	}
	if flat {
		f.failed, f.message = true, data
	}
	return f, nil
}

// choice reads one element of choices: completions carry text, chat carries delta.
func (w *walker) choice(f *frame) error {
	return w.object(func(key []byte) error {
		switch string(key) {
		case "text":
			return w.words(f, &f.content)
		case "delta":
			return w.delta(f)
		case "finish_reason":
			value, err := w.text()
			if err == nil && value != nil {
				f.finish = reason(value)
			}
			return err
		}
		return w.skip()
	})
}

// reason avoids an allocation for the reasons that vLLM gives.
func reason(value []byte) string {
	for _, known := range []string{"length", "stop", "abort", "tool_calls", "error"} {
		if string(value) == known {
			return known
		}
	}
	return string(value)
}

func (w *walker) delta(f *frame) error {
	if w.peek() != '{' {
		return w.skip()
	}
	return w.object(func(key []byte) error {
		switch string(key) {
		case "role":
			return w.nonEmpty(&f.role)
		case "content":
			return w.words(f, &f.content)
		case "reasoning", "reasoning_content": // of some versions both, with the same text
			return w.words(f, &f.thought)
		case "tool_calls":
			return w.nonEmpty(&f.text)
		}
		return w.skip()
	})
}

// words reads what a choice says or thinks. Of several choices the first one's text is kept.
func (w *walker) words(f *frame, kept *[]byte) error {
	if w.peek() != '"' {
		return w.nonEmpty(&f.text)
	}
	value, err := w.str()
	f.text = f.text || len(value) > 0
	if f.choices == 1 {
		*kept = value
	}
	return err
}

func (w *walker) tokens(f *frame) error {
	if w.null() {
		return nil
	}
	f.usage = true
	return w.object(func(key []byte) error {
		switch string(key) {
		case "prompt_tokens":
			return w.int(&f.input)
		case "completion_tokens":
			return w.int(&f.output)
		case "prompt_tokens_details":
			if w.peek() != '{' {
				return w.skip()
			}
			return w.object(func(key []byte) error {
				if string(key) == "cached_tokens" {
					return w.int(&f.cached)
				}
				return w.skip()
			})
		}
		return w.skip()
	})
}

// walker steps through one JSON document. It accepts every valid document and refuses what it cannot step through; it
// does not check what it skips.
type walker struct {
	data  []byte
	pos   int
	depth int // of what is being skipped
}

// maxDepth is encoding/json's bound: it keeps a hostile answer from filling the stack.
const maxDepth = 10_000

func (w *walker) skipSpace() int {
	for w.pos < len(w.data) {
		switch w.data[w.pos] {
		case ' ', '\t', '\n', '\r':
			w.pos++
		default:
			return w.pos
		}
	}
	return w.pos
}

func (w *walker) peek() byte {
	w.skipSpace()
	if w.pos == len(w.data) {
		return 0
	}
	return w.data[w.pos]
}

func (w *walker) expect(c byte) error {
	if w.peek() != c {
		return errFrame
	}
	w.pos++
	return nil
}

// null steps over a null where one stands.
func (w *walker) null() bool {
	w.skipSpace()
	if bytes.HasPrefix(w.data[w.pos:], []byte("null")) {
		w.pos += 4
		return true
	}
	return false
}

// object calls f at the value of every key; f steps over the value.
func (w *walker) object(f func(key []byte) error) error {
	if err := w.expect('{'); err != nil {
		return err
	}
	for first := true; ; first = false {
		if w.peek() == '}' {
			w.pos++
			return nil
		}
		if !first {
			if err := w.expect(','); err != nil {
				return err
			}
			w.skipSpace()
		}
		if w.peek() != '"' {
			return errFrame
		}
		key, err := w.str()
		if err != nil {
			return err
		}
		if err := w.expect(':'); err != nil {
			return err
		}
		if err := f(key); err != nil {
			return err
		}
	}
}

// array calls f at every element; f steps over it.
func (w *walker) array(f func() error) error {
	if err := w.expect('['); err != nil {
		return err
	}
	for first := true; ; first = false {
		if w.peek() == ']' {
			w.pos++
			return nil
		}
		if !first {
			if err := w.expect(','); err != nil {
				return err
			}
		}
		if err := f(); err != nil {
			return err
		}
	}
}

// text gives a string; a value of any other kind is stepped over and gives nil.
func (w *walker) text() ([]byte, error) {
	if w.peek() != '"' {
		return nil, w.skip()
	}
	return w.str()
}

// str steps over a string and gives what is between its quotes, escapes as they stand.
func (w *walker) str() ([]byte, error) {
	if err := w.expect('"'); err != nil {
		return nil, err
	}
	start := w.pos
	for {
		rest := w.data[w.pos:]
		quote := bytes.IndexByte(rest, '"')
		if quote < 0 {
			return nil, errFrame
		}
		escape := bytes.IndexByte(rest[:quote], '\\')
		if escape < 0 {
			w.pos += quote + 1
			return w.data[start : w.pos-1], nil
		}
		w.pos += escape + 2
	}
}

// nonEmpty sets found where the value is a string with content, or a list with elements.
func (w *walker) nonEmpty(found *bool) error {
	switch w.peek() {
	case '"':
		value, err := w.str()
		*found = *found || len(value) > 0
		return err
	case '[':
		return w.array(func() error { *found = true; return w.skip() })
	}
	return w.skip()
}

func (w *walker) int(n *int) error {
	if w.null() {
		return nil
	}
	start := w.skipSpace()
	if err := w.skip(); err != nil {
		return err
	}
	value, err := strconv.Atoi(string(w.data[start:w.pos]))
	if err != nil {
		return errFrame
	}
	*n = value
	return nil
}

// skip steps over any value.
func (w *walker) skip() error {
	switch w.peek() {
	case '"':
		_, err := w.str()
		return err
	case '{':
		return w.deeper(func() error { return w.object(func([]byte) error { return w.skip() }) })
	case '[':
		return w.deeper(func() error { return w.array(w.skip) })
	}
	start := w.pos
	for w.pos < len(w.data) && !ends(w.data[w.pos]) {
		w.pos++
	}
	if w.pos == start {
		return errFrame
	}
	return nil
}

// ends says whether a number or a word ends before c.
func ends(c byte) bool {
	switch c {
	case ',', ']', '}', ' ', '\t', '\r', '\n':
		return true
	}
	return false
}

func (w *walker) deeper(f func() error) error {
	if w.depth == maxDepth {
		return errFrame
	}
	w.depth++
	err := f()
	w.depth--
	return err
}

// errorText makes one line of an error that the server sent, in any of the shapes its versions use.
func errorText(body []byte) string {
	var nested struct {
		Error  json.RawMessage `json:"error"`
		Detail json.RawMessage `json:"detail"`
	}
	var flat struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &flat) == nil && flat.Message != "" {
		return flat.Message
	}
	if json.Unmarshal(body, &nested) == nil {
		for _, part := range []json.RawMessage{nested.Error, nested.Detail} {
			var text string
			if json.Unmarshal(part, &flat) == nil && flat.Message != "" {
				return flat.Message
			}
			if json.Unmarshal(part, &text) == nil && text != "" {
				return text
			}
		}
	}
	const limit = 300
	return string(body[:min(len(body), limit)])
}
