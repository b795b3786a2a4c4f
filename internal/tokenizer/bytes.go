package tokenizer

// A byte-level vocabulary writes each byte as a printable rune: the printable bytes of Latin-1 as themselves, the other
// 68, in order, as U+0100 and up.
var (
	runeOfByte = byteRunes()
	byteOfRune = runeBytes()
)

func byteRunes() (runes [256]rune) {
	next := rune(256)
	for b := range runes {
		switch r := rune(b); {
		case r >= '!' && r <= '~', r >= 161 && r <= 172, r >= 174:
			runes[b] = r
		default:
			runes[b] = next
			next++
		}
	}
	return runes
}

// runeBytes has -1 for runes that stand for no byte.
func runeBytes() (bytes [256 + 68]int16) {
	for r := range bytes {
		bytes[r] = -1
	}
	for b, r := range byteRunes() {
		bytes[r] = int16(b)
	}
	return bytes
}

// appendBytes appends what a token of the vocabulary stands for. A token with a rune that is no byte stands for itself,
// and ok is false: no text is ever merged into it.
func appendBytes(to []byte, token string) (all []byte, ok bool) {
	start := len(to)
	for _, r := range token {
		if int(r) >= len(byteOfRune) || byteOfRune[r] < 0 {
			return append(to[:start], token...), false
		}
		to = append(to, byte(byteOfRune[r]))
	}
	return to, true
}
