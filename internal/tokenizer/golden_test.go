package tokenizer

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// golden is what the real tokenizers library answers; scripts/tokenizer-golden writes it.
type golden struct {
	Size   int
	Encode []struct {
		Text         string
		IDs, Special []int32
	}
	Decode []struct {
		IDs  []int32
		Text string
	}
}

func (g golden) check(t *testing.T, tok *Tokenizer) {
	t.Helper()
	if len(g.Encode) < 60 || len(g.Decode) < 60 {
		t.Fatalf("the golden file has %d texts and %d id lists: the test would hold for nothing", len(g.Encode), len(g.Decode))
	}
	if tok.Size() != g.Size {
		t.Errorf("size %d, want %d", tok.Size(), g.Size)
	}
	for _, e := range g.Encode {
		if d := cmp.Diff(e.IDs, tok.Encode(e.Text)); d != "" {
			t.Errorf("Encode(%q) (-want +got):\n%s", e.Text, d)
		}
		if d := cmp.Diff(e.Special, tok.EncodeSpecial(e.Text)); d != "" {
			t.Errorf("EncodeSpecial(%q) (-want +got):\n%s", e.Text, d)
		}
	}
	for _, d := range g.Decode {
		if got := tok.Decode(d.IDs); got != d.Text {
			t.Errorf("Decode(%v) = %q, want %q", d.IDs, got, d.Text)
		}
	}
}

func readJSON(t testing.TB, name string, into any) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// variant gives the text of the tiny tokenizer.json with other members; those of the model are changed one by one.
func variant(t testing.TB, patch map[string]any) string {
	t.Helper()
	var whole map[string]any
	readJSON(t, "testdata/tiny/tokenizer.json", &whole)
	model := whole["model"].(map[string]any)
	for key, value := range patch {
		if key == "model" {
			maps.Copy(model, value.(map[string]any))
			continue
		}
		whole[key] = value
	}
	text, err := json.Marshal(whole)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func loadVariant(t testing.TB, patch map[string]any) (*Tokenizer, error) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "tokenizer.json"), []byte(variant(t, patch)), 0o600); err != nil {
		t.Fatal(err)
	}
	return Load(dir)
}

func tiny(t testing.TB) *Tokenizer {
	t.Helper()
	tok, err := Load("testdata/tiny")
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func TestEveryKindOfTokenizerAnswersAsTheRealLibrary(t *testing.T) {
	var cases struct{ Variants map[string]map[string]any }
	readJSON(t, "testdata/cases.json", &cases)
	var want map[string]golden
	readJSON(t, "testdata/golden.json", &want)
	if len(cases.Variants) != len(want) {
		t.Fatalf("%d variants, %d of them in the golden file: run make tokenizer-golden", len(cases.Variants), len(want))
	}
	for name, patch := range cases.Variants {
		t.Run(name, func(t *testing.T) {
			tok, err := loadVariant(t, patch)
			if err != nil {
				t.Fatal(err)
			}
			want[name].check(t, tok)
			want[name].check(t, tok) // and again from the cache
		})
	}
}
