package compare

import (
	"strings"
	"testing"

	"lab/internal/lab"
)

func TestAVerdictSaysWhichChecksAreOffAndWhy(t *testing.T) {
	random := lab.Dataset{Kind: "random"}
	on := true
	for _, tc := range []struct {
		what   string
		change func(a, b *lab.Experiment)
		want   string // codes
	}{
		{"fresh prompts, greedy", func(_, _ *lab.Experiment) {}, ""},
		{"a shared prefix", func(a, b *lab.Experiment) {
			a.Phases[0].Load.Dataset.PrefixTokens, b.Phases[0].Load.Dataset.PrefixTokens = 64, 64
		}, "warm-cache"},
		{"prompts of a file", func(a, b *lab.Experiment) {
			a.Phases[0].Load.Dataset.Kind, b.Phases[0].Load.Dataset.Kind = "sharegpt", "sharegpt"
		}, "warm-cache"},
		{"arms that differ in prefix caching", func(_, b *lab.Experiment) { b.Server.PrefixCaching = &on }, "cache-apart"},
		{"arms that differ in load", func(_, b *lab.Experiment) { b.Phases[0].Load.Rate = 9 }, "cache-apart answers"},
		{"output lengths of the model's own", func(a, b *lab.Experiment) {
			a.Phases[0].Load.Body, b.Phases[0].Load.Body = map[string]any{"ignore_eos": false}, map[string]any{"ignore_eos": false}
		}, "tokens"},
		{"sampled answers", func(a, b *lab.Experiment) {
			a.Phases[0].Load.ServerSampling, b.Phases[0].Load.ServerSampling = true, true
		}, "answers"},
	} {
		of := func() lab.Experiment {
			return lab.Experiment{Phases: []lab.Phase{{Name: "load", Judged: true, Load: lab.Load{Rate: 4, Dataset: random}}, {Name: "head"}}}
		}
		a, b := of(), of()
		tc.change(&a, &b)
		var codes []string
		for _, f := range Judge(lab.Plan{A: a, B: b, Primary: "tpot.mean", Phase: "load", Fresh: true, Looks: []int{2}, Pairs: 2, Order: "ABBA"}, nil).Unchecked {
			codes = append(codes, f.Code)
			if f.Level != lab.Note || f.Detail == "" {
				t.Errorf("%s: %+v", tc.what, f)
			}
		}
		if got := strings.Join(codes, " "); got != tc.want {
			t.Errorf("%s: off are %q, want %q", tc.what, got, tc.want)
		}
	}
}
