package tokenizer

import "slices"

// exactTries is how often vLLM's benchmark corrects a text before it takes it as it is.
const exactTries = 10

// Exact makes a text of exactly n tokens that begins like ids. Decoded tokens are often other tokens when they are encoded
// again, for the borders between them change; so the text is encoded, cut or filled up with tokens from more, and so on
// until Encode(text) has n tokens: got. ok is false where that is not so after ten corrections.
func (t *Tokenizer) Exact(ids []int32, n int, more func() int32) (text string, got []int32, ok bool) {
	got = slices.Clone(ids)
	for try := 0; ; try++ {
		text = t.Decode(got)
		got = t.Encode(text)
		if len(got) == n || try == exactTries {
			return text, got, len(got) == n
		}
		for len(got) < n {
			got = append(got, more())
		}
		got = got[:n]
	}
}
