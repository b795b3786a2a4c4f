package tokenizer

import (
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// joiner is the combining grapheme joiner.
const joiner = "\u034f"

// composed gives a text in Unicode's normal form C.
func composed(text string) string {
	if norm.NFC.IsNormalString(text) {
		return text
	}
	c := norm.NFC.String(text)
	if strings.Count(c, joiner) == strings.Count(text, joiner) {
		return c
	}
	// The library works on a stream and breaks runs of more than 30 combining marks with joiners; tokenizers do not.
	return composedByDefinition(text)
}

// composedByDefinition takes the runes apart, puts marks in their canonical order, and joins what joins.
func composedByDefinition(text string) string {
	var runes []rune
	for _, r := range text {
		runes = append(runes, []rune(norm.NFD.String(string(r)))...)
	}
	for start := 0; start < len(runes); start++ {
		end := start
		for end < len(runes) && class(runes[end]) != 0 {
			end++
		}
		slices.SortStableFunc(runes[start:end], func(a, b rune) int { return int(class(a)) - int(class(b)) })
		start = end
	}
	var out []rune
	base, last := -1, uint8(0) // where the last starter is, and the class of the last mark after it
	for _, r := range runes {
		c := class(r)
		if base >= 0 && (base == len(out)-1 || last < c && last != 0) {
			if joined, ok := join(out[base], r); ok {
				out[base] = joined
				continue
			}
		}
		if c == 0 {
			base = len(out)
		}
		last = c
		out = append(out, r)
	}
	return string(out)
}

// class is the canonical combining class of a rune: 0 for one that begins a character.
func class(r rune) uint8 { return norm.NFD.PropertiesString(string(r)).CCC() }

func join(a, b rune) (rune, bool) {
	both := norm.NFC.String(string([]rune{a, b}))
	r, size := utf8.DecodeRuneInString(both)
	return r, size == len(both)
}
