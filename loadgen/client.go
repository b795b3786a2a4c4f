package loadgen

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"sync"
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
	dialer *dialer
	clock  lab.Clock
	wall   *realtime
	lag    worst                    // of the events since the last sample
	token  func(*lab.RequestRecord) // output arrived: the last chunk
	keep   bool                     // of the text
	pool   sync.Pool                // of *stream, with their buffers
}

func newClient(t Target, clock lab.Clock, token func(*lab.RequestRecord)) *client {
	d := newDialer(t, clock)
	return &client{target: t, clock: clock, dialer: d, wall: newRealtime(clock), token: token, http: &http.Client{Transport: &http.Transport{
		DialContext:         d.dial,
		DialTLSContext:      d.dial,
		MaxIdleConns:        0, // no bound
		MaxIdleConnsPerHost: 1 << 20,
		IdleConnTimeout:     4 * time.Second, // uvicorn closes idle connections after 5 s
		DisableCompression:  true,
		// Every stream has both. What is longer than the second is written past it, without a copy.
		ReadBufferSize:  16 << 10,
		WriteBufferSize: 8 << 10,
	}}}
}

func (c *client) close() {
	c.http.CloseIdleConnections()
	c.dialer.close()
}

// do sends one request and fills in what was seen of it. Every way in which it can end is a class of error in the
// record.
func (c *client) do(ctx context.Context, r Request, rec *lab.RequestRecord) {
	rec.Sent = c.clock.Now()
	m := marks{clock: c.clock, wall: c.wall}
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
	clock                lab.Clock
	wall                 *realtime
	conn                 atomic.Pointer[conn]
	conns                atomic.Int32
	use                  atomic.Int64 // the connection's, while it is this request's
	passed               atomic.Bool  // net/http has the whole request in its buffer, or further
	connected, firstByte atomic.Int64
}

func (m *marks) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) {
			m.conns.Add(1)
			if !info.Reused {
				m.connected.Store(int64(m.clock.Now()))
			}
			c := under(info.Conn)
			m.use.Store(c.use.Add(1))
			c.written.Store(0)
			m.passed.Store(false)
			m.conn.Store(c)
		},
		WroteRequest: func(info httptrace.WroteRequestInfo) { m.passed.Store(info.Err == nil) },
		GotFirstResponseByte: func() {
			at, _ := m.wall.arrival(m.conn.Load().stamp.Load(), m.clock.Now())
			m.firstByte.Store(int64(at))
		},
	}
}

func (m *marks) fill(rec *lab.RequestRecord) {
	rec.Connected = time.Duration(m.connected.Load())
	rec.FirstByte = time.Duration(m.firstByte.Load())
	if c := m.conn.Load(); rec.Status == 0 && c != nil && m.passed.Load() { // no answer came: the connection is nobody else's since
		rec.Written = c.lastWrite(rec.FirstByte > 0)
	}
	if len(rec.Chunks) > 0 { // the two may be one stamp, turned to the run's clock by two readings of it
		rec.FirstByte = min(rec.FirstByte, rec.Chunks[0].At)
	}
	if rec.FirstByte > 0 { // the kernel had all of it by then, however late the client came to note it
		rec.Written = min(rec.Written, rec.FirstByte)
	}
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
	if m.passed.Load() || resp.StatusCode == http.StatusOK { // with which nobody answers half a request
		rec.Written = m.conn.Load().lastWrite(true)
	}
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
		return lab.ErrStatus, fmt.Sprintf("status %d: %s", resp.StatusCode, errorText(body))
	}
	if kind := resp.Header.Get("Content-Type"); !strings.HasPrefix(kind, "text/event-stream") {
		return lab.ErrFormat, fmt.Sprintf("content type %q is no event stream", kind)
	}
	return c.stream(resp.Body, m, r, rec)
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
