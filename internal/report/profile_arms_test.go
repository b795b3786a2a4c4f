package report

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"lab/internal/lab"
)

func armRun(id, lost string) *lab.Run {
	return &lab.Run{ID: id, Outcome: lab.Complete, Experiment: lab.Experiment{Name: id, Profile: &lab.ProfileWindow{Iterations: 8}},
		Profile: &lab.Profile{Mechanism: lab.ProfileByConfig, Bound: "server", Condition: "warm", Complete: lost == "", Lost: lost}}
}

func TestProfilesOfArmsStandBesideTheVerdictAndSayWhatIsMissing(t *testing.T) {
	diff := gpuDifference()
	both := &ArmProfiles{A: armRun("one", ""), B: armRun("two", ""), Diff: &diff}
	half := &ArmProfiles{B: armRun("two", "the server refused")}
	for _, c := range []struct {
		of         *ArmProfiles
		want, not  string
		keys, lack []string
	}{
		{both, "evidence: the two profiled runs", "LOST", []string{"a", "b", "diff"}, nil},
		{half, "LOST: the server refused", "arm A", []string{"b"}, []string{"a", "diff"}},
	} {
		var text, doc bytes.Buffer
		if err := Profiles(&text, c.of, Options{Width: 100}); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(text.String(), c.want) || strings.Contains(text.String(), c.not) {
			t.Errorf("wants %q and not %q:\n%s", c.want, c.not, &text)
		}
		if err := VerdictJSON(&doc, Gate{Profiles: c.of}); err != nil {
			t.Fatal(err)
		}
		var got struct{ Profiles map[string]json.RawMessage }
		if err := json.Unmarshal(doc.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		for _, key := range c.keys {
			if got.Profiles[key] == nil {
				t.Errorf("no profiles.%s in %s", key, &doc)
			}
		}
		for _, key := range c.lack {
			if got.Profiles[key] != nil {
				t.Errorf("profiles.%s is %s", key, got.Profiles[key])
			}
		}
	}
}
