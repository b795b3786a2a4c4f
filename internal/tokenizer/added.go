package tokenizer

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// addedToken is found in the text itself, before anything else looks at it.
type addedToken struct {
	ID         int32  `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"` // only where no letter touches it
	Lstrip     bool   `json:"lstrip"`      // takes the spaces before it too
	Rstrip     bool   `json:"rstrip"`      // and those after it
	Normalized bool   `json:"normalized"`  // is looked for in the normalized text
	Special    bool   `json:"special"`
}

// addedTokens finds the tokens of a list, by their first byte, the longest first.
type addedTokens [256][]addedToken

func newAddedTokens(list []addedToken) *addedTokens {
	a := &addedTokens{}
	for _, t := range list {
		a[t.Content[0]] = append(a[t.Content[0]], t)
	}
	for _, same := range a {
		slices.SortStableFunc(same, func(x, y addedToken) int { return cmp.Compare(len(y.Content), len(x.Content)) })
	}
	return a
}

// find gives the first token at or after a position, with the spaces it takes.
func (a *addedTokens) find(text string, from int) (start, stop int, id int32, ok bool) {
	for i := from; i < len(text); {
		t := a.at(text, i)
		if t == nil {
			i++
			continue
		}
		start, stop = i, i+len(t.Content)
		if t.SingleWord && touchesWord(text, start, stop) {
			i = stop
			continue
		}
		if t.Lstrip {
			start = from + len(strings.TrimRightFunc(text[from:start], unicode.IsSpace))
		}
		if t.Rstrip {
			stop = len(text) - len(strings.TrimLeftFunc(text[stop:], unicode.IsSpace))
		}
		return start, stop, t.ID, true
	}
	return 0, 0, 0, false
}

func (a *addedTokens) at(text string, i int) *addedToken {
	same := a[text[i]]
	for k := range same {
		if strings.HasPrefix(text[i:], same[k].Content) {
			return &same[k]
		}
	}
	return nil
}

func touchesWord(text string, start, stop int) bool {
	before, _ := utf8.DecodeLastRuneInString(text[:start])
	after, _ := utf8.DecodeRuneInString(text[stop:])
	return start > 0 && isWord(before) || stop < len(text) && isWord(after)
}

// isWord is \w of Unicode's annex on regular expressions.
func isWord(r rune) bool {
	const joiners = "\u200c\u200d"
	return unicode.In(r, unicode.L, unicode.M, unicode.Nd, unicode.Nl, unicode.Pc, unicode.Other_Alphabetic) ||
		strings.ContainsRune(joiners, r)
}
