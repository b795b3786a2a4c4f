package loadgen

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"lab/internal/lab"
)

// stream is what has been seen of one answer. It is used again for the next one, with its buffers: once they have grown, an
// event allocates nothing.
type stream struct {
	client *client
	conn   *conn
	use    int64 // of the connection
	rec    *lab.RequestRecord

	buf   [8 << 10]byte
	split events
	text  []byte // what was generated, escapes as they stand
	said  textHash

	read   int64         // the connection's count of reads when the last event came
	at     time.Duration // when it was read
	came   time.Duration // when it arrived
	kernel bool          // by the kernel's stamp
	last   bool          // the last event has its moment in the record

	usage   lab.Usage
	counted bool // the server counts
	done    bool
	failure string // of an error event
	bad     error
}

// stream reads the events of one answer.
func (c *client) stream(body io.Reader, m *marks, r Request, rec *lab.RequestRecord) (class, detail string) {
	s, ok := c.pool.Get().(*stream)
	if !ok {
		s = &stream{}
	}
	s.begin(c, m.conn.Load(), m.use.Load(), r, rec)
	defer c.pool.Put(s)
	for {
		n, err := body.Read(s.buf[:])
		s.mark()
		bad := s.split.feed(s.buf[:n], s.event)
		if bad == nil {
			bad = s.bad
		}
		if bad != nil {
			class, detail = lab.ErrFormat, bad.Error()
			break
		}
		if err == io.EOF {
			rec.Text = unquote(s.text)
			if class, detail = s.verdict(r); class == "" {
				rec.Answer = s.said.hash()
			}
			break
		}
		if err != nil {
			class, detail = lab.ErrCut, "the stream broke off: "+err.Error()
			break
		}
	}
	s.end()
	return class, detail
}

func (s *stream) begin(c *client, conn *conn, use int64, r Request, rec *lab.RequestRecord) {
	rec.Chunks = make([]lab.Chunk, 0, max(r.Output, 16))
	rec.Stamps = &lab.Stamps{}
	s.client, s.conn, s.use, s.rec = c, conn, use, rec
	s.split.reset()
	s.text, s.said = s.text[:0], textHash{}
	s.read, s.last = 0, false
	s.usage, s.counted, s.done, s.failure, s.bad = lab.Usage{}, false, false, "", nil
}

// end hands over what was gathered and lets go of the record.
func (s *stream) end() {
	if s.counted {
		usage := s.usage
		s.rec.Usage = &usage
	}
	if s.rec.Stamps.Kernel+s.rec.Stamps.Reading == 0 {
		s.rec.Stamps = nil
	}
	s.client, s.conn, s.rec = nil, nil, nil
}

// mark takes the moment, before anything is parsed: when lab read what came, and when the kernel took it in. What one read of
// the socket brought shares it, also where it is handed out piece by piece.
func (s *stream) mark() {
	s.at = s.client.clock.Now()
	read := s.conn.read.Load()
	if read != s.read {
		s.read, s.last = read, false
	}
	stamp := s.conn.stamp.Load()
	if s.conn.use.Load() != s.use { // the read that ended the answer freed the connection, and this may be the stamp of the next
		stamp = 0
	}
	s.came, s.kernel = s.client.wall.arrival(stamp, s.at)
}

func (s *stream) event(data []byte) {
	if s.last && s.kernel {
		s.rec.Stamps.Shared++ // the event before this one
	}
	s.last = false
	f, err := parseFrame(data)
	switch {
	case err != nil:
		if s.bad == nil {
			s.bad = fmt.Errorf("%w: %.200s", err, data)
		}
	case f.done:
		s.done = true
	case f.failed:
		s.failure = errorText(f.message)
	default:
		s.output(f)
	}
}

// output takes a frame that is no error. It is a chunk if it brought output: text, or a token by the server's count. A
// frame may bring a token without text (half a character), and the frame that opens a chat message brings none. Where
// the server counts nothing, every other frame is taken for output.
func (s *stream) output(f frame) {
	tokens := 0
	if f.usage {
		tokens = max(0, f.output-s.usage.Output)
		s.usage = lab.Usage{Input: f.input, Output: f.output, Cached: max(f.cached, s.usage.Cached)}
		s.counted = true
	}
	if f.finish != "" {
		s.rec.Finish = f.finish
	}
	if f.choices == 0 {
		return
	}
	s.said.add(f.thought)
	s.said.add(f.content)
	if s.client.keep {
		s.text = append(s.text, f.content...)
	}
	s.stamp()
	if f.text || tokens > 0 || !f.usage && !f.role {
		s.rec.Chunks = append(s.rec.Chunks, lab.Chunk{At: s.came, Tokens: tokens})
		s.client.token(s.rec)
		return
	}
	s.rec.Empty = append(s.rec.Empty, s.came)
}

// stamp counts where the moment of an event that is recorded comes from.
func (s *stream) stamp() {
	s.last = true
	if !s.kernel {
		s.rec.Stamps.Reading++
		return
	}
	lag := s.at - s.came
	s.rec.Stamps.Kernel++
	s.rec.Stamps.Lag.Add(lag)
	s.client.lag.add(lag)
}

// unquote resolves the escapes of what stood between the quotes of JSON strings, one behind the other.
func unquote(content []byte) string {
	if bytes.IndexByte(content, '\\') < 0 {
		return string(content)
	}
	var text string
	if err := json.Unmarshal(slices.Concat([]byte{'"'}, content, []byte{'"'}), &text); err != nil {
		return string(content) // no JSON after all: kept as it came
	}
	return text
}

// verdict says what a stream that came to its end was: [DONE] alone is no success.
func (s *stream) verdict(r Request) (class, detail string) {
	rec := s.rec
	switch {
	case s.failure != "":
		return lab.ErrStream, s.failure
	case !s.done:
		return lab.ErrCut, "the stream ended without [DONE]"
	case rec.Finish == "abort":
		return lab.ErrAbort, "the server aborted the request"
	case rec.Finish == "error":
		return lab.ErrStream, "the server ended the request with an error"
	case rec.Finish == "":
		return lab.ErrCut, "the stream ended without a finish reason"
	case len(rec.Chunks) == 0:
		return lab.ErrFormat, "the stream carried no output"
	case r.Fixed && s.counted && s.usage.Output != r.Output:
		return lab.ErrTokens, fmt.Sprintf("%d tokens came, %d were asked for", s.usage.Output, r.Output)
	}
	return "", ""
}
