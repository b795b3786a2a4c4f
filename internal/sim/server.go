package sim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"lab/internal/lab"
)

// server is vLLM's HTTP interface over a loop.
type server struct {
	c       *command
	t       traits
	loop    *loop
	started time.Time
	routes  map[string]map[string]http.HandlerFunc // by path and method

	requests atomic.Int64  // generations so far
	open     atomic.Int64  // generations now
	abort    chan struct{} // closed when the server shuts down and cuts its requests short

	mu       sync.Mutex // guards random
	random   *rand.Rand // of the API process: ids, faults, where texts end
	truth    *truthLog
	profiler *profiler
}

func newServer(c *command, l *loop) (*server, error) {
	seed := c.physics.Seed
	s := &server{
		c: c, t: c.t, loop: l, started: time.Now(), abort: make(chan struct{}),
		random: rand.New(rand.NewPCG(seed^0x5DEECE66D, seed)),
	}
	s.profiler = newProfiler(s)
	if c.truth != "" {
		f, err := os.Create(c.truth)
		if err != nil {
			return nil, fmt.Errorf("write truth: %w", err)
		}
		s.truth = &truthLog{file: f, clock: lab.Epoch{}.Clock()}
	}
	s.route()
	return s, nil
}

func (s *server) route() {
	get := func(h http.HandlerFunc) map[string]http.HandlerFunc { return map[string]http.HandlerFunc{"GET": h} }
	post := func(h http.HandlerFunc) map[string]http.HandlerFunc { return map[string]http.HandlerFunc{"POST": h} }
	s.routes = map[string]map[string]http.HandlerFunc{
		"/health":  get(s.health),
		"/ping":    {"GET": s.health, "POST": s.health},
		"/version": get(func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, 200, object{"version", s.t.version}) }),
		"/load": get(func(w http.ResponseWriter, _ *http.Request) {
			load := int64(0)
			if s.c.switched("enable-server-load-tracking", false) {
				load = s.open.Load()
			}
			writeJSON(w, 200, object{"server_load", load})
		}),
		"/metrics":             get(s.metrics),
		"/v1/models":           get(s.models),
		"/tokenize":            post(s.tokenize),
		"/detokenize":          post(s.detokenize),
		"/v1/completions":      post(func(w http.ResponseWriter, r *http.Request) { s.generate(w, r, false) }),
		"/v1/chat/completions": post(func(w http.ResponseWriter, r *http.Request) { s.generate(w, r, true) }),
		"/sim/gpu":             get(s.device),
	}
	if s.profiler.dir != "" {
		s.routes["/start_profile"], s.routes["/stop_profile"] = post(s.startProfile), post(s.stopProfile)
	}
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Server", "uvicorn")
	methods, ok := s.routes[r.URL.Path]
	handler, allowed := methods[r.Method]
	switch {
	case strings.HasPrefix(r.URL.Path, "/v1") && !s.mayEnter(r):
		writeJSON(w, 401, object{"error", "Unauthorized"})
	case !ok:
		writeJSON(w, 404, object{"detail", "Not Found"})
	case !allowed:
		for method := range methods {
			w.Header().Set("Allow", method)
		}
		writeJSON(w, 405, object{"detail", "Method Not Allowed"})
	default:
		handler(w, r)
	}
}

// mayEnter asks for the API key where the server has one; vLLM guards only what is below /v1.
func (s *server) mayEnter(r *http.Request) bool {
	key, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return len(s.c.keys) == 0 || ok && slices.Contains(s.c.keys, key)
}

// object is a JSON object that keeps the order of its keys: key, value, key, value …
type object []any

// MarshalJSON is part of encoding/json.
func (o object) MarshalJSON() ([]byte, error) {
	text := []byte{'{'}
	for i := 0; i+1 < len(o); i += 2 {
		if i > 0 {
			text = append(text, ',')
		}
		value, err := marshal(o[i+1])
		if err != nil {
			return nil, err
		}
		text = append(strconv.AppendQuote(text, o[i].(string)), ':')
		text = append(text, value...)
	}
	return append(text, '}'), nil
}

// marshal leaves <, > and & as they are.
func marshal(value any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(value)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	text, err := marshal(value)
	if err != nil {
		text, status = []byte("Internal Server Error"), 500
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	w.Write(text) // a client that left is noticed by its context
}

func (s *server) health(w http.ResponseWriter, _ *http.Request) {
	if s.loop.crashed() {
		w.WriteHeader(s.t.deadHealth)
	}
}

// names are the served model names.
func (s *server) names() []string {
	if s.c.faults.wrongName {
		return []string{"another-model"}
	}
	return s.c.names
}

func (s *server) models(w http.ResponseWriter, _ *http.Request) {
	created := s.started.Unix()
	data := []any{}
	for i, name := range s.names() {
		data = append(data, object{
			"id", name, "object", "model", "created", created, "owned_by", "vllm", "root", s.c.model, "parent", nil,
			"max_model_len", s.c.maxLen, "permission", []any{object{
				"id", fmt.Sprintf("modelperm-%016x", uint64(created)+uint64(i)), "object", "model_permission", "created", created,
				"allow_create_engine", false, "allow_sampling", true, "allow_logprobs", true, "allow_search_indices", false,
				"allow_view", true, "allow_fine_tuning", false, "organization", "*", "group", nil, "is_blocking", false,
			}},
		})
	}
	writeJSON(w, 200, object{"object", "list", "data", data})
}

// problem is an error as a server of some version words it.
type problem struct {
	status        int
	kind, message string
	param         any
}

// body is the error's JSON in the shape of the version.
func (s *server) body(p problem) object {
	if s.t.flatErrors {
		return object{"object", "error", "message", p.message, "type", p.kind, "param", p.param, "code", p.status}
	}
	return object{"error", object{"message", p.message, "type", p.kind, "param", p.param, "code", p.status}}
}

func (s *server) fail(w http.ResponseWriter, p problem) { writeJSON(w, p.status, s.body(p)) }

// draw is a number in [0, 1) from the server's own seed.
func (s *server) draw() float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.random.Float64()
}

func (s *server) id() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprintf("%016x", s.random.Uint64())
}

// tokenize treats each byte as a token.
func (s *server) tokenize(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Prompt   string    `json:"prompt"`
		Messages []message `json:"messages"`
	}
	if p := s.decode(r, &body); p != nil {
		s.fail(w, *p)
		return
	}
	chat, p := s.messageIDs(body.Messages)
	if p != nil {
		s.fail(w, *p)
		return
	}
	ids := append(bytesToIDs(body.Prompt), chat...)
	writeJSON(w, 200, object{"count", len(ids), "max_model_len", s.c.maxLen, "tokens", ids, "token_strs", nil})
}

func (s *server) detokenize(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Tokens []int32 `json:"tokens"`
	}
	if p := s.decode(r, &body); p != nil {
		s.fail(w, *p)
		return
	}
	text := make([]byte, 0, len(body.Tokens))
	for _, id := range body.Tokens {
		text = append(text, byte(id-firstByte))
	}
	writeJSON(w, 200, object{"prompt", string(text)})
}

// firstByte is the token id of the byte 0.
const firstByte = 8

func bytesToIDs(text string) []int32 {
	ids := make([]int32, 0, len(text))
	for i := range len(text) {
		ids = append(ids, int32(text[i])+firstByte)
	}
	return ids
}

// truthLog is the simulator's own word on when it wrote each token.
type truthLog struct {
	mu     sync.Mutex
	file   *os.File
	clock  lab.Clock
	failed bool
}

// now is the time on CLOCK_MONOTONIC; 0 where nobody asked for the truth.
func (l *truthLog) now() time.Duration {
	if l == nil {
		return 0
	}
	return l.clock.Now()
}

// write notes that a row was told its tokens up to the index-th at this time, the last n of them in one frame.
func (l *truthLog) write(id string, prompt uint64, row, index, n int, at time.Duration) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := fmt.Fprintf(l.file, `{"id":%q,"prompt":%d,"choice":%d,"index":%d,"tokens":%d,"monotonic_ns":%d}`+"\n", id, prompt, row, index, n, at.Nanoseconds()); err != nil && !l.failed {
		l.failed = true
		fmt.Fprintf(os.Stderr, "lab sim: write truth: %v\n", err)
	}
}
