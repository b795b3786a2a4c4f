package lab

import "time"

// RequestRecord is everything that was seen of one request. All moments are offsets from the run's Epoch; 0 = absent.
type RequestRecord struct {
	Seq    int    `json:"seq"`    // position in the phase's schedule, from 0
	Phase  string `json:"phase"`  // Phase.Name, or Warmup
	Prompt uint64 `json:"prompt"` // hash of the prompt, so that arms can be checked for equal work

	Intended  time.Duration `json:"intended"`             // when the schedule wanted it sent; closed loop: when its slot came free
	Sent      time.Duration `json:"sent,omitempty"`       // the client set about sending it; from here on waiting is the network's and the server's
	Connected time.Duration `json:"connected,omitempty"`  // it had a connection that no request had used before, opened for it or kept ready; absent on a reused one
	Written   time.Duration `json:"written,omitempty"`    // the write call with the request's last byte returned: the kernel has all of it
	FirstByte time.Duration `json:"first_byte,omitempty"` // first bytes of the response head, stamped as chunks are
	Done      time.Duration `json:"done,omitempty"`       // end of the body, or the moment of the error

	Chunks []Chunk         `json:"chunks,omitempty"` // every event that carried output, in order
	Empty  []time.Duration `json:"empty,omitempty"`  // events with choices that carried none, such as the one that opens a chat message
	Stamps *Stamps         `json:"stamps,omitempty"` // where the moments of both come from; absent: not known
	Text   string          `json:"text,omitempty"`   // what was generated; kept only where the load asks for it
	Answer uint64          `json:"answer,omitempty"` // hash of what was generated, of a success; 0 = not known

	WantInput  int    `json:"want_input,omitempty"`  // tokens asked for; 0 = unknown
	WantOutput int    `json:"want_output,omitempty"` // tokens asked for
	Usage      *Usage `json:"usage,omitempty"`       // the server's own count
	Finish     string `json:"finish,omitempty"`      // finish_reason of the last choice
	Status     int    `json:"status,omitempty"`      // HTTP status
	Error      string `json:"error,omitempty"`       // class, one of the Err constants; empty: success
	Detail     string `json:"detail,omitempty"`      // what exactly went wrong
}

// Chunk is one event of a stream that carried output. At is when the kernel took it in, or where it did not say, when the
// client read it.
type Chunk struct {
	At     time.Duration `json:"at"`
	Tokens int           `json:"tokens"` // new tokens in it by the server's running count; 0 where the server does not say
}

// Usage is the server's own token count of one request.
type Usage struct {
	Input  int `json:"input"`
	Output int `json:"output"`
	Cached int `json:"cached,omitempty"`
}

// The classes of request errors. A record without one is a success: status 200, a finish reason other than abort, the
// asked number of tokens where it was fixed, no error event, and the [DONE] mark.
const (
	ErrConnect  = "connect"  // no connection
	ErrStatus   = "status"   // HTTP status other than 200
	ErrTimeout  = "timeout"  // the request's own time limit
	ErrCut      = "cut"      // the stream ended without [DONE]
	ErrStream   = "stream"   // an error event inside the stream
	ErrAbort    = "abort"    // finish_reason "abort"
	ErrTokens   = "tokens"   // fewer or more tokens than fixed
	ErrFormat   = "format"   // the answer could not be understood
	ErrCanceled = "canceled" // lab itself ended it: interrupt, end of the phase, server gone
)

// OK says whether the request succeeded.
func (r RequestRecord) OK() bool { return r.Error == "" }

// Origin is the moment latencies count from: the intended one, so that a late client or a full connection pool cannot
// hide queueing (coordinated omission).
func (r RequestRecord) Origin() time.Duration { return r.Intended }

// TTFT is the time from the intended moment to the first chunk with output.
func (r RequestRecord) TTFT() (time.Duration, bool) {
	if len(r.Chunks) == 0 {
		return 0, false
	}
	return r.Chunks[0].At - r.Origin(), true
}

// Output is the number of generated tokens: the server's final count, else the sum over chunks.
func (r RequestRecord) Output() (int, bool) {
	if r.Usage != nil {
		return r.Usage.Output, true
	}
	n := 0
	for _, c := range r.Chunks {
		n += c.Tokens
	}
	return n, n > 0
}

// PerChunk tells how many output tokens a chunk brought, so that those of all chunks add up to Output. counted: the server's
// running count itself adds up to it. Else Output is shared out over the chunks, by that count or, where there is none,
// evenly. Of a request whose tokens nobody counted it is 0.
func (r RequestRecord) PerChunk() (tokens func(Chunk) float64, counted bool) {
	said, shares := 0, float64(len(r.Chunks))
	for _, c := range r.Chunks {
		said += c.Tokens
	}
	output, known := r.Output()
	switch {
	case !known:
		return func(Chunk) float64 { return 0 }, false
	case said == output:
		return func(c Chunk) float64 { return float64(c.Tokens) }, true
	case said > 0:
		return func(c Chunk) float64 { return float64(output) * float64(c.Tokens) / float64(said) }, false
	}
	return func(Chunk) float64 { return float64(output) / shares }, false
}

// TPOT is the time per output token after the first: (last chunk - first chunk) / (output tokens - 1).
func (r RequestRecord) TPOT() (time.Duration, bool) {
	n, ok := r.Output()
	if !ok || n < 2 || len(r.Chunks) < 2 {
		return 0, false
	}
	return (r.Chunks[len(r.Chunks)-1].At - r.Chunks[0].At) / time.Duration(n-1), true
}

// E2EL is the time from the intended moment to the last chunk with output.
func (r RequestRecord) E2EL() (time.Duration, bool) {
	if len(r.Chunks) == 0 {
		return 0, false
	}
	return r.Chunks[len(r.Chunks)-1].At - r.Origin(), true
}

// Lag is how late the request left: sent - intended.
func (r RequestRecord) Lag() (time.Duration, bool) {
	if r.Sent == 0 {
		return 0, false
	}
	return r.Sent - r.Intended, true
}

// Gaps are the times between successive chunks, with the tokens that each later chunk brought.
func (r RequestRecord) Gaps() ([]Chunk, bool) {
	if len(r.Chunks) < 2 {
		return nil, false
	}
	gaps := make([]Chunk, 0, len(r.Chunks)-1)
	for i, c := range r.Chunks[1:] {
		gaps = append(gaps, Chunk{At: c.At - r.Chunks[i].At, Tokens: c.Tokens})
	}
	return gaps, true
}
