package sim

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"lab/internal/lab"
)

// server is vLLM's HTTP interface over a loop.
type server struct {
	c        *command
	t        traits
	loop     *loop
	created  int64
	ids      atomic.Int64
	streams  sync.WaitGroup // open requests
	abort    chan struct{}  // closed when the server shuts down: requests end with finish_reason "abort"
	clock    lab.Clock      // of the truth log: offsets are CLOCK_MONOTONIC itself
	truth    *truthLog
	profiler atomic.Bool
	latency  latencies
}

func newServer(c *command, t traits, l *loop) (*server, error) {
	s := &server{c: c, t: t, loop: l, created: time.Now().Unix(), abort: make(chan struct{}), clock: lab.Epoch{}.Clock()}
	if c.truth != "" {
		f, err := os.Create(c.truth)
		if err != nil {
			return nil, fmt.Errorf("write truth: %w", err)
		}
		s.truth = &truthLog{enc: json.NewEncoder(f), file: f}
	}
	return s, nil
}

func (s *server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", s.health)
	mux.HandleFunc("/ping", s.health)
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, 200, map[string]string{"version": s.t.version})
	})
	mux.HandleFunc("GET /load", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, 200, map[string]int{"server_load": 0}) })
	mux.HandleFunc("GET /v1/models", s.keyed(s.models))
	mux.HandleFunc("GET /metrics", s.metrics)
	mux.HandleFunc("POST /tokenize", s.tokenize)
	mux.HandleFunc("POST /detokenize", s.detokenize)
	mux.HandleFunc("POST /v1/completions", s.keyed(func(w http.ResponseWriter, r *http.Request) { s.generate(w, r, false) }))
	mux.HandleFunc("POST /v1/chat/completions", s.keyed(func(w http.ResponseWriter, r *http.Request) { s.generate(w, r, true) }))
	mux.HandleFunc("POST /start_profile", s.startProfile)
	mux.HandleFunc("POST /stop_profile", s.stopProfile)
	mux.HandleFunc("GET /sim/gpu", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, 200, map[string]any{"devices": []any{s.loop.device()}})
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, 404, map[string]string{"detail": "Not Found"})
	})
	return mux
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(value)
}

func (s *server) crashed() bool {
	select {
	case <-s.loop.dead:
		return true
	default:
		return false
	}
}

func (s *server) health(w http.ResponseWriter, _ *http.Request) {
	if s.crashed() {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

// keyed asks for the API key where the server has one, as vLLM does below /v1.
func (s *server) keyed(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if s.c.apiKey != "" && r.Header.Get("Authorization") != "Bearer "+s.c.apiKey {
			writeJSON(w, 401, map[string]string{"error": "Unauthorized"})
			return
		}
		next(w, r)
	}
}

func (s *server) names() []string {
	if s.c.faults.wrongName {
		return []string{"another-model"}
	}
	return strings.Fields(s.c.served)
}

func (s *server) models(w http.ResponseWriter, _ *http.Request) {
	var data []any
	for _, name := range s.names() {
		data = append(data, map[string]any{
			"id": name, "object": "model", "created": s.created, "owned_by": "vllm",
			"root": s.c.model, "parent": nil, "max_model_len": s.c.maxLen,
		})
	}
	writeJSON(w, 200, map[string]any{"object": "list", "data": data})
}

// problem writes an error in the shape of the version.
func (s *server) problem(w http.ResponseWriter, status int, kind, message string, param any) {
	writeJSON(w, status, s.errorBody(status, kind, message, param))
}

func (s *server) errorBody(status int, kind, message string, param any) map[string]any {
	fields := map[string]any{"message": message, "type": kind, "param": param, "code": status}
	if s.t.flatErrors {
		fields["object"] = "error"
		return fields
	}
	return map[string]any{"error": fields}
}

// tokenize treats each byte as a token: its id is the byte's value plus 8.
func (s *server) tokenize(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Prompt string `json:"prompt"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		s.problem(w, 400, "Bad Request", "JSON decode error: "+err.Error(), "body")
		return
	}
	ids := bytesToIDs(body.Prompt)
	writeJSON(w, 200, map[string]any{"count": len(ids), "max_model_len": s.c.maxLen, "tokens": ids, "token_strs": nil})
}

func bytesToIDs(text string) []int32 {
	ids := make([]int32, 0, len(text))
	for i := range len(text) {
		ids = append(ids, int32(text[i])+8)
	}
	return ids
}

func (s *server) detokenize(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Tokens []int32 `json:"tokens"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		s.problem(w, 400, "Bad Request", "JSON decode error: "+err.Error(), "body")
		return
	}
	text := make([]byte, 0, len(body.Tokens))
	for _, id := range body.Tokens {
		text = append(text, byte(id-8))
	}
	writeJSON(w, 200, map[string]string{"prompt": string(text)})
}

// request is the part of a completion or chat request that matters here.
type request struct {
	Model     string          `json:"model"`
	Prompt    json.RawMessage `json:"prompt"`
	Messages  []message       `json:"messages"`
	MaxTokens *int            `json:"max_tokens"`
	MaxChat   *int            `json:"max_completion_tokens"`
	Temp      *float64        `json:"temperature"`
	IgnoreEOS bool            `json:"ignore_eos"`
	Stream    bool            `json:"stream"`
	Options   struct {
		Usage      bool `json:"include_usage"`
		Continuous bool `json:"continuous_usage_stats"`
	} `json:"stream_options"`
}

type message struct {
	Role    string          `json:"role"`
	Content json.RawMessage `json:"content"`
}

// understand reads and checks a request; where it is refused, the answer has been written.
func (s *server) understand(w http.ResponseWriter, r *http.Request, chat bool) (q request, prompt []int32, want int, ok bool) {
	refuse := func(message, param string) (request, []int32, int, bool) {
		s.problem(w, 400, "BadRequestError", message, param)
		return q, nil, 0, false
	}
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		s.problem(w, 400, "Bad Request", "1 validation error:\n  {'type': 'json_invalid', 'msg': 'JSON decode error'}", "body")
		return q, nil, 0, false
	}
	known := false
	for _, name := range s.names() {
		known = known || name == q.Model
	}
	if !known {
		s.problem(w, 404, "NotFoundError", fmt.Sprintf("The model `%s` does not exist.", q.Model), "model")
		return q, nil, 0, false
	}
	if chat {
		for _, m := range q.Messages {
			var text string
			if json.Unmarshal(m.Content, &text) != nil {
				text = string(m.Content) // parts, with pictures
			}
			prompt = append(prompt, bytesToIDs(text)...)
		}
	} else {
		prompt = promptIDs(q.Prompt)
	}
	if len(prompt) == 0 {
		return refuse("Either prompt or prompt_embeds must be provided and non-empty.", "prompt")
	}
	want = 16
	if chat {
		want = s.c.maxLen - len(prompt)
	}
	for _, given := range []*int{q.MaxTokens, q.MaxChat} {
		if given != nil {
			want = *given
		}
	}
	switch {
	case want < 1:
		return refuse(fmt.Sprintf("max_tokens must be at least 1, got %d. (parameter=max_tokens, value=%d)", want, want), "max_tokens")
	case q.Temp != nil && *q.Temp < 0:
		return refuse(fmt.Sprintf("temperature must be non-negative, got %v.", *q.Temp), "temperature")
	case want > s.c.maxLen:
		return refuse(fmt.Sprintf("max_tokens=%d cannot be greater than max_model_len=%d. Please request fewer output tokens. (parameter=max_tokens, value=%d)", want, s.c.maxLen, want), "max_tokens")
	case len(prompt)+want > s.c.maxLen:
		return refuse(fmt.Sprintf("This model's maximum context length is %d tokens. However, you requested %d output tokens and your prompt contains %d input tokens.", s.c.maxLen, want, len(prompt)), "input_tokens")
	}
	return q, prompt, want, true
}

// promptIDs reads a prompt in any of its forms: text, token ids, or a list of either, of which the first counts.
func promptIDs(raw json.RawMessage) []int32 {
	var text string
	var ids []int32
	var texts []string
	var lists [][]int32
	switch {
	case json.Unmarshal(raw, &text) == nil:
		return bytesToIDs(text)
	case json.Unmarshal(raw, &ids) == nil:
		return ids
	case json.Unmarshal(raw, &texts) == nil && len(texts) > 0:
		return bytesToIDs(texts[0])
	case json.Unmarshal(raw, &lists) == nil && len(lists) > 0:
		return lists[0]
	}
	return nil
}

// hashIDs is FNV-1a over the ids as little-endian words: the key under which the truth log names a request.
func hashIDs(ids []int32) uint64 {
	h := fnv.New64a()
	for _, id := range ids {
		h.Write(binary.LittleEndian.AppendUint32(nil, uint32(id)))
	}
	return h.Sum64()
}

// token is one generated token on its way to a client.
type token struct {
	at     time.Time
	made   int
	cached int
}

func (s *server) generate(w http.ResponseWriter, r *http.Request, chat bool) {
	s.streams.Add(1)
	defer s.streams.Done()
	arrived := time.Now()
	q, prompt, want, ok := s.understand(w, r, chat)
	if !ok {
		return
	}
	if s.crashed() {
		s.problem(w, 500, "InternalServerError", engineDied, nil)
		return
	}
	a := &answer{s: s, q: q, hash: hashIDs(prompt), chat: chat, id: fmt.Sprintf("cmpl-sim-%d", s.ids.Add(1)), prompt: len(prompt), finish: "length", arrived: arrived}
	if !q.IgnoreEOS {
		want, a.finish = endOfSequence(want)
	}
	a.afflict(&want)
	for _, id := range prompt {
		if id < 0 || int(id) >= s.c.vocab {
			a.fail(w, 400, "BadRequestError", fmt.Sprintf("Token id %d is out of vocabulary", id))
			return
		}
	}
	tokens := make(chan token, want)
	seq := &sequence{prompt: prompt, want: want}
	seq.emit = func(_ stepResult, made int) {
		s.loop.deliver(func(at time.Time) { tokens <- token{at, made, seq.cached} })
	}
	s.loop.incoming <- seq
	defer s.loop.lock(func() { seq.gone = true })
	if q.Stream {
		a.stream(w, r, tokens, want)
	} else {
		a.whole(w, r, tokens, want)
	}
}

// endOfSequence draws where a model would stop of itself.
func endOfSequence(want int) (int, string) {
	const chance = 1.0 / 200
	for n := 1; n < want; n++ {
		if rand.Float64() < chance {
			return n, "stop"
		}
	}
	return want, "length"
}

const engineDied = "EngineCore encountered an issue. See stack trace (above) for the root cause."

func (s *server) startProfile(w http.ResponseWriter, _ *http.Request) {
	if _, on := s.c.given["profiler-config"]; !on && os.Getenv("VLLM_TORCH_PROFILER_DIR") == "" {
		writeJSON(w, 404, map[string]string{"detail": "Not Found"})
		return
	}
	if s.profiler.Swap(true) && s.t.version == "0.32.0" {
		s.problem(w, 409, "Conflict", "A profiling session is already active. Call /stop_profile before starting another session.", nil)
	}
}

func (s *server) stopProfile(w http.ResponseWriter, _ *http.Request) {
	if _, on := s.c.given["profiler-config"]; !on && os.Getenv("VLLM_TORCH_PROFILER_DIR") == "" {
		writeJSON(w, 404, map[string]string{"detail": "Not Found"})
		return
	}
	if !s.profiler.Swap(false) && (s.t.version == "0.17.1" || s.t.version == "0.15.1") {
		s.problem(w, 500, "InternalServerError", "Can't disable Kineto profiler when it's not running", nil)
	}
}

// truthLog is the simulator's own word on when it wrote each token.
type truthLog struct {
	mu   sync.Mutex
	enc  *json.Encoder
	file *os.File
}

func (l *truthLog) write(prompt uint64, index int, at time.Duration) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.enc.Encode(map[string]any{"prompt": prompt, "index": index, "monotonic_ns": at.Nanoseconds()})
}
