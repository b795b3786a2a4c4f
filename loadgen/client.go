package loadgen

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"lab/internal/lab"
)

// Target is the server that is loaded.
type Target struct {
	URL       string // without /v1
	Model     string // as the server calls it
	APIKey    string
	Header    http.Header // sent with every request, over lab's own
	Insecure  bool        // the server's certificate is not checked
	RequestID string      // prefix of X-Request-Id, which the sequence number completes; empty: none is sent
}

// client sends requests over HTTP and records what comes back.
type client struct {
	target Target
	http   *http.Client
	clock  lab.Clock
	token  func(at time.Duration) // output arrived
	keep   bool                   // of the text
}

func newClient(t Target, clock lab.Clock, token func(time.Duration)) *client {
	return &client{target: t, clock: clock, token: token, http: &http.Client{Transport: &http.Transport{
		TLSClientConfig:     &tls.Config{InsecureSkipVerify: t.Insecure},
		DialContext:         (&net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		MaxIdleConns:        0, // no bound
		MaxIdleConnsPerHost: 1 << 20,
		IdleConnTimeout:     4 * time.Second, // uvicorn closes idle connections after 5 s
		DisableCompression:  true,
		ReadBufferSize:      32 << 10,
		WriteBufferSize:     32 << 10,
	}}}
}

func (c *client) close() { c.http.CloseIdleConnections() }

// do sends one request and fills in what was seen of it. Every way in which it can end is a class of error in the
// record.
func (c *client) do(ctx context.Context, r Request, rec *lab.RequestRecord) {
	rec.Sent = c.clock.Now()
	m := marks{clock: c.clock}
	class, detail := c.exchange(ctx, r, rec, &m)
	rec.Done = c.clock.Now()
	m.fill(rec)
	broke := class == lab.ErrConnect || class == lab.ErrCut
	if cause := context.Cause(ctx); cause != nil && broke { // what broke off was broken off from here
		class, detail = lab.ErrCanceled, cause.Error()
		if errors.Is(cause, errRequestTimeout) {
			class = lab.ErrTimeout
		}
	}
	rec.Error, rec.Detail = class, detail
	if class == "" && m.conns.Load() > 1 {
		rec.Detail = sentAgain
	}
}

var errRequestTimeout = errors.New("the request's own time limit was reached")

// sentAgain stands in the record of a success that took two attempts.
const sentAgain = "sent again on a new connection: the server had closed the idle one"

// marks are the moments of one connection's life. net/http sets them from goroutines of its own, which may outlive a
// canceled request: hence the atomics, and the record gets a copy.
type marks struct {
	clock                         lab.Clock
	conns                         atomic.Int32
	connected, written, firstByte atomic.Int64
}

func (m *marks) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) {
			m.conns.Add(1)
			if !info.Reused {
				m.connected.Store(int64(m.clock.Now()))
			}
		},
		WroteRequest: func(info httptrace.WroteRequestInfo) {
			if info.Err == nil {
				m.written.Store(int64(m.clock.Now()))
			}
		},
		GotFirstResponseByte: func() { m.firstByte.Store(int64(m.clock.Now())) },
	}
}

func (m *marks) fill(rec *lab.RequestRecord) {
	rec.Connected = time.Duration(m.connected.Load())
	rec.Written = time.Duration(m.written.Load())
	rec.FirstByte = time.Duration(m.firstByte.Load())
}

func (c *client) exchange(ctx context.Context, r Request, rec *lab.RequestRecord, m *marks) (class, detail string) {
	ctx = httptrace.WithClientTrace(ctx, m.trace())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.target.URL+r.Path, bytes.NewReader(r.Body))
	if err != nil {
		return lab.ErrConnect, err.Error()
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "text/event-stream")
	// An idle connection that the server closed just now is tried again on a new one: net/http does so for requests
	// with this key, and an empty one is not sent.
	req.Header["Idempotency-Key"] = []string{}
	c.identify(req, r.Seq)
	resp, err := c.http.Do(req)
	if err != nil && m.conns.Load() > 0 {
		return lab.ErrCut, "the connection broke before an answer came: " + err.Error()
	}
	if err != nil {
		return lab.ErrConnect, err.Error()
	}
	defer resp.Body.Close()
	rec.Status = resp.StatusCode
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
		return lab.ErrStatus, fmt.Sprintf("status %d: %s", resp.StatusCode, errorText(body))
	}
	if kind := resp.Header.Get("Content-Type"); !strings.HasPrefix(kind, "text/event-stream") {
		return lab.ErrFormat, fmt.Sprintf("content type %q is no event stream", kind)
	}
	return c.stream(resp.Body, r, rec)
}

// identify says who asks, and which request it is: vLLM takes the id over into its own log.
func (c *client) identify(req *http.Request, seq int) {
	if c.target.APIKey != "" {
		req.Header.Set("Authorization", "Bearer "+c.target.APIKey)
	}
	for name, values := range c.target.Header {
		req.Header[name] = values
	}
	if c.target.RequestID != "" {
		req.Header.Set("X-Request-Id", c.target.RequestID+strconv.Itoa(seq))
	}
}

// stream reads the events of one answer. The moment of arrival is taken when Read returns, before anything is parsed;
// events that came in one read share it.
func (c *client) stream(body io.Reader, r Request, rec *lab.RequestRecord) (class, detail string) {
	s := stream{rec: rec, token: c.token, keep: c.keep}
	rec.Chunks = make([]lab.Chunk, 0, max(r.Output, 16))
	buf := make([]byte, 16<<10)
	var split events
	for {
		n, err := body.Read(buf)
		at := c.clock.Now()
		bad := split.feed(buf[:n], func(data []byte) { s.event(data, at) })
		if bad == nil {
			bad = s.bad
		}
		if bad != nil {
			return lab.ErrFormat, bad.Error()
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return lab.ErrCut, "the stream broke off: " + err.Error()
		}
	}
	rec.Text = string(s.text)
	return s.verdict(r)
}

// stream is what has been seen of one answer.
type stream struct {
	rec     *lab.RequestRecord
	token   func(at time.Duration)
	done    bool
	failure string // of an error event
	bad     error
	keep    bool
	text    []byte
}

func (s *stream) event(data []byte, at time.Duration) {
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
		s.output(f, at)
	}
}

// output takes a frame that is no error. It is a chunk if it brought output: text, or a token by the server's count. A
// frame may bring a token without text (half a character), and the frame that opens a chat message brings none. Where
// the server counts nothing, every other frame is taken for output.
func (s *stream) output(f frame, at time.Duration) {
	tokens := 0
	if f.usage {
		before := 0
		if s.rec.Usage != nil {
			before = s.rec.Usage.Output
		}
		tokens = max(0, f.output-before)
		s.rec.Usage = &lab.Usage{Input: f.input, Output: f.output, Cached: max(f.cached, cached(s.rec.Usage))}
	}
	if f.finish != "" {
		s.rec.Finish = f.finish
	}
	if f.choices == 0 {
		return
	}
	if s.keep {
		s.text = append(s.text, unquote(f.content)...)
	}
	if f.text || tokens > 0 || !f.usage && !f.role {
		s.rec.Chunks = append(s.rec.Chunks, lab.Chunk{At: at, Tokens: tokens})
		s.token(at)
		return
	}
	s.rec.Empty = append(s.rec.Empty, at)
}

// unquote resolves the escapes of what stood between the quotes of a JSON string.
func unquote(content []byte) []byte {
	if bytes.IndexByte(content, '\\') < 0 {
		return content
	}
	var text string
	if err := json.Unmarshal(slices.Concat([]byte{'"'}, content, []byte{'"'}), &text); err != nil {
		return content // no JSON after all: kept as it came
	}
	return []byte(text)
}

func cached(u *lab.Usage) int {
	if u == nil {
		return 0
	}
	return u.Cached
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
	case r.Fixed && rec.Usage != nil && rec.Usage.Output != r.Output:
		return lab.ErrTokens, fmt.Sprintf("%d tokens came, %d were asked for", rec.Usage.Output, r.Output)
	}
	return "", ""
}
