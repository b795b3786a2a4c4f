//go:build vocabularies

package tokenizer

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// vocabulary loads a real vocabulary from the folder that scripts/vocabularies prints.
func vocabulary(t testing.TB, name string) *Tokenizer {
	t.Helper()
	root := os.Getenv("LAB_VOCABULARIES")
	if root == "" {
		t.Fatal("LAB_VOCABULARIES is not set: run make test-tokenizer")
	}
	tok, err := Load(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func TestRealVocabulariesAnswerAsTheRealLibrary(t *testing.T) {
	for _, name := range []string{"qwen3", "llama3_1"} {
		t.Run(name, func(t *testing.T) {
			var want golden
			readJSON(t, "testdata/"+name+".golden.json", &want)
			want.check(t, vocabulary(t, name))
		})
	}
}

func TestRealVocabulariesGiveTheIDsOfASecondImplementation(t *testing.T) {
	var texts []struct {
		Text  string
		Qwen  []int32 `json:"qwen3"`
		Llama []int32 `json:"llama3_1"`
	}
	readJSON(t, "testdata/reference.json", &texts)
	if len(texts) != 15 {
		t.Fatalf("%d reference texts, want 15", len(texts))
	}
	qwen, llama := vocabulary(t, "qwen3"), vocabulary(t, "llama3_1")
	for _, r := range texts {
		if d := cmp.Diff(r.Qwen, qwen.Encode(r.Text)); d != "" {
			t.Errorf("Qwen3, %q (-want +got):\n%s", r.Text, d)
		}
		if d := cmp.Diff(r.Llama, llama.Encode(r.Text)); d != "" {
			t.Errorf("Llama 3.1, %q (-want +got):\n%s", r.Text, d)
		}
	}
}

func TestAThousandTextsOfARealVocabularyHaveExactlyTheLengthAsked(t *testing.T) {
	tok := vocabulary(t, "qwen3")
	for i := range 1000 {
		if _, got, ok := randomText(tok, uint64(i), 1024); !ok {
			t.Errorf("text %d has %d tokens, want 1024", i, len(got))
		}
	}
}

func randomText(tok *Tokenizer, seed uint64, n int) (string, []int32, bool) {
	random := rand.New(rand.NewPCG(seed, 0))
	plain := tok.plain
	more := func() int32 { return plain[random.IntN(len(plain))] }
	first := random.IntN(len(plain))
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = plain[(first+i)%len(plain)]
	}
	return tok.Exact(ids, n, more)
}

func BenchmarkRealVocabulary(b *testing.B) {
	for _, name := range []string{"qwen3", "llama3_1"} {
		b.Run(name+"/load", func(b *testing.B) {
			for b.Loop() {
				vocabulary(b, name)
			}
		})
		tok := vocabulary(b, name)
		for kind, text := range map[string]string{"English": english, "Chinese": chinese} {
			b.Run(name+"/encode "+kind, func(b *testing.B) { benchmarkEncode(b, tok, strings.Repeat(text, 100)) })
		}
		b.Run(name+"/a thousand texts of 1024 tokens", func(b *testing.B) {
			for b.Loop() {
				for i := range 1000 {
					randomText(tok, uint64(i), 1024)
				}
			}
		})
	}
}
