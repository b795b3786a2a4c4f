package tokenizer

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const english = "She opened the letter slowly, because nobody had written to her since the long winter of 1947, and the harbour " +
	"below the window was already full of boats. \"You don't have to go,\" he said; \"they'll wait until the weather is better.\"\n" +
	"The committee's report, published on Tuesday, describes three measures that would reduce the cost of heating by about a third.\n"

const chinese = "今天天气很好，我们决定去公园散步。委员会星期二发表的报告描述了三项措施，可以把取暖费用降低大约三分之一。\n"

// The answer of a real vLLM 0.32 with this tokenizer to POST /tokenize and /detokenize.
func TestTheTinyTokenizerAnswersAsARealServerDid(t *testing.T) {
	tok := tiny(t)
	want := []int32{42, 71, 78, 78, 81, 223, 89, 81, 84, 78, 70, 14, 223, 86, 74, 75, 85, 223, 75, 85, 265, 223, 86, 273, 86, 16}
	if d := cmp.Diff(want, tok.Encode("Hello world, this is a test.")); d != "" {
		t.Error(d)
	}
	if got := tok.Decode([]int32{1, 5, 9}); got != "<s>#'" {
		t.Errorf("decoded %q", got)
	}
}

func TestSpecialTokensAreNotPlain(t *testing.T) {
	tok, err := loadVariant(t, map[string]any{"added_tokens": []addedToken{
		{ID: 0, Content: "<unk>", Special: true}, {ID: 1, Content: "<s>", Special: true}, {ID: 2, Content: "</s>"},
		{ID: 318, Content: "<think>"}, {ID: 320, Content: "<end>", Special: true},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if tok.Size() != 321 {
		t.Errorf("size %d, want 321: one more than the highest id", tok.Size())
	}
	for id := int32(-1); id < 322; id++ {
		if want := id == 0 || id == 1 || id == 320; tok.Special(id) != want {
			t.Errorf("Special(%d) = %t", id, !want)
		}
	}
	plain := tok.Plain()
	if len(plain) != 316 || plain[0] != 2 || plain[315] != 317 {
		t.Errorf("plain ids: %d from %d to %d, want 316 from 2 to 317", len(plain), plain[0], plain[len(plain)-1])
	}
}

func TestBytesThatAreNoUTF8CountAsReplacementRunes(t *testing.T) {
	tok := tiny(t)
	if d := cmp.Diff(tok.Encode("a\ufffd\ufffd b"), tok.Encode("a\xe4\xbd b")); d != "" {
		t.Error(d)
	}
}

// Merging as the definition says it: look for the best pair, join it, look again.
func mergeSlowly(tok *Tokenizer, word string) []int32 {
	var ids []int32
	for i := range len(word) {
		ids = append(ids, tok.bytes[word[i]])
	}
	for {
		best, at := merge{rank: 1 << 30}, -1
		for i := range len(ids) - 1 {
			if m, ok := tok.merges[pairOf(ids[i], ids[i+1])]; ok && m.rank < best.rank {
				best, at = m, i
			}
		}
		if at < 0 {
			return ids
		}
		ids = append(append(ids[:at:at], best.id), ids[at+2:]...)
	}
}

func TestMergingInAHeapGivesWhatTheDefinitionGives(t *testing.T) {
	tok := tiny(t)
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var word strings.Builder
		for range 1 + random.IntN(12) {
			word.WriteString(tok.pieces[tok.plain[random.IntN(len(tok.plain))]])
		}
		if d := cmp.Diff(mergeSlowly(tok, word.String()), tok.mergeWord(word.String(), nil)); d != "" {
			t.Fatalf("%q: %s", word.String(), d)
		}
	}
}

// A quadratic merge would take hours here: the time limit of the test run is the assertion.
func TestAWordOfAMegabyteIsNotQuadratic(t *testing.T) {
	word := strings.Repeat("forest", 1<<20/6)
	tok := tiny(t)
	if got := tok.Decode(tok.Encode(word)); got != word {
		t.Errorf("%d bytes came back as %d", len(word), len(got))
	}
}

func TestATextOfExactLengthHasThatLength(t *testing.T) {
	tok := tiny(t)
	plain := tok.Plain()
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 0))
		more := func() int32 { return plain[random.IntN(len(plain))] }
		n := random.IntN(60)
		var ids []int32
		for range random.IntN(80) {
			ids = append(ids, more())
		}
		text, got, ok := tok.Exact(ids, n, more)
		if d := cmp.Diff(got, tok.Encode(text)); d != "" {
			t.Fatalf("the ids are not those of the text: %s", d)
		}
		if ok != (len(got) == n) {
			t.Errorf("ok is %t with %d tokens of %d", ok, len(got), n)
		}
	}
	word := tok.Encode(" forest")
	if text, got, ok := tok.Exact(nil, 3, func() int32 { return word[0] }); !ok || text != strings.Repeat(tok.Decode(word[:1]), 3) {
		t.Errorf("filled up from nothing: %q, %v, %t", text, got, ok)
	}
}

// Half a rune comes back as the three bytes of U+FFFD; cut to two they are half a rune again.
func TestATextThatNeverSettlesIsGivenUp(t *testing.T) {
	tok := tiny(t)
	text, got, ok := tok.Exact([]int32{tok.bytes[0xe4]}, 2, func() int32 {
		t.Error("nothing is to be filled up")
		return 0
	})
	if ok || text != "\ufffd" || len(got) != 3 {
		t.Errorf("%q, %v, %t", text, got, ok)
	}
}

func TestManyGoroutinesGetTheSameTokens(t *testing.T) {
	tok := tiny(t)
	var want [][]int32
	for i := range 50 {
		want = append(want, tiny(t).Encode(fmt.Sprint(english, i)))
	}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for i, ids := range want {
				if d := cmp.Diff(ids, tok.Encode(fmt.Sprint(english, i))); d != "" {
					t.Error(d)
				}
			}
		})
	}
	group.Wait()
}

func FuzzTextComesBack(f *testing.F) {
	for _, s := range []string{english, chinese, "e\u0301 <s></s> \r\n 12", "\u0344\u1100\u1161", "🙂\u200d"} {
		f.Add(s)
	}
	asIs := tiny(f)
	nfc, err := loadVariant(f, map[string]any{"normalizer": map[string]any{"type": "NFC"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s string) {
		valid := string([]rune(s))
		if got := asIs.Decode(asIs.Encode(s)); got != valid {
			t.Errorf("%q came back as %q", valid, got)
		}
		if got, want := nfc.Decode(nfc.Encode(s)), composed(valid); got != want {
			t.Errorf("with NFC %q came back as %q, want %q", valid, got, want)
		}
	})
}

func benchmarkEncode(b *testing.B, tok *Tokenizer, text string) {
	n := len(tok.Encode(text))
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		tok.Encode(text)
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "tokens/s")
}

func BenchmarkEncode(b *testing.B) {
	benchmarkEncode(b, tiny(b), strings.Repeat(english, 100))
}

func BenchmarkLongWord(b *testing.B) {
	benchmarkEncode(b, tiny(b), strings.Repeat("forest", 100_000/6))
}

func BenchmarkLoad(b *testing.B) {
	text, err := os.ReadFile("testdata/tiny/tokenizer.json")
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := parse(string(text)); err != nil {
			b.Fatal(err)
		}
	}
}
