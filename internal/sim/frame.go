package sim

import (
	"bytes"
	"strconv"
)

// frames writes the JSON of one answer's stream: by hand, because the keys of a frame and their order are those of the
// version, and because a busy server writes thousands a second.
type frames struct {
	t       traits
	head    []byte // {"id":…,"object":…,"created":…,"model":…,"choices":[
	chat    bool
	ids     bool // token ids were asked for
	running bool // usage on every frame
	print   string
}

// generated is what every token of the simulator is: the text, and its id.
const (
	generatedText = 'a'
	otherText     = 'b' // of answers that were told to be another
	generatedID   = generatedText + firstByte
)

func newFrames(s *server, j job, id string, created int64) (*frames, error) {
	f := &frames{t: s.t, chat: j.chat, ids: j.TokenIDs && s.t.minor >= 10, running: j.Options.Usage && j.Options.Continuous}
	kind := "text_completion"
	if j.chat {
		kind = "chat.completion.chunk"
	}
	head, err := marshal(object{"id", id, "object", kind, "created", created, "model", j.Model})
	f.head = append(bytes.TrimSuffix(head, []byte("}")), `,"choices":[`...)
	if s.t.minor >= 18 {
		f.print = s.fingerprint()
	}
	return f, err
}

// fingerprint names the build that answers.
func (s *server) fingerprint() string {
	return "vllm-" + s.t.version + "-" + strconv.FormatUint(s.c.physics.Seed&0xffffffff, 16)
}

// opening is the first frame of a chat's text: it opens the message and carries no token.
func (f *frames) opening(row int, prompt []int32) []byte {
	b := append(f.start(row), `"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]`...)
	b = f.usage(b, len(prompt), 0)
	if f.t.minor >= 10 {
		b = append(b, `,"prompt_token_ids":`...)
		b = f.idList(b, prompt)
	}
	if f.t.minor >= 18 {
		b = append(b, `,"prompt_text":null`...)
	}
	return f.close(b)
}

// part is a frame that carries tokens of a row.
type part struct {
	row    int
	prompt []int32 // of the row; asked for in the first frame of a completion
	text   byte    // of a token
	first  bool
	tokens int // in this frame
	made   int // with this frame
	finish string
	last   bool // nothing but [DONE] follows
}

func (f *frames) part(p part) []byte {
	b := f.start(p.row)
	if f.chat {
		b = append(appendText(append(b, `"delta":{"content":`...), p.text, p.tokens), '}')
	} else {
		b = appendText(append(b, `"text":`...), p.text, p.tokens)
	}
	b = append(b, `,"logprobs":null,"finish_reason":`...)
	if p.finish == "" {
		b = append(b, "null"...)
	} else {
		b = strconv.AppendQuote(b, p.finish)
	}
	if !f.chat || p.finish != "" {
		b = append(b, `,"stop_reason":null`...)
	}
	if f.t.minor >= 10 {
		if !f.chat {
			b = append(b, `,"prompt_token_ids":`...)
			if p.first {
				b = f.idList(b, p.prompt)
			} else {
				b = append(b, "null"...)
			}
		}
		b = f.madeList(append(b, `,"token_ids":`...), p.tokens)
	}
	b = f.usage(append(b, "}]"...), len(p.prompt), p.made)
	if p.last && f.print != "" {
		b = strconv.AppendQuote(append(b, `,"system_fingerprint":`...), f.print)
	}
	return f.close(b)
}

// total is the frame without choices that ends a stream where usage was asked for.
func (f *frames) total(prompt, made int, details object) []byte {
	b := append(append(f.line(), "]"...), `,"usage":`...)
	b = appendCounts(b, prompt, made)
	if text, err := details.MarshalJSON(); err == nil && details != nil {
		b = append(append(b, `,"prompt_tokens_details":`...), text...)
	}
	b = append(b, '}')
	if f.print != "" {
		b = strconv.AppendQuote(append(b, `,"system_fingerprint":`...), f.print)
	}
	return f.close(b)
}

func (f *frames) line() []byte {
	b := make([]byte, 0, len(f.head)+320)
	return append(append(b, "data: "...), f.head...)
}

func (f *frames) start(row int) []byte {
	return append(strconv.AppendInt(append(f.line(), `{"index":`...), int64(row), 10), ',')
}

func (f *frames) close(b []byte) []byte { return append(b, "}\n\n"...) }

// usage adds the running count where it was asked for, and nothing or null where not.
func (f *frames) usage(b []byte, prompt, made int) []byte {
	switch {
	case f.running:
		b = appendCounts(append(b, `,"usage":`...), prompt, made)
		switch {
		case f.t.nullUsage:
			b = append(b, `,"prompt_tokens_details":null`...)
		case f.chat:
			b = append(b, `,"completion_tokens_details":null`...)
		}
		return append(b, '}')
	case f.t.nullUsage:
		return append(b, `,"usage":null`...)
	}
	return b
}

// appendCounts writes a usage and leaves it open.
func appendCounts(b []byte, prompt, made int) []byte {
	b = strconv.AppendInt(append(b, `{"prompt_tokens":`...), int64(prompt), 10)
	b = strconv.AppendInt(append(b, `,"total_tokens":`...), int64(prompt+made), 10)
	return strconv.AppendInt(append(b, `,"completion_tokens":`...), int64(made), 10)
}

func appendText(b []byte, text byte, tokens int) []byte {
	b = append(b, '"')
	for range tokens {
		b = append(b, text)
	}
	return append(b, '"')
}

// idList writes token ids, or null where they were not asked for.
func (f *frames) idList(b []byte, ids []int32) []byte {
	if !f.ids {
		return append(b, "null"...)
	}
	b = append(b, '[')
	for i, id := range ids {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(id), 10)
	}
	return append(b, ']')
}

// madeList is idList for generated tokens.
func (f *frames) madeList(b []byte, n int) []byte {
	if !f.ids {
		return append(b, "null"...)
	}
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = generatedID
	}
	return f.idList(b, ids)
}
