package loadgen

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/tmaxmax/go-sse"
)

// split feeds a stream in pieces of n bytes.
func split(text string, n int) []string {
	var e events
	var got []string
	for p := []byte(text); len(p) > 0; {
		piece := p[:min(n, len(p))]
		p = p[len(piece):]
		if err := e.feed(piece, func(data []byte) { got = append(got, string(data)) }); err != nil {
			return append(got, err.Error())
		}
	}
	return got
}

func TestEventsAreReadToTheLetterOfTheStandard(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	for name, tc := range map[string]struct {
		text string
		want []string
	}{
		"lf":                         {"data: a\n\ndata: b\n\n", []string{"a", "b"}},
		"crlf":                       {"data: a\r\n\r\ndata: b\r\n\r\n", []string{"a", "b"}},
		"cr":                         {"data: a\r\rdata: b\r\r", []string{"a", "b"}},
		"mixed":                      {"data: a\r\n\ndata: b\r\r\n", []string{"a", "b"}},
		"a byte-order mark":          {"\xef\xbb\xbfdata: a\n\n", []string{"a"}},
		"several data lines":         {"data: a\ndata: b\ndata:\n\n", []string{"a\nb\n"}},
		"only one blank is taken":    {"data:  a\ndata:b\n\n", []string{" a\nb"}},
		"a field without a colon":    {"data\n\n", []string{""}},
		"comments and other fields":  {": hi\nid: 7\nevent: x\nretry: 5\ndata: a\n\n", []string{"a"}},
		"no data, no event":          {"event: x\n\n\n\n", nil},
		"unfinished":                 {"data: a\n\ndata: b\n", []string{"a"}},
		"datax is another field":     {"datax: a\n\n", nil},
		"lines longer than a buffer": {"data: " + long + "\n\n", []string{long}},
	} {
		t.Run(name, func(t *testing.T) {
			for n := range 9 {
				if diff := cmp.Diff(tc.want, split(tc.text, n+1)); diff != "" {
					t.Fatalf("in pieces of %d: %s", n+1, diff)
				}
			}
		})
	}
}

// literal reads a whole stream the way the standard is written, and nothing else: lines first, then fields, then events.
func literal(text string) []string {
	text = strings.TrimPrefix(text, "\ufeff")
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	lines := strings.Split(text, "\n")
	var got, data []string
	for _, line := range lines[:len(lines)-1] { // the last has no end
		if line == "" {
			if data != nil {
				got = append(got, strings.Join(data, "\n"))
			}
			data = nil
			continue
		}
		field, value, _ := strings.Cut(line, ":")
		if field == "data" {
			data = append(data, strings.TrimPrefix(value, " "))
		}
	}
	return got
}

// FuzzEvents holds the reader to two others, one written after the letter of the standard and one of somebody else, and to
// itself however the stream is cut into pieces.
func FuzzEvents(f *testing.F) {
	for _, seed := range []string{"data: a\n\n", "data: a\r\n\r\n", "\xef\xbb\xbfdata:a\r\rdata\n\n", ": c\ndata: x\ndata: y\n\nid: 1\n\n",
		"data\n\ndata\ndata\n\ndata:", "\xef\xbb\xbf\xef\xbb\xbfdata:a\n\n", "\r\n\r\ndata: [DONE]\r\n\r\n", "event: x\ndata: \xff\x00\n\n"} {
		f.Add(seed, 1)
	}
	names, _ := filepath.Glob("testdata/sse/*.sse")
	for _, name := range names {
		body, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(body), 100)
	}
	f.Fuzz(func(t *testing.T, text string, n int) {
		if n < 1 {
			n = 1
		}
		whole := split(text, len(text)+1)
		if diff := cmp.Diff(whole, split(text, n)); diff != "" {
			t.Fatalf("in pieces of %d: %s", n, diff)
		}
		if diff := cmp.Diff(literal(text), whole); diff != "" {
			t.Fatalf("the standard against ours: %s", diff)
		}
		// The other reader also gives events that have other fields but no data, and takes a byte-order mark after blank lines.
		for _, odd := range []string{"id", "event", "retry", "\n\ufeff", "\r\ufeff"} {
			if strings.Contains(text, odd) {
				return
			}
		}
		var theirs []string
		for event, err := range sse.Read(strings.NewReader(text), nil) {
			if err != nil {
				return
			}
			theirs = append(theirs, event.Data)
		}
		if diff := cmp.Diff(whole, theirs); diff != "" {
			t.Fatalf("ours against go-sse: %s", diff)
		}
	})
}

// FuzzFrame holds the walker to encoding/json: what is a frame to one is one to the other, with the same content.
func FuzzFrame(f *testing.F) {
	names, _ := filepath.Glob("testdata/sse/*.sse")
	for _, name := range names {
		body, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, data := range split(string(body), 1<<20) {
			f.Add([]byte(data))
		}
	}
	f.Add([]byte(`{"error":{"message":"x"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := parseFrame(data)
		var want struct {
			Choices []struct {
				Text   *string `json:"text"`
				Finish *string `json:"finish_reason"`
			} `json:"choices"`
			Usage *struct {
				Output int `json:"completion_tokens"`
			} `json:"usage"`
		}
		if !json.Valid(data) || json.Unmarshal(data, &want) != nil || duplicateKeys(data) {
			return // the walker may be more lenient about what no server sends
		}
		if data[0] != '{' {
			return
		}
		if err != nil {
			t.Fatalf("%q is a frame to encoding/json, not to the walker: %v", data, err)
		}
		if got.choices != len(want.Choices) {
			t.Errorf("%d choices, want %d", got.choices, len(want.Choices))
		}
		if want.Usage != nil && got.output != want.Usage.Output {
			t.Errorf("%d tokens, want %d", got.output, want.Usage.Output)
		}
		finish, text := "", false
		for _, c := range want.Choices {
			if c.Finish != nil {
				finish = *c.Finish
			}
			text = text || c.Text != nil && *c.Text != ""
		}
		if text && !got.text {
			t.Errorf("%q: the text was not seen", data)
		}
		if got.finish != finish && utf8.Valid(data) && !bytes.Contains(data, []byte{'\\'}) { // escapes stay as they stand
			t.Errorf("finish reason %q, want %q", got.finish, finish)
		}
	})
}

// duplicateKeys says whether the document spells a key that the two readers may settle differently: twice, escaped, or
// in other case (encoding/json ignores case).
func duplicateKeys(data []byte) bool {
	lower := bytes.ToLower(data)
	for _, key := range []string{"choices", "usage", "completion_tokens", "text", "finish_reason"} {
		if bytes.Count(lower, []byte(key)) > 1 || bytes.Count(lower, []byte(key)) != bytes.Count(data, []byte(key)) {
			return true
		}
	}
	return bytes.Contains(data, []byte(`\u`)) || bytes.ContainsAny(data, "ſK")
}

func BenchmarkEventsAndFrames(b *testing.B) {
	body, err := os.ReadFile("testdata/sse/0.32-comp-c-contusage.sse")
	if err != nil {
		b.Fatal(err)
	}
	var e events
	n := 0
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if err := e.feed(body, func(data []byte) {
			if f, err := parseFrame(data); err == nil && f.choices > 0 {
				n++
			}
		}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/frame")
}
