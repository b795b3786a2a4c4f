package loadgen

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lab/internal/lab"
)

func recording(t *testing.T, parts ...string) []byte {
	t.Helper()
	body, err := os.ReadFile(filepath.Join(append([]string{"testdata"}, parts...)...))
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestRecordedStreamsOfRealServersGiveTheirTokens(t *testing.T) {
	for _, tc := range []struct {
		file           string
		output, chunks int // tokens by the server's count (-1: it says none), events with output
	}{
		{"0.32-comp-a-plain", -1, 16},
		{"0.32-comp-b-usage", 16, 16},
		{"0.32-comp-c-contusage", 16, 16},
		{"0.32-comp-e-tokenids", 16, 16},
		{"0.32-comp-f-logprobs", 16, 16},
		{"0.32-comp-g-tokenids-out", 16, 16},
		{"0.32-comp-h-interval", 16, 5},
		{"0.32-comp-merged-frames-under-load", 48, 10},
		{"0.32-chat-a-plain", -1, 16},
		{"0.32-chat-b-usage", 16, 16},
		{"0.32-chat-c-contusage", 16, 16},
		{"0.32-chat-f-logprobs", 16, 16},
		{"0.32-chat-g-tokenids-out", 16, 16},
		{"0.8.5-completion", 8, 8},
		{"0.8.5-contusage", 8, 8},
		{"0.12.0-completion", 8, 6},
		{"0.12.0-contusage", 8, 8},
		{"0.17.1-completion", 8, 8},
		{"0.17.1-contusage", 8, 8},
	} {
		t.Run(tc.file, func(t *testing.T) {
			rec := send(t, t.Context(), 0, stream200(string(recording(t, "sse", tc.file+".sse"))))
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

func TestRecordedErrorsInStatus200AreErrors(t *testing.T) {
	for file, want := range map[string]string{
		"0.32-token-out-of-vocab": "Token id 99999999 is out of vocabulary",
		"0.12.0-enginedead":       "EngineCore encountered an issue",
	} {
		rec := send(t, t.Context(), 2, stream200(string(recording(t, "sse", file+".sse"))))
		if rec.Error != lab.ErrStream || !strings.HasPrefix(rec.Detail, want) {
			t.Errorf("%s: got %q: %s", file, rec.Error, rec.Detail)
		}
	}
}

func TestRecordedRefusalsKeepTheServersMessage(t *testing.T) {
	for file, want := range map[string]string{
		"0.32-bad-json.txt":               "status 400: 1 validation error:",
		"0.32-ctx-too-long.txt":           "status 400: max_tokens=5000 cannot be greater",
		"0.32-get-method.txt":             "status 405: Method Not Allowed",
		"0.32-not-found.txt":              "status 404: Not Found",
		"0.32-no-content-type.txt":        "status 400: 1 validation error:",
		"0.32-unknown-model.txt":          "status 404: The model `nope` does not exist.",
		"0.17.1-error-unknown-model.json": "status 404: The model `nope` does not exist.",
		"0.17.1-error-too-long.json":      "status 400: max_tokens=5000cannot be greater",
		"0.12.0-error-unknown-model.json": "status 404: The model `nope` does not exist.",
		"0.12.0-error-too-long.json":      "status 400: This model's maximum context length",
		"0.8.5-error-unknown-model.json":  "status 404: The model `nope` does not exist.",
		"0.8.5-error-too-long.json":       "status 400: This model's maximum context length is 1024",
	} {
		raw, _, _ := bytes.Cut(recording(t, "http", file), []byte("--- request"))
		raw = bytes.TrimRight(raw, "\n")
		if filepath.Ext(file) == ".json" { // one line says status and type, then comes the body
			line, body, _ := bytes.Cut(raw, []byte("\n"))
			code := strings.Fields(string(line))[1]
			raw = fmt.Appendf(nil, "HTTP/1.1 %s Refused\r\ncontent-length: %d\r\n\r\n%s", code, len(body), body)
		}
		rec := play(t, raw)
		if rec.Error != lab.ErrStatus || !strings.HasPrefix(rec.Detail, want) || fmt.Sprint(rec.Status) != want[7:10] {
			t.Errorf("%s: got %q, status %d: %s", file, rec.Error, rec.Status, rec.Detail)
		}
	}
}

// The raw recordings are what came over the socket while something happened to the server. Of the long ones only the end
// was kept, so they begin inside a chunk.
func TestRecordedEndsOfStreamsGetTheirClass(t *testing.T) {
	for _, tc := range []struct {
		file, class, detail string
		chunks              int
	}{
		{"normal", "", "", 64},
		{"disconnect", lab.ErrCut, "broke off", 83},
		{"sigterm-abort", lab.ErrAbort, "aborted", 82},
		{"sigterm-error", lab.ErrStream, "EngineCore encountered", 82},
		{"engine-killed", lab.ErrStream, "EngineCore encountered", 82},
	} {
		raw := recording(t, "raw", "0.32-"+tc.file+".raw")
		if !bytes.HasPrefix(raw, []byte("HTTP/")) {
			_, whole, _ := bytes.Cut(raw, []byte("\n\n\r\n"))
			raw = append([]byte("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"), whole...)
		}
		rec := play(t, raw)
		if rec.Error != tc.class || !strings.Contains(rec.Detail, tc.detail) || len(rec.Chunks) != tc.chunks {
			t.Errorf("%s: got %q (%s), %d chunks", tc.file, rec.Error, rec.Detail, len(rec.Chunks))
		}
	}
}

// play answers one request with exactly these bytes and closes the connection.
func play(t *testing.T, raw []byte) lab.RequestRecord {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	served := make(chan error, 1)
	go func() { served <- serveOnce(listener, raw) }()
	c := newClient(Target{URL: "http://" + listener.Addr().String()}, lab.NewEpoch().Clock(), func(*lab.RequestRecord) {})
	defer c.close()
	var rec lab.RequestRecord
	c.do(t.Context(), Request{Path: "/v1/completions", Body: []byte("{}")}, &rec)
	if err := <-served; err != nil {
		t.Fatal(err)
	}
	return rec
}

func serveOnce(listener net.Listener, raw []byte) error {
	conn, err := listener.Accept()
	if err != nil {
		return err
	}
	defer conn.Close()
	req, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, req.Body); err != nil {
		return err
	}
	_, err = conn.Write(raw)
	return err
}

func TestTheTextOfAStreamIsKeptAndEventsWithoutOutputAreToldApart(t *testing.T) {
	for _, tc := range []struct {
		file  string
		empty int
	}{{"0.32-comp-b-usage", 0}, {"0.32-comp-merged-frames-under-load", 0}, {"0.32-chat-b-usage", 1}, {"0.32-chat-a-plain", 1}, {"0.8.5-completion", 0}} {
		want, body := "", recording(t, "sse", tc.file+".sse")
		var split events
		err := split.feed(body, func(data []byte) {
			var frame struct {
				Choices []struct {
					Text  string
					Delta struct{ Content string }
				}
			}
			if json.Unmarshal(data, &frame) == nil && len(frame.Choices) > 0 {
				want += frame.Choices[0].Text + frame.Choices[0].Delta.Content
			}
		})
		rec := send(t, t.Context(), 0, stream200(string(body)), func(c *client) { c.keep = true })
		if err != nil || want == "" || rec.Text != want || len(rec.Empty) != tc.empty {
			t.Errorf("%s: %v, %d events without output (want %d), text %q (want %q)", tc.file, err, len(rec.Empty), tc.empty, rec.Text, want)
		}
	}
}
