package loadgen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"lab/internal/lab"
)

// send sends one request to a server that plays the given handler and returns its record.
func send(t *testing.T, ctx context.Context, want int, handler http.HandlerFunc, set ...func(*client)) lab.RequestRecord {
	t.Helper()
	server := httptest.NewServer(handler)
	defer server.Close()
	c := newClient(Target{URL: server.URL, Model: "tiny"}, lab.NewEpoch().Clock(), func(*lab.RequestRecord) {})
	defer c.close()
	for _, f := range set {
		f(c)
	}
	rec := lab.RequestRecord{Intended: c.clock.Now()}
	c.do(ctx, Request{Path: "/v1/completions", Body: []byte("{}"), Output: want, Fixed: want > 0}, &rec)
	return rec
}

func stream200(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		w.Write([]byte(body))
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
	c := newClient(Target{URL: "http://" + listener.Addr().String()}, lab.NewEpoch().Clock(), func(*lab.RequestRecord) {})
	rec = lab.RequestRecord{}
	c.do(t.Context(), Request{Path: "/"}, &rec)
	if rec.Error != lab.ErrConnect {
		t.Errorf("got %+v", rec)
	}
	rec = send(t, t.Context(), 2, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	if rec.Error != lab.ErrCut || rec.Connected == 0 || rec.Written == 0 || rec.FirstByte != 0 {
		t.Errorf("a connection that broke before the answer: got %+v", rec)
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
	c := newClient(Target{URL: server.URL}, lab.NewEpoch().Clock(), func(*lab.RequestRecord) {})
	defer c.close()
	again := 0
	for range 20 {
		var rec lab.RequestRecord
		c.do(t.Context(), Request{Path: "/", Body: []byte("{}"), Output: 2, Fixed: true}, &rec)
		if rec.Error != "" {
			t.Fatalf("got %s: %s", rec.Error, rec.Detail)
		}
		if rec.Detail == sentAgain {
			again++
		}
		time.Sleep(20 * time.Millisecond) // the moment at which the server closes the connection
	}
	t.Logf("%d of 20 were sent again", again)
}
