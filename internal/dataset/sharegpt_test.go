package dataset

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"lab/internal/lab"
)

func sharegpt(requests int) lab.Load {
	return lab.Load{API: "completions", Seed: 1, Requests: requests, Dataset: lab.Dataset{Kind: "sharegpt", File: "testdata/sharegpt-mini.json"}}
}

func TestShareGPTComesInTheOrderThatVLLMRecorded(t *testing.T) {
	all := first(open(t, sharegpt(10), Env{Tokenizer: counted{}}), 10)
	got, _ := inputs(all)
	if d := cmp.Diff([]int{16, 24, 25, 29, 25, 47, 29, 17, 13, 24}, got); d != "" {
		t.Errorf("input lengths (-vLLM +lab):\n%s", d)
	}
	var outputs []int
	for _, p := range all {
		outputs = append(outputs, p.Output)
	}
	if d := cmp.Diff([]int{67, 109, 80, 51, 64, 128, 101, 97, 53, 47}, outputs); d != "" {
		t.Errorf("output lengths (-vLLM +lab):\n%s", d)
	}
}

func TestAShareGPTFileShorterThanTheLoadIsFilledUpAsVLLMRecorded(t *testing.T) {
	p := open(t, sharegpt(25), Env{Tokenizer: counted{}})
	if _, total := inputs(first(p, 25)); total != 595 || p.Distinct() != 10 || Limit(p) != 0 {
		t.Errorf("%d input tokens, vLLM sent 595; %d distinct, limit %d", total, p.Distinct(), Limit(p))
	}
	l := sharegpt(25)
	l.Dataset.NoOversample = true
	if p := open(t, l, Env{Tokenizer: counted{}}); Limit(p) != 10 {
		t.Errorf("without oversampling the limit is %d, want 10", Limit(p))
	}
}

func TestShareGPTLeavesOutWhatVLLMLeavesOut(t *testing.T) {
	// The toy makes one token of two letters, and one in front.
	word := func(tokens int) string { return strings.Repeat("ab", tokens-1) }
	talk := func(name, prompt, reply string) string {
		return fmt.Sprintf(`{"id":%q,"conversations":[{"value":%q},{"value":%q}]}`, name, prompt, reply)
	}
	file := filepath.Join(t.TempDir(), "s.json")
	text := "[" + strings.Join([]string{
		`{"id":"one turn","conversations":[{"value":"abababab"}]}`, `{"id":"no turns"}`, `{"id":"text","conversations":"abababab"}`,
		talk("short prompt", word(3), word(10)), talk("short answer", word(10), word(3)),
		talk("long prompt", word(1025), word(10)), talk("long together", word(1024), word(1025)),
		talk("least", word(4), word(4)), talk("most", word(1024), word(1024)),
	}, ",\n") + "]"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	lengths := func(d lab.Dataset) (all []string) {
		d.Kind, d.File, d.NoShuffle, d.NoOversample = "sharegpt", file, true, true
		p := open(t, lab.Load{Requests: 100, Dataset: d}, Env{Tokenizer: toy{}})
		for _, one := range first(p, p.Distinct()) {
			all = append(all, fmt.Sprint(one.Input, "+", one.Output))
		}
		return all
	}
	if d := cmp.Diff([]string{"4+4", "1024+1024"}, lengths(lab.Dataset{})); d != "" {
		t.Error(d)
	}
	want := []string{"10+2", "1024+2", "4+2", "1024+2"}
	if d := cmp.Diff(want, lengths(lab.Dataset{FixedOutput: true, OutputTokens: 2})); d != "" {
		t.Error("with a fixed output the answer does not matter:", d)
	}
	// A server counts without the token in front.
	p := open(t, lab.Load{Requests: 1, Dataset: lab.Dataset{Kind: "sharegpt", File: file, NoShuffle: true}}, Env{Server: server{}})
	if p.At(0).Input != 1024 {
		t.Errorf("the server's count gives %d", p.At(0).Input)
	}
}

func TestAnImageOfShareGPTGoesToTheChatEndpointOnly(t *testing.T) {
	l := lab.Load{API: "chat", Requests: 1, Dataset: lab.Dataset{Kind: "sharegpt", File: filepath.Join(t.TempDir(), "s.json")}}
	text := `[{"image":"coco/1.jpg","conversations":[{"value":"what is on this \"picture\"?"},{"value":"a bear, as it were"}]}]`
	if err := os.WriteFile(l.Dataset.File, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	want := `[{"role":"user","content":[{"type":"text","text":"what is on this \"picture\"?"},{"type":"image_url","image_url":{"url":"file://coco/1.jpg"}}]}]`
	if got := string(open(t, l, Env{Tokenizer: toy{}}).At(0).Messages); got != want {
		t.Error(got)
	}
	l.API = "completions"
	if _, err := Open(t.Context(), l, Env{Tokenizer: toy{}}); err == nil || !strings.Contains(err.Error(), "use api: chat") {
		t.Error(err)
	}
}

// spansByDecoding is what scanList must find, by the decoder of the standard library.
func spansByDecoding(text []byte) (spans []span) {
	d := json.NewDecoder(bytes.NewReader(text))
	if _, err := d.Token(); err != nil {
		return nil
	}
	for d.More() {
		var raw json.RawMessage
		if d.Decode(&raw) != nil {
			return nil
		}
		if raw[0] != '{' {
			continue
		}
		var fields map[string]json.RawMessage
		var talks []json.RawMessage
		_ = json.Unmarshal(raw, &fields)
		_ = json.Unmarshal(fields["conversations"], &talks)
		end := d.InputOffset()
		spans = append(spans, span{end - int64(len(raw)), len(raw), len(talks) >= 2})
	}
	return spans
}

var lists = []string{
	`[]`, ` [ {} , {"a":1}, 3, "x", null, [1,{"conversations":[1,2]}] ] `,
	`[{"conversations":[1,2]}]`, `[{"conversations":[1]}]`, `[{"conversations":[]}]`, `[{"conversations":[[1,2]]}]`,
	`[{"conversations":{"a":1,"b":2}}]`, `[{"conversations":null,"x":[1,2]}]`, `[{"x":{"conversations":[1,2]}}]`,
	`[{"conver\u0073ations":[{},{}]}]`, `[{"conversations":[1,2],"conversations":[1]}]`, `[{"conversations":[1],"conversations":[1,2]}]`,
	`[{"x":"conversations","y":[1,2]}]`, `[{"conversations":"a, b"},[1,2],{"conversations":[{"v":"\\\"],["},2]}]`,
	`[{"conversations":[{"value":"a\\"},{"value":"\"]}"}], "id": "\\\\"}]`, `[{"conversationsx":[1,2]}]`,
}

func TestTheScannerFindsWhatTheDecoderFindsHoweverTheFileIsRead(t *testing.T) {
	mini, err := os.ReadFile("testdata/sharegpt-mini.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range append(slices.Clone(lists), string(mini)) {
		for _, r := range []io.Reader{strings.NewReader(text), iotest.OneByteReader(strings.NewReader(text)), iotest.DataErrReader(iotest.HalfReader(strings.NewReader(text)))} {
			got, err := scanList(r)
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			if d := cmp.Diff(spansByDecoding([]byte(text)), got, cmp.AllowUnexported(span{})); d != "" {
				t.Errorf("%.80s (-decoder +scanner):\n%s", text, d)
			}
		}
	}
}

func FuzzScanList(f *testing.F) {
	for _, text := range lists {
		f.Add([]byte(text), uint8(3))
	}
	f.Fuzz(func(t *testing.T, text []byte, chunk uint8) {
		got, err := scanList(&chunked{text, int(chunk)%16 + 1})
		if !json.Valid(text) {
			return // damaged text must only not break the scanner
		}
		if list := bytes.TrimLeft(text, " \t\r\n")[0] == '['; list != (err == nil) {
			t.Fatalf("%q: %v", text, err)
		} else if !list {
			return
		}
		if d := cmp.Diff(spansByDecoding(text), got, cmp.AllowUnexported(span{})); d != "" {
			t.Errorf("%q (-decoder +scanner):\n%s", text, d)
		}
	})
}

// chunked gives a few bytes at a time.
type chunked struct {
	text []byte
	n    int
}

func (c *chunked) Read(to []byte) (int, error) {
	if len(c.text) == 0 {
		return 0, io.EOF
	}
	n := copy(to, c.text[:min(c.n, len(c.text))])
	c.text = c.text[n:]
	return n, nil
}
