package loadgen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lab/internal/lab"
)

// send sends one request to a server that plays the given handler and returns its record.
func send(t *testing.T, ctx context.Context, want int, handler http.HandlerFunc) lab.RequestRecord {
	t.Helper()
	server := httptest.NewServer(handler)
	defer server.Close()
	c := newClient(Target{URL: server.URL, Model: "tiny"}, lab.NewEpoch().Clock(), func(time.Duration) {})
	defer c.close()
	rec := lab.RequestRecord{Intended: c.clock.Now()}
	c.do(ctx, Request{Path: "/v1/completions", Body: []byte("{}"), Output: want}, &rec)
	return rec
}

func stream200(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		w.Write([]byte(body))
	}
}

func TestRecordedStreamsOfRealServersGiveTheirTokens(t *testing.T) {
	for _, tc := range []struct {
		file           string
		output, chunks int // tokens by the server's count (-1: it says none), events with output
	}{
		{"0.32-comp-a-plain", -1, 16},
		{"0.32-comp-b-usage", 16, 16},
		{"0.32-comp-c-contusage", 16, 16},
		{"0.32-chat-a-plain", -1, 16},
		{"0.32-chat-b-usage", 16, 16},
		{"0.32-chat-c-contusage", 16, 16},
		{"0.32-comp-h-interval", 16, 5},
		{"0.32-chat-f-logprobs", 16, 16},
		{"0.32-comp-g-tokenids-out", 16, 16},
		{"0.32-comp-merged-frames-under-load", 48, 10},
		{"0.8.5-completion", 8, 8},
		{"0.8.5-contusage", 8, 8},
		{"0.12.0-completion", 8, 6},
		{"0.12.0-contusage", 8, 8},
		{"0.17.1-completion", 8, 8},
		{"0.17.1-contusage", 8, 8},
	} {
		t.Run(tc.file, func(t *testing.T) {
			body, err := os.ReadFile(filepath.Join("testdata", "sse", tc.file+".sse"))
			if err != nil {
				t.Fatal(err)
			}
			rec := send(t, t.Context(), 0, stream200(string(body)))
			if rec.Error != "" {
				t.Fatalf("error %s: %s", rec.Error, rec.Detail)
			}
			output := -1
			if rec.Usage != nil {
				output = rec.Usage.Output
			}
			if output != tc.output || len(rec.Chunks) != tc.chunks || rec.Finish != "length" {
				t.Errorf("got %d tokens in %d chunks, finish %q; want %d in %d", output, len(rec.Chunks), rec.Finish, tc.output, tc.chunks)
			}
			if strings.Contains(tc.file, "contusage") {
				sum := 0
				for _, c := range rec.Chunks {
					sum += c.Tokens
				}
				if sum != tc.output {
					t.Errorf("the chunks' tokens add up to %d, want %d", sum, tc.output)
				}
			}
			for _, at := range []time.Duration{rec.Sent, rec.Connected, rec.Written, rec.FirstByte, rec.Chunks[0].At, rec.Done} {
				if at <= 0 {
					t.Errorf("a moment is missing: %+v", rec)
				}
			}
		})
	}
}

const oneToken = `data: {"choices":[{"index":0,"text":"a","finish_reason":null}],"usage":{"prompt_tokens":3,"completion_tokens":1}}` + "\n\n"
const lastToken = `data: {"choices":[{"index":0,"text":"b","finish_reason":"length"}],"usage":{"prompt_tokens":3,"completion_tokens":2}}` + "\n\n"
const done = "data: [DONE]\n\n"

func TestEveryWayAStreamCanFailIsItsOwnClass(t *testing.T) {
	engineDied := `data: {"error": {"message": "EngineCore encountered an issue. See stack trace (above) for the root cause.", "type": "InternalServerError", "param": null, "code": 500}}` + "\n\n"
	flat := `data: {"object":"error","message":"boom","type":"BadRequestError","param":null,"code":400}` + "\n\n"
	for name, tc := range map[string]struct {
		body, class, detail string
	}{
		"whole":                               {oneToken + lastToken + done, "", ""},
		"done without a finish":               {oneToken + done, lab.ErrCut, "finish reason"},
		"cut before done":                     {oneToken + lastToken, lab.ErrCut, "[DONE]"},
		"cut inside an event":                 {oneToken + `data: {"choices":[{"index"`, lab.ErrCut, "[DONE]"},
		"an error before the first token":     {engineDied + done, lab.ErrStream, "EngineCore encountered"},
		"an error after tokens, then done":    {oneToken + engineDied + done, lab.ErrStream, "EngineCore encountered"},
		"the flat error of old versions":      {oneToken + flat + done, lab.ErrStream, "boom"},
		"an abort that looks like an end":     {oneToken + strings.Replace(lastToken, "length", "abort", 1) + done, lab.ErrAbort, ""},
		"fewer tokens than fixed":             {strings.Replace(oneToken, "null", `"stop"`, 1) + done, lab.ErrTokens, "1 tokens came, 2"},
		"no JSON":                             {"data: hello\n\n" + done, lab.ErrFormat, ""},
		"no output at all":                    {`data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":"stop"}]}` + "\n\n" + done, lab.ErrFormat, "no output"},
		"words of the protocol inside text":   {strings.Replace(oneToken, `"a"`, `"\"error\":{\"finish_reason\":\"abort\"} [DONE]"`, 1) + lastToken + done, "", ""},
		"comments and blank lines in between": {": keep-alive\n\n" + oneToken + "\n\n: x\n" + lastToken + done, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			rec := send(t, t.Context(), 2, stream200(tc.body))
			if rec.Error != tc.class || !strings.Contains(rec.Detail, tc.detail) {
				t.Errorf("got %q (%s), want %q (…%s…)", rec.Error, rec.Detail, tc.class, tc.detail)
			}
		})
	}
}

func TestAnAnswerThatIsNoStreamIsItsOwnClass(t *testing.T) {
	rec := send(t, t.Context(), 2, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, "{\"error\":{\"message\":\"The model `nope` does not exist.\",\"type\":\"NotFoundError\",\"param\":\"model\",\"code\":404}}")
	})
	if rec.Error != lab.ErrStatus || rec.Status != 404 || !strings.Contains(rec.Detail, "`nope` does not exist") {
		t.Errorf("got %+v", rec)
	}
	rec = send(t, t.Context(), 2, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") })
	if rec.Error != lab.ErrFormat {
		t.Errorf("got %+v", rec)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	c := newClient(Target{URL: "http://" + listener.Addr().String()}, lab.NewEpoch().Clock(), func(time.Duration) {})
	rec = lab.RequestRecord{}
	c.do(t.Context(), Request{Path: "/"}, &rec)
	if rec.Error != lab.ErrConnect {
		t.Errorf("got %+v", rec)
	}
}

func TestARequestThatIsEndedFromOutsideKeepsItsChunksAndTheCause(t *testing.T) {
	hang := func(w http.ResponseWriter, r *http.Request) {
		stream200(oneToken)(w, r)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { cancel(errors.New("server exited: exit code 1")) })
	rec := send(t, ctx, 2, hang)
	if rec.Error != lab.ErrCanceled || rec.Detail != "server exited: exit code 1" || len(rec.Chunks) != 1 {
		t.Errorf("got %+v", rec)
	}
	timed, stop := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, errRequestTimeout)
	defer stop()
	if rec = send(t, timed, 2, hang); rec.Error != lab.ErrTimeout {
		t.Errorf("got %+v", rec)
	}
}

func TestAnIdleConnectionThatTheServerClosedIsNoFailure(t *testing.T) {
	server := httptest.NewUnstartedServer(stream200(oneToken + lastToken + done))
	server.Config.IdleTimeout = 20 * time.Millisecond
	server.Start()
	defer server.Close()
	c := newClient(Target{URL: server.URL}, lab.NewEpoch().Clock(), func(time.Duration) {})
	defer c.close()
	for range 20 {
		var rec lab.RequestRecord
		c.do(t.Context(), Request{Path: "/", Body: []byte("{}"), Output: 2}, &rec)
		if rec.Error != "" {
			t.Fatalf("got %s: %s", rec.Error, rec.Detail)
		}
		time.Sleep(20 * time.Millisecond) // the moment at which the server closes the connection
	}
}
