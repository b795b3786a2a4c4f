package tokenizer

import (
	"slices"
	"strings"
	"testing"

	"github.com/dlclark/regexp2"
)

// patterns are those of the tokenizers in use, and some that try the rest of the syntax. regexp2 has no possessive
// repetition, so that none is in them.
func patterns() []string {
	contractions := `(?i:'s|'t|'re|'ve|'m|'ll|'d)`
	return []string{
		gpt2Pattern,
		contractions + `|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
		`[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+` + contractions + `?|\p{N}{2,}|(?=\S)[\p{P}\p{S}]+[\r\n/]*|\s+(?!\S)|\s+`,
		"[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
		`a(?:b|bc)?c|\D{2}|(x|\d{2,3})y*|.`,
		`\p{Han}+|[一-龥]|\P{L}{1,2}`,
	}
}

func TestPossessiveRepetitionsGiveNothingBack(t *testing.T) {
	for pattern, want := range map[string]int{`a++a`: -1, `a+a`: 3, `a?+a`: 2, `a*+b`: -1, `a*+`: 3} {
		n, err := compilePattern(pattern)
		if err != nil {
			t.Fatal(err)
		}
		if got := n.match("aaa", 0); got != want {
			t.Errorf("%s matches up to %d, want %d", pattern, got, want)
		}
	}
}

func TestAPatternOutsideTheKnownSyntaxIsRefusedByName(t *testing.T) {
	for pattern, want := range map[string]string{
		`a(?<=b)`:     "a group of this kind at byte 1",
		`(ab)+`:       "this repetition of a group at byte 4",
		`a+?`:         "a second repetition at byte 2",
		`a{2}+`:       "a second repetition at byte 4",
		`\bword`:      `\b at byte 0`,
		`^a`:          "'^' at byte 0",
		`[a&&[b]]`:    "a class inside a class at byte 2",
		`[a`:          "a class that is never closed at byte 0",
		`[]a]`:        "an empty class at byte 0",
		`[z-a]`:       "this range at byte 2",
		`\p{Nothing}`: `the property "Nothing" at byte 0`,
		`\pL`:         "a property that is not in braces at byte 0",
		`a)`:          "a closing parenthesis without its opening one at byte 1",
		`(a`:          "a group that is never closed at byte 0",
		`a{3,1}`:      "this repetition at byte 1",
		`a{9999}`:     "this repetition at byte 1",
		`a\`:          "a backslash at the end at byte 1",
	} {
		_, err := compilePattern(pattern)
		if err == nil || !strings.Contains(err.Error(), want+" is not supported") {
			t.Errorf("%s: %v, want it refused for %s", pattern, err, want)
		}
	}
}

// pieces splits a text as a pre-tokenizer does.
func pieces(n *node, text string) []string {
	var all []string
	gap := 0
	for pos := 0; pos < len(text); {
		end := n.match(text, pos)
		if end <= pos {
			pos += len(string([]rune(text[pos:])[0]))
			continue
		}
		if gap < pos {
			all = append(all, text[gap:pos])
		}
		all = append(all, text[pos:end])
		gap, pos = end, end
	}
	if gap < len(text) {
		all = append(all, text[gap:])
	}
	return all
}

func piecesByRegexp2(t *testing.T, re *regexp2.Regexp, text string) []string {
	t.Helper()
	var all []string
	runes := []rune(text)
	gap := 0
	m, err := re.FindRunesMatch(runes)
	for ; m != nil && err == nil; m, err = re.FindNextMatch(m) {
		if m.Length == 0 {
			continue
		}
		if gap < m.Index {
			all = append(all, string(runes[gap:m.Index]))
		}
		all = append(all, m.String())
		gap = m.Index + m.Length
	}
	if err != nil {
		t.Fatal(err)
	}
	if gap < len(runes) {
		all = append(all, string(runes[gap:]))
	}
	return all
}

func FuzzPatternsMatchLikeAGeneralEngine(f *testing.F) {
	for _, s := range []string{english, chinese, "ABCdefGHI's  x\r\n\n \t12345abbcc<<>>/ \u0301é", "xyyy 99yy abc ac abbc", "  \n  \n", "🙂🙂 a"} {
		f.Add(s)
	}
	var ours []*node
	var theirs []*regexp2.Regexp
	for _, p := range patterns() {
		n, err := compilePattern(p)
		if err != nil {
			f.Fatal(err)
		}
		ours = append(ours, n)
		theirs = append(theirs, regexp2.MustCompile(p, regexp2.None))
	}
	// Without regard to case, Unicode has three signs for s and k; regexp2 knows two of them.
	signs := strings.NewReplacer("ſ", "s", "\u212a", "k")
	f.Fuzz(func(t *testing.T, s string) {
		text := signs.Replace(string([]rune(s)))
		for i, n := range ours {
			if got, want := pieces(n, text), piecesByRegexp2(t, theirs[i], text); !slices.Equal(got, want) {
				t.Errorf("%s\nsplits %q\ninto  %q\nwant  %q", patterns()[i], text, got, want)
			}
		}
	})
}

func FuzzPatternsNeverPanic(f *testing.F) {
	for _, p := range patterns() {
		f.Add(p, english)
	}
	f.Add(`[^\S]{0,3}+(?i:a|(b)?)(?=c)`, "abc")
	f.Fuzz(func(t *testing.T, pattern, text string) {
		n, err := compilePattern(pattern)
		if err != nil || strings.Count(pattern, "*")+strings.Count(pattern, "+")+strings.Count(pattern, "{")+strings.Count(pattern, "?") > 4 {
			return // more repetitions than that may take for ever, as in every backtracking engine
		}
		text = string([]rune(text[:min(len(text), 50)]))
		if end := n.match(text, 0); end < -1 || end > len(text) {
			t.Errorf("%q matches %q up to %d", pattern, text, end)
		}
	})
}
