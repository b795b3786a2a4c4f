package loadgen

import (
	"encoding/json"
	"strings"
	"testing"

	"lab/internal/lab"
)

func TestARequestBodyCarriesTheLoadsFieldsButNotThoseOfTheRecord(t *testing.T) {
	l := random(lab.Load{Body: map[string]any{"model": "adapter", "top_k": 7}})
	b, err := newBodies("tiny", l)
	if err != nil {
		t.Fatal(err)
	}
	r := b.request(4, lab.Prompt{IDs: []int32{8, 9}, Output: 3, Hash: 1})
	want := `{"ignore_eos":true,"model":"adapter","stream":true,"stream_options":{"continuous_usage_stats":true,"include_usage":true},` +
		`"temperature":0,"top_k":7,"prompt":[8,9],"max_tokens":3,"min_tokens":3}`
	if string(r.Body) != want || !r.Fixed || r.Input != 2 || r.Output != 3 || r.Path != "/v1/completions" {
		t.Errorf("got %s %+v", r.Body, r)
	}
	l.API, l.Body = "chat", map[string]any{"ignore_eos": false}
	if b, err = newBodies("tiny", l); err != nil {
		t.Fatal(err)
	}
	r = b.request(0, lab.Prompt{Text: "say \"hi\"", Output: 3})
	if text := string(r.Body); r.Fixed || strings.Contains(text, "min_tokens") ||
		!strings.Contains(text, `"messages":[{"role":"user","content":"say \"hi\""}],"max_tokens":3}`) {
		t.Errorf("got %s", text)
	}
	l.Body = map[string]any{"max_tokens": 9}
	if _, err := newBodies("tiny", l); err == nil || !strings.Contains(err.Error(), `"max_tokens"`) {
		t.Errorf("got %v", err)
	}
}

func FuzzBody(f *testing.F) {
	f.Add("say \"hi\"", true)
	f.Add("\xff\u2028", false)
	f.Fuzz(func(t *testing.T, text string, chat bool) {
		body := (bodies{prefix: []byte(`{"n":1`), chat: chat}).request(0, lab.Prompt{Text: text, Output: 1}).Body
		if !json.Valid(body) {
			t.Errorf("%q makes %s", text, body)
		}
	})
}
