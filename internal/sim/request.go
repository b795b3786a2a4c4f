package sim

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// request is the part of a completion or chat request that matters here; other fields are ignored, as vLLM does.
type request struct {
	Model     string          `json:"model"`
	Prompt    json.RawMessage `json:"prompt"`
	Messages  []message       `json:"messages"`
	N         *int            `json:"n"`
	MaxTokens *int            `json:"max_tokens"`
	MaxChat   *int            `json:"max_completion_tokens"`
	MinTokens int             `json:"min_tokens"`
	Temp      *float64        `json:"temperature"`
	IgnoreEOS bool            `json:"ignore_eos"`
	Stream    bool            `json:"stream"`
	Interval  int             `json:"stream_interval"`
	TokenIDs  bool            `json:"return_token_ids"`
	Options   struct {
		Usage      bool `json:"include_usage"`
		Continuous bool `json:"continuous_usage_stats"`
	} `json:"stream_options"`
}

type message struct {
	Role    string          `json:"role"`
	Content json.RawMessage `json:"content"`
}

const bodyLimit = 64 << 20

// decode reads a JSON body; nil: it could be read.
func (s *server) decode(r *http.Request, into any) *problem {
	kind := "Bad Request"
	if s.t.flatErrors {
		kind = "BadRequestError"
	}
	if media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); strings.TrimSpace(media) != "application/json" {
		return &problem{400, kind, "1 validation error:\n  Unsupported Media Type: Only 'application/json' is allowed", nil}
	}
	text, err := io.ReadAll(io.LimitReader(r.Body, bodyLimit))
	if err != nil {
		return &problem{400, kind, "There was an error parsing the body", nil}
	}
	var wrong *json.UnmarshalTypeError
	switch err := json.Unmarshal(text, into); {
	case err == nil:
		return nil
	case errors.As(err, &wrong):
		want := wrong.Type.Kind().String()
		if want == "int" {
			want = "integer"
		}
		return &problem{400, kind, fmt.Sprintf("1 validation error:\n  {'type': '%s_parsing', 'loc': ('body', '%s'), 'msg': 'Input should be a valid %s, unable to parse %s as an %s'}",
			wrong.Type.Kind(), wrong.Field, want, wrong.Value, want), nil}
	default:
		at := fmt.Sprintf("body.%d", len(text))
		return &problem{400, kind, fmt.Sprintf("1 validation error:\n  {'type': 'json_invalid', 'loc': '%s', 'msg': 'JSON decode error', 'input': '<dict of 0 items>', 'ctx': {'error': 'Expecting value'}}", at), at}
	}
}

// job is a request, understood.
type job struct {
	request
	chat    bool
	prompts [][]int32
	n       int // texts for each prompt
	want    int // tokens of each text
}

// understand reads and checks a request.
func (s *server) understand(r *http.Request, chat bool) (job, *problem) {
	j := job{chat: chat, n: 1}
	if p := s.decode(r, &j.request); p != nil {
		return j, p
	}
	if j.N != nil {
		j.n = *j.N
	}
	if p := s.checkNumbers(&j); p != nil {
		return j, p
	}
	if !slices.Contains(s.names(), j.Model) {
		return j, s.unknownModel(j.Model)
	}
	if chat {
		ids, p := s.messageIDs(j.Messages)
		if p != nil {
			return j, p
		}
		j.prompts = [][]int32{ids}
	} else {
		j.prompts = promptIDs(j.Prompt)
	}
	longest := 0
	for _, ids := range j.prompts {
		longest = max(longest, len(ids))
		if len(ids) == 0 {
			longest = 0
			break
		}
	}
	if longest == 0 {
		return j, s.bad("prompt", "Either prompt or prompt_embeds must be provided and non-empty. (parameter=prompt)")
	}
	j.want = 16
	if chat {
		j.want = max(1, s.c.maxLen-longest)
	}
	for _, given := range []*int{j.MaxTokens, j.MaxChat} {
		if given != nil {
			j.want = *given
		}
	}
	return j, s.checkLength(j.want, longest)
}

func (s *server) bad(param, format string, args ...any) *problem {
	p := &problem{400, "BadRequestError", fmt.Sprintf(format, args...), nil}
	if s.t.minor > 12 {
		p.param = param
	}
	return p
}

func (s *server) checkNumbers(j *job) *problem {
	for _, given := range []*int{j.MaxTokens, j.MaxChat} {
		if given != nil && *given < 1 {
			return s.bad("max_tokens", "max_tokens must be at least 1, got %d. (parameter=max_tokens, value=%d)", *given, *given)
		}
	}
	if j.Temp != nil && *j.Temp < 0 {
		t := pythonFloat(*j.Temp)
		return s.bad("temperature", "temperature must be non-negative, got %s. (parameter=temperature, value=%s)", t, t)
	}
	if j.n < 1 {
		return s.bad("n", "n must be at least 1, got %d. (parameter=n, value=%d)", j.n, j.n)
	}
	return nil
}

func (s *server) unknownModel(name string) *problem {
	p := &problem{404, "NotFoundError", fmt.Sprintf("The model `%s` does not exist.", name), nil}
	if s.t.minor > 12 {
		p.param = "model"
	}
	if s.t.minor >= 18 {
		p.message += " Valid aliases: " + strings.Join(s.names(), ", ") + "."
	}
	return p
}

// checkLength refuses what does not fit the context, in the words of the version.
func (s *server) checkLength(want, prompt int) *problem {
	limit := s.c.maxLen
	switch {
	case prompt+want <= limit:
		return nil
	case s.t.minor < 10:
		return s.bad("", "This model's maximum context length is %d tokens. However, you requested %d tokens (%d in the messages, %d in the completion). Please reduce the length of the messages or completion.", limit, prompt+want, prompt, want)
	case s.t.minor == 12:
		return s.bad("", "This model's maximum context length is %d tokens. However, your request has %d input tokens. Please reduce the length of the input messages.", limit-want, prompt)
	case want > limit && s.t.nullUsage:
		return s.bad("max_tokens", "max_tokens=%dcannot be greater than max_model_len=max_total_tokens=%d. Please request fewer output tokens. (parameter=max_tokens, value=%d)", want, limit, want)
	case want > limit:
		return s.bad("max_tokens", "max_tokens=%d cannot be greater than max_model_len=%d. Please request fewer output tokens. (parameter=max_tokens, value=%d)", want, limit, want)
	}
	return s.bad("input_tokens", "This model's maximum context length is %d tokens. However, you requested %d output tokens and your prompt contains at least %d input tokens, for a total of at least %d tokens. (parameter=input_tokens, value=%d)", limit, want, prompt, prompt+want, prompt)
}

// foreign is the first token id that the model does not have, if there is one.
func (s *server) foreign(prompts [][]int32) (int32, bool) {
	for _, ids := range prompts {
		for _, id := range ids {
			if id < 0 || int(id) >= s.c.vocab {
				return id, true
			}
		}
	}
	return 0, false
}

// promptIDs reads a prompt in any of its forms: text, token ids, or a list of either.
func promptIDs(raw json.RawMessage) [][]int32 {
	var text string
	var ids []int32
	var texts []string
	var lists [][]int32
	switch {
	case json.Unmarshal(raw, &text) == nil:
		return [][]int32{bytesToIDs(text)}
	case json.Unmarshal(raw, &ids) == nil:
		return [][]int32{ids}
	case json.Unmarshal(raw, &texts) == nil:
		for _, t := range texts {
			lists = append(lists, bytesToIDs(t))
		}
		return lists
	case json.Unmarshal(raw, &lists) == nil:
		return lists
	}
	return nil
}

// hashIDs is FNV-1a over the ids as little-endian words: the key under which the truth log names a prompt.
func hashIDs(ids []int32) uint64 {
	h := fnv.New64a()
	for _, id := range ids {
		h.Write(binary.LittleEndian.AppendUint32(nil, uint32(id))) // cannot fail
	}
	return h.Sum64()
}

// requestID is the id of an answer: that of the client's header, or a new one.
func (s *server) requestID(r *http.Request, chat bool) string {
	prefix := "cmpl-"
	if chat {
		prefix = "chatcmpl-"
	}
	if id := r.Header.Get("X-Request-Id"); id != "" && strconv.Quote(id) == `"`+id+`"` {
		return prefix + id
	}
	return prefix + s.id()
}
