package tokenizer

import (
	"strings"
	"testing"

	"golang.org/x/text/unicode/norm"
)

func FuzzNormalFormCIsThatOfTheLibraryButForLongRunsOfMarks(f *testing.F) {
	for _, s := range []string{"e\u0301", "a\u0323\u0307\u0302", "\u1100\u1161\u11a8", "\uac00\u11a8", "\u0344\u0958 \u212b", "o\u0304\u0328", "\u0301a\u0301", "\u0b47\u0b3e\u0b56"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		s = string([]rune(s))
		want := norm.NFC.String(s)
		if strings.Count(want, joiner) > strings.Count(s, joiner) {
			return
		}
		if got := composedByDefinition(s); got != want {
			t.Errorf("%+q becomes %+q, want %+q", s, got, want)
		}
	})
}

func TestALongRunOfMarksStaysWhole(t *testing.T) {
	marks := strings.Repeat("\u0301", 40)
	if got, want := composed("e"+marks), "\u00e9"+marks[2:]; got != want {
		t.Errorf("%+q, want %+q", got, want)
	}
}
