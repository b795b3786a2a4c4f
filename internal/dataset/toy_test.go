package dataset

import (
	"context"
	"errors"
	"strings"
	"testing"

	"lab/internal/lab"
)

// toy is a tokenizer in small. It merges pairs of letters, so that decoding and encoding again changes the number of
// tokens, as with real ones. Ids: 0 to 7 special, 8 to 33 letters, then pairs of letters, other characters above.
type toy struct{}

const (
	toyLetter = 8
	toyPair   = toyLetter + 26
	toyOther  = toyPair + 26*26
)

func letter(c byte) bool { return c >= 'a' && c <= 'z' }

func (toy) Encode(text string) (ids []int32) {
	for i := 0; i < len(text); i++ {
		switch {
		case i+1 < len(text) && letter(text[i]) && letter(text[i+1]):
			ids = append(ids, toyPair+26*int32(text[i]-'a')+int32(text[i+1]-'a'))
			i++
		case letter(text[i]):
			ids = append(ids, toyLetter+int32(text[i]-'a'))
		default:
			ids = append(ids, toyOther+int32(text[i]))
		}
	}
	return ids
}

func (t toy) EncodeSpecial(text string) []int32 { return append([]int32{1}, t.Encode(text)...) }

func (toy) Decode(ids []int32) string {
	var text strings.Builder
	for _, id := range ids {
		switch {
		case id < toyLetter:
			text.WriteString("<s>")
		case id < toyPair:
			text.WriteByte(byte('a' + id - toyLetter))
		case id < toyOther:
			text.WriteByte(byte('a' + (id-toyPair)/26))
			text.WriteByte(byte('a' + (id-toyPair)%26))
		default:
			text.WriteByte(byte(id - toyOther))
		}
	}
	return text.String()
}

func (toy) Plain() []int32 {
	ids := make([]int32, 0, toyOther)
	for id := int32(toyLetter); id < toyOther; id++ {
		ids = append(ids, id)
	}
	return ids
}

func (t toy) Exact(ids []int32, n int, more func() int32) (string, []int32, bool) {
	for range 10 {
		text := t.Decode(ids)
		ids = t.Encode(text)
		if len(ids) == n {
			return text, ids, true
		}
		for len(ids) < n {
			ids = append(ids, more())
		}
		ids = ids[:n]
	}
	return "", nil, false
}

// stubborn never settles on a length.
type stubborn struct{ toy }

func (stubborn) Exact([]int32, int, func() int32) (string, []int32, bool) { return "", nil, false }

// counted counts the prompts of the recordings as the tokenizer of the recorded model did.
type counted struct{ toy }

func (counted) EncodeSpecial(text string) []int32 {
	n, ok := map[string]int{
		"How do I sharpen a kitchen knife?": 29, "What is a queue?": 13, "Name three rivers in Europe.": 24,
		"Write a short note to a neighbour about a lost cat.": 47, "Why is the sky blue?": 17,
		"Give me a plan for a rainy day.": 25, "What does a compiler do?": 16, "How long should I boil an egg?": 29,
		"Tell me about lighthouses.": 24, "What is the median of a list?": 25,
	}[text]
	if !ok {
		n = map[string]int{"Hold": 101, "A qu": 53, "The ": 47, "Dear": 128, "Air ": 97, "Bake": 64, "It r": 67,
			"Six ": 51, "A li": 109, "Sort": 80}[text[:4]]
	}
	return make([]int32, n)
}

// server tokenizes over HTTP, as it were.
type server struct {
	toy
	broken bool
}

var errNotFound = errors.New("404 Not Found")

func (s server) Tokenize(_ context.Context, text string) ([]int32, error) {
	if s.broken {
		return nil, errNotFound
	}
	return s.Encode(text), nil
}

func (s server) Detokenize(_ context.Context, ids []int32) (string, error) {
	if s.broken {
		return "", errNotFound
	}
	return s.Decode(ids), nil
}

func (s server) ChatPrompt(_ context.Context, text string) ([]int32, error) {
	if s.broken {
		return nil, errNotFound
	}
	return append([]int32{1}, s.Encode("user: "+text+" bot:")...), nil
}

// open opens the prompts of a load that must be in order.
func open(t testing.TB, l lab.Load, env Env) Prompts {
	t.Helper()
	p, err := Open(t.Context(), l, env)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// first gives the first n prompts.
func first(p Prompts, n int) (all []lab.Prompt) {
	for i := range n {
		all = append(all, p.At(i))
	}
	return all
}

func inputs(all []lab.Prompt) (lengths []int, total int) {
	for _, p := range all {
		lengths, total = append(lengths, p.Input), total+p.Input
	}
	return lengths, total
}
