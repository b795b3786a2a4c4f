package tokenizer

import "unicode/utf8"

// Decode gives the text of token ids, special tokens included; ids that are no tokens give nothing. Bytes that are no
// UTF-8 become U+FFFD: one for each longest run that could have begun a rune, as browsers and transformers do.
func (t *Tokenizer) Decode(ids []int32) string {
	size := 0
	for _, id := range ids {
		size += len(t.piece(id))
	}
	bytes := make([]byte, 0, size)
	for _, id := range ids {
		bytes = append(bytes, t.piece(id)...)
	}
	if utf8.Valid(bytes) {
		return string(bytes)
	}
	valid := make([]byte, 0, len(bytes)+16)
	for len(bytes) > 0 {
		if r, size := utf8.DecodeRune(bytes); r != utf8.RuneError || size > 1 {
			valid = append(valid, bytes[:size]...)
			bytes = bytes[size:]
			continue
		}
		valid = utf8.AppendRune(valid, utf8.RuneError)
		bytes = bytes[brokenRune(bytes):]
	}
	return string(valid)
}

// piece gives the bytes of a token.
func (t *Tokenizer) piece(id int32) string {
	if id < 0 || int(id) >= len(t.pieces) {
		return ""
	}
	return t.pieces[id]
}

// brokenRune counts the bytes that begin a rune but do not complete it, at least one.
func brokenRune(bytes []byte) int {
	low, high, want := byte(0x80), byte(0xbf), 0
	switch b := bytes[0]; {
	case b >= 0xc2 && b <= 0xdf:
		want = 1
	case b >= 0xe0 && b <= 0xef:
		want = 2
	case b >= 0xf0 && b <= 0xf4:
		want = 3
	}
	switch bytes[0] { // no second spelling of a short rune, no surrogate, nothing past the last rune
	case 0xe0:
		low = 0xa0
	case 0xed:
		high = 0x9f
	case 0xf0:
		low = 0x90
	case 0xf4:
		high = 0x8f
	}
	n := 1
	for n <= want && n < len(bytes) && bytes[n] >= low && bytes[n] <= high {
		n++
		low, high = 0x80, 0xbf
	}
	return n
}
