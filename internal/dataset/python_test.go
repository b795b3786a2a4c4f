package dataset

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestShuffleAndChoiceAreThoseOfPython(t *testing.T) {
	text, err := os.ReadFile("testdata/python-random.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Seed         uint64
		Shuffle1     []int
		Shuffle2     []int
		Shuffle10    []int
		Shuffle1000  []int
		Choice, Bits []int
	}
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		for _, want := range [][]int{c.Shuffle1, c.Shuffle2, c.Shuffle10, c.Shuffle1000} {
			got := make([]int, len(want))
			for i := range got {
				got[i] = i
			}
			shuffle(seedPython(c.Seed), got)
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("seed %d, shuffle of %d (-python +lab):\n%s", c.Seed, len(want), d)
			}
		}
		p := seedPython(c.Seed)
		for i, n := range []int{1, 3, 10, 1000, 94000, 1 << 31} {
			for k := range 5 {
				if got, want := p.below(n), c.Choice[5*i+k]; got != want {
					t.Errorf("seed %d: choice from %d gives %d, Python %d", c.Seed, n, got, want)
				}
			}
		}
		p = seedPython(c.Seed)
		for _, want := range c.Bits {
			if got := int(p.uint32()); got != want {
				t.Errorf("seed %d: 32 bits are %d, Python's %d", c.Seed, got, want)
			}
		}
	}
}
