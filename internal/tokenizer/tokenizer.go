// Package tokenizer turns text into the token ids of a model and back: byte-level BPE from the tokenizer.json that lies
// beside the model, exactly as Hugging Face's tokenizers do it. What it does not know it refuses by name.
package tokenizer

import (
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"
)

// Tokenizer is one model's. It may be used by many goroutines at once.
type Tokenizer struct {
	pieces  []string // by id: the bytes it stands for
	special []bool   // by id
	plain   []int32

	exact      *addedTokens // found in the text as it is
	normalized *addedTokens // found in the normalized text
	nfc        bool
	steps      []step // pre-tokenizers, in order

	words  map[string]int32 // words that are tokens whatever the merges say; nil: none
	bytes  [256]int32       // the token of each byte
	merges map[pair]merge

	before, after []int32 // what the post-processor puts around a text

	seed    maphash.Seed
	cache   []atomic.Pointer[cached]
	mergers sync.Pool // of *merger
}

// cached is a word with its tokens.
type cached struct {
	word string
	ids  []int32
}

// A text repeats its words. The cache has one place per hash, where the last word wins: it is bounded without a lock. Long
// words are rare and would make it heavy.
const (
	cacheSlots  = 1 << 16
	longestWord = 64
)

// Encode gives the token ids of a text; nothing is put around them. Bytes that are no UTF-8 count as U+FFFD each, which is
// what JSON makes of them on the way to a server.
func (t *Tokenizer) Encode(text string) []int32 {
	return t.encode(text, make([]int32, 0, len(text)/4+8))
}

// EncodeSpecial gives the token ids of a text with what the model's post-processor puts around it, such as the token that
// begins a text.
func (t *Tokenizer) EncodeSpecial(text string) []int32 {
	ids := append(make([]int32, 0, len(text)/4+8), t.before...)
	return append(t.encode(text, ids), t.after...)
}

// Size is the size of the vocabulary, added tokens included: ids are below it.
func (t *Tokenizer) Size() int { return len(t.pieces) }

// Special says whether an id is a special token.
func (t *Tokenizer) Special(id int32) bool {
	return id >= 0 && int(id) < len(t.special) && t.special[id]
}

// Plain lists the ids that random prompts are drawn from, ascending: those of the model's own vocabulary that are no
// special tokens. Tokens added beyond it, such as <think>, are left out, as vLLM's benchmark does.
func (t *Tokenizer) Plain() []int32 { return append([]int32(nil), t.plain...) }

func (t *Tokenizer) encode(text string, out []int32) []int32 {
	if !utf8.ValidString(text) {
		text = string([]rune(text))
	}
	for pos := 0; pos < len(text); {
		start, stop, id, found := t.exact.find(text, pos)
		if !found {
			return t.encodePiece(text[pos:], out)
		}
		out = append(t.encodePiece(text[pos:start], out), id)
		pos = stop
	}
	return out
}

// encodePiece encodes what lies between added tokens.
func (t *Tokenizer) encodePiece(text string, out []int32) []int32 {
	if t.nfc {
		text = composed(text)
	}
	for pos := 0; pos < len(text); {
		start, stop, id, found := t.normalized.find(text, pos)
		if !found {
			return t.split(t.steps, text[pos:], out)
		}
		out = append(t.split(t.steps, text[pos:start], out), id)
		pos = stop
	}
	return out
}

// word encodes one pre-token.
func (t *Tokenizer) word(word string, out []int32) []int32 {
	if len(word) > longestWord {
		return t.mergeWord(word, out)
	}
	slot := &t.cache[maphash.String(t.seed, word)%cacheSlots]
	if c := slot.Load(); c != nil && c.word == word {
		return append(out, c.ids...)
	}
	start := len(out)
	out = t.mergeWord(word, out)
	ids := append([]int32(nil), out[start:]...)
	slot.Store(&cached{strings.Clone(word), ids}) // the word itself would keep the whole text
	return out
}

func (t *Tokenizer) mergeWord(word string, out []int32) []int32 {
	if id, whole := t.words[word]; whole {
		return append(out, id)
	}
	m := t.mergers.Get().(*merger)
	defer t.mergers.Put(m)
	return m.merged(word, &t.bytes, out)
}
