package selftest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// The test binary also plays the truth server, which owns its process.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == truthRole {
		if err := ServeTruth(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

const truthRole = "play-truth"

func startTestTruth(t *testing.T, timing Timing) *truthProcess {
	t.Helper()
	p, err := startTruth(t.Context(), []string{os.Args[0], truthRole}, -1, timing)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func completion(id string, tokens int) string {
	body := fmt.Sprintf(`{"model":"truth","prompt":[1,2,3],"stream":true,"max_tokens": %d}`, tokens)
	return fmt.Sprintf("POST /v1/completions HTTP/1.1\r\nHost: x\r\nX-Request-Id: %s\r\nContent-Length: %d\r\n\r\n%s", id, len(body), body)
}

// A moment is true if nothing that it must lie between can be otherwise: no byte is read before it was written, none is
// written before its request was read, and no token before it was due. All clocks are one.
func TestTheTruthServersStampsAreTrue(t *testing.T) {
	const streams, tokens = 20, 8
	timing := Timing{First: 15 * time.Millisecond, Gap: 5 * time.Millisecond, Input: 3}
	server := startTestTruth(t, timing)
	type side struct {
		sent int64
		read []int64 // when each token had been read
	}
	sides := make([]side, streams)
	clock := newMonotonic()
	var all sync.WaitGroup
	for i := range streams {
		all.Go(func() {
			c, err := net.Dial("tcp", strings.TrimPrefix(server.url, "http://"))
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			sides[i].sent = clock.now()
			io.WriteString(c, completion(fmt.Sprint("r", i), tokens))
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Error(err)
				return
			}
			for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
				if bytes.Contains(lines.Bytes(), []byte(`"text":" word"`)) {
					sides[i].read = append(sides[i].read, clock.now())
				}
			}
		})
	}
	all.Wait()
	known, err := server.end()
	if err != nil {
		t.Fatal(err)
	}
	if len(known) != streams {
		t.Fatalf("the server knows of %d requests, %d were sent", len(known), streams)
	}
	for i, s := range sides {
		truth := known[fmt.Sprint("r", i)]
		if len(truth.Before) != tokens || len(truth.After) != tokens || len(s.read) != tokens {
			t.Fatalf("request %d: %d writes begun, %d ended, %d tokens read, want %d", i, len(truth.Before), len(truth.After), len(s.read), tokens)
		}
		if truth.Received < s.sent {
			t.Errorf("request %d was read before it was sent", i)
		}
		for n := range tokens {
			switch {
			case truth.Before[n] < truth.Due(n, timing):
				t.Errorf("request %d: token %d was written before it was due", i, n)
			case truth.After[n] < truth.Before[n]:
				t.Errorf("request %d: the write of token %d ended before it began", i, n)
			case s.read[n] < truth.Before[n]:
				t.Errorf("request %d: token %d was read before it was written", i, n)
			case n > 0 && truth.Before[n] < truth.After[n-1]:
				t.Errorf("request %d: token %d was written before the one before it", i, n)
			}
		}
		if want := truth.Received + int64(timing.First+7*timing.Gap); truth.Due(7, timing) != want {
			t.Errorf("request %d: token 7 is due at %d, want %d", i, truth.Due(7, timing), want)
		}
	}
}

// An answer is one that any client of vLLM understands, however its request came in: in pieces, on a used connection.
func TestTheTruthServerSpeaksTheCompletionsAPI(t *testing.T) {
	server := startTestTruth(t, Timing{First: time.Millisecond, Gap: time.Millisecond, Input: 3})
	c, err := net.Dial("tcp", strings.TrimPrefix(server.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	in := bufio.NewReader(c)
	answer := func(parts ...string) (int, string) {
		t.Helper()
		for _, p := range parts {
			io.WriteString(c, p)
			time.Sleep(time.Millisecond) // so that they arrive apart, mostly
		}
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
	ask := completion("a", 2)
	const event = `data: {"id":"cmpl-truth","object":"text_completion","created":1,"model":"truth","choices":[%s],"usage":{"prompt_tokens":3,"total_tokens":%d,"completion_tokens":%d}}` + "\n\n"
	const choice = `{"index":0,"text":" word","logprobs":null,"finish_reason":%s,"stop_reason":null}`
	want := fmt.Sprintf(event, fmt.Sprintf(choice, "null"), 4, 1) + fmt.Sprintf(event, fmt.Sprintf(choice, `"length"`), 5, 2) +
		fmt.Sprintf(event, "", 5, 2) + "data: [DONE]\n\n"
	for range 2 {
		if status, body := answer(ask[:10], ask[10:60], ask[60:]); status != 200 || body != want {
			t.Fatalf("status %d, body\n%s\nwant\n%s", status, body, want)
		}
	}
	for path, want := range map[string]string{"/health": "", "/version": `{"version":"0.0.0+truth"}`, "/nothing": "no such page\n",
		"/metrics": "# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running 0\n"} {
		if _, body := answer("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n"); body != want {
			t.Errorf("GET %s answers %q, want %q", path, body, want)
		}
	}
	if status, body := answer("GET /health HTTP/2\r\n\r\n"); status != 400 || !strings.Contains(body, "first line") {
		t.Errorf("a bad request is answered %d %q", status, body)
	}
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("after a bad request the connection gives %v, want its end", err)
	}
	if known, err := server.end(); err != nil || len(known) != 1 || len(known["a"].Before) != 2 {
		t.Errorf("the server knows %v (%v), want the last stream", known, err)
	}
}

// FuzzParseRequest: whatever comes, and in whatever pieces, the parser neither reads past its end nor changes its mind; what
// it takes for a request, net/http takes for the same one.
func FuzzParseRequest(f *testing.F) {
	f.Add(completion("id", 7), 20)
	f.Add("GET /health HTTP/1.1\r\nConnection: close\r\n\r\n", 3)
	f.Add("POST /v1/completions HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", 40)
	f.Add("POST / HTTP/1.1\r\ncontent-length: 99999999999999999999\r\n\r\n", 1)
	f.Add("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 1)
	f.Add("POST / HTTP/1.1\r\nContent-Length: 36\r\n\r\n{\"prompt\":\"\\\"max_tokens\\\":5\",\"x\":true}", 1)
	f.Add("GET * HTTP/1.1\nX-Request-Id:00\r\n\r\n", 81)
	f.Add("GET * HTTP/1.1\r\nX-Request-Id:00\r\n \r\n\r\n", 9)
	f.Fuzz(func(t *testing.T, text string, cut int) {
		r, err := parseRequest([]byte(text))
		if cut >= 0 && cut < len(text) && err == nil {
			early, problem := parseRequest([]byte(text[:cut]))
			if problem == nil && early != r || problem != nil && !errors.Is(problem, errIncomplete) {
				t.Fatalf("the first %d bytes give %+v (%v), all of them %+v", cut, early, problem, r)
			}
		}
		if err != nil {
			return
		}
		oracle, oracleErr := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
		if oracleErr != nil {
			return // net/http is stricter about what cannot matter here
		}
		if oracle.Method != r.method || oracle.RequestURI != r.path {
			t.Fatalf("%s %s, net/http reads %s %s", r.method, r.path, oracle.Method, oracle.RequestURI)
		}
		if id := oracle.Header.Values("X-Request-Id"); len(id) == 1 && id[0] != r.id {
			t.Fatalf("id %q, net/http reads %q", r.id, id[0])
		}
	})
}
