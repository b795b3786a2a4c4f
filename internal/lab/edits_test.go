package lab

import "testing"

func TestEditsCountSlipsOfTheFingers(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"abc", "abc", 0}, {"abc", "", 3}, {"abc", "abd", 1}, {"abc", "ab", 1}, {"abc", "acb", 1}, {"kitten", "sitting", 3},
	} {
		if got := Edits(tc.a, tc.b); got != tc.want || Edits(tc.b, tc.a) != got {
			t.Errorf("%q to %q: %d, want %d", tc.a, tc.b, got, tc.want)
		}
	}
}
