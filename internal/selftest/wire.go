package selftest

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strconv"
)

// truthModel is what the truth server calls its model.
const truthModel = "truth"

// request is what the truth server needs to know of one.
type request struct {
	method, path string
	id           string
	close        bool // the client wants no further request on this connection
	tokens       int
	stream       bool
}

var errIncomplete = errors.New("the request is not complete")

// maxRequest bounds what is waited for.
const maxRequest = 16 << 20

// parseRequest reads an HTTP/1.1 request with a body of known length. It is a plain scan: to read one must cost the
// others little.
func parseRequest(text []byte) (request, error) {
	end := bytes.Index(text, []byte("\r\n\r\n"))
	if end < 0 {
		if len(text) > maxRequest {
			return request{}, errors.New("the head of the request never ends")
		}
		return request{}, errIncomplete
	}
	if bytes.Count(text[:end], []byte("\n")) != bytes.Count(text[:end], []byte("\r\n")) {
		return request{}, errors.New("a line of the head does not end with CR LF")
	}
	line, fields, _ := bytes.Cut(text[:end], []byte("\r\n"))
	parts := bytes.Split(line, []byte(" "))
	if len(parts) != 3 || string(parts[2]) != "HTTP/1.1" {
		return request{}, errors.New("the first line is not that of an HTTP/1.1 request")
	}
	r := request{method: string(parts[0]), path: string(parts[1])}
	length := 0
	for len(fields) > 0 {
		line, fields, _ = bytes.Cut(fields, []byte("\r\n"))
		name, value, found := bytes.Cut(line, []byte(":"))
		if !found || len(name) == 0 || bytes.ContainsAny(name, " \t") { // a folded line too, which nobody sends any more
			return request{}, errors.New("a line of the head has no name")
		}
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			var err error
			if length, err = strconv.Atoi(string(value)); err != nil || length < 0 || length > maxRequest {
				return request{}, fmt.Errorf("Content-Length %q is no length up to %d", value, maxRequest)
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			return request{}, errors.New("a body without Content-Length is not understood")
		case bytes.EqualFold(name, []byte("X-Request-Id")):
			r.id = string(value)
		case bytes.EqualFold(name, []byte("Connection")):
			r.close = bytes.EqualFold(value, []byte("close"))
		}
	}
	body := text[end+4:]
	if len(body) < length {
		return request{}, errIncomplete
	}
	if r.method != http.MethodPost {
		return r, nil
	}
	return r, r.parseBody(body[:length])
}

// parseBody finds the two fields that matter. A key in quotes cannot stand within a JSON string, where its quotes would be
// escaped.
func (r *request) parseBody(body []byte) error {
	r.stream = bytes.HasPrefix(member(body, "stream"), []byte("true"))
	digits := member(body, "max_tokens")
	n := 0
	for n < len(digits) && '0' <= digits[n] && digits[n] <= '9' {
		n++
	}
	var err error
	const most = 1 << 20
	if r.tokens, err = strconv.Atoi(string(digits[:n])); err != nil || r.tokens < 1 || r.tokens > most {
		return fmt.Errorf("max_tokens must be a number from 1 to %d", most)
	}
	return nil
}

// member is what follows a key of the document and its colon.
func member(body []byte, key string) []byte {
	_, rest, found := bytes.Cut(body, []byte(`"`+key+`"`))
	rest = bytes.TrimLeft(rest, " \t\r\n")
	if !found || len(rest) == 0 || rest[0] != ':' {
		return nil
	}
	return bytes.TrimLeft(rest[1:], " \t\r\n")
}

// frames are the pieces of every answer, built before they are needed: all answers of one length are alike.
type frames struct {
	input  int
	middle [][]byte       // by position
	last   map[int][]byte // the frame of the last token, by the answer's length
	ends   map[int][]byte
}

func newFrames(input int) *frames {
	return &frames{input: input, last: map[int][]byte{}, ends: map[int][]byte{}}
}

const streamHead = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"

// upTo builds what an answer of n tokens takes.
func (f *frames) upTo(n int) {
	if f.last[n] != nil {
		return
	}
	for i := len(f.middle); i < n; i++ {
		f.middle = append(f.middle, f.frame(i, "null"))
	}
	f.last[n] = f.frame(n-1, `"length"`)
	f.ends[n] = append(append(
		chunk(fmt.Sprintf("data: {\"id\":\"cmpl-truth\",\"object\":\"text_completion\",\"created\":1,\"model\":%q,\"choices\":[],\"usage\":%s}\n\n", truthModel, f.usage(n))),
		chunk("data: [DONE]\n\n")...),
		"0\r\n\r\n"...)
}

// frame is one token with its position, as vLLM writes them with a running count. The first one brings the head.
func (f *frames) frame(i int, finish string) []byte {
	text := chunk(fmt.Sprintf("data: {\"id\":\"cmpl-truth\",\"object\":\"text_completion\",\"created\":1,\"model\":%q,\"choices\":[{\"index\":0,\"text\":\" word\","+
		"\"logprobs\":null,\"finish_reason\":%s,\"stop_reason\":null}],\"usage\":%s}\n\n", truthModel, finish, f.usage(i+1)))
	if i == 0 {
		return append([]byte(streamHead), text...)
	}
	return text
}

func (f *frames) usage(output int) string {
	return fmt.Sprintf(`{"prompt_tokens":%d,"total_tokens":%d,"completion_tokens":%d}`, f.input, f.input+output, output)
}

func chunk(text string) []byte { return fmt.Appendf(nil, "%x\r\n%s\r\n", len(text), text) }

func (f *frames) token(i, of int) []byte {
	if i == of-1 {
		return f.last[of]
	}
	return f.middle[i]
}

func (f *frames) end(n int) []byte { return f.ends[n] }

// whole is an answer that is not streamed.
func (f *frames) whole(n int) string {
	return fmt.Sprintf(`{"id":"cmpl-truth","object":"text_completion","created":1,"model":%q,"choices":[{"index":0,"text":%q,"logprobs":null,"finish_reason":"length","stop_reason":null}],"usage":%s}`,
		truthModel, bytes.Repeat([]byte(" word"), n), f.usage(n))
}

func plainAnswer(status int, kind, body string) []byte {
	return fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", status, http.StatusText(status), kind, len(body), body)
}
