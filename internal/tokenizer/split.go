package tokenizer

import "unicode/utf8"

// step is one pre-tokenizer: it puts a space before a piece, or cuts it in smaller ones, or both.
type step struct {
	space   bool  // before a piece that does not begin with one
	pattern *node // matches become pieces, and so does what lies between; nil: no cut
}

// gpt2Pattern is what a ByteLevel pre-tokenizer splits by unless it says otherwise; it is not in the file.
const gpt2Pattern = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`

// split lets the steps cut a piece and encodes what remains.
func (t *Tokenizer) split(steps []step, piece string, out []int32) []int32 {
	if piece == "" {
		return out
	}
	if len(steps) == 0 {
		return t.word(piece, out)
	}
	s, rest := steps[0], steps[1:]
	if s.space && piece[0] != ' ' {
		piece = " " + piece
	}
	if s.pattern == nil {
		return t.split(rest, piece, out)
	}
	gap, pos := 0, 0 // what lies between matches begins at gap
	for pos < len(piece) {
		end := s.pattern.match(piece, pos)
		if end < 0 {
			_, size := utf8.DecodeRuneInString(piece[pos:])
			pos += size
			continue
		}
		out = t.split(rest, piece[gap:pos], out)
		out = t.split(rest, piece[pos:end], out)
		gap = pos
		if end > pos {
			gap, pos = end, end
			continue
		}
		_, size := utf8.DecodeRuneInString(piece[pos:]) // an empty match cuts, and the search goes on behind the next rune
		pos += size
	}
	return t.split(rest, piece[gap:], out)
}
