package matrices

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTheScaffoldShowsEveryKeyAndEachLineOfItCanBeTurnedOn(t *testing.T) {
	text := string(Scaffold(""))
	for path := range keys {
		name := path[strings.LastIndexByte(path, '.')+1:]
		if !regexp.MustCompile(`\b`+name+`: `).MatchString(text) && !regexp.MustCompile(`(?m)^ *`+name+`:`).MatchString(text) {
			t.Errorf("the scaffold does not show %s", path)
		}
	}
	lines := strings.Split(text, "\n")
	option := regexp.MustCompile(`^( *)# ([a-z0-9_]+: .*)$`)
	tried := 0
	for i, line := range lines {
		m := option.FindStringSubmatch(line)
		if m == nil || strings.HasPrefix(m[2], "extends:") || strings.HasPrefix(m[2], "file:") {
			continue // these need another file, or another kind
		}
		on := append([]string(nil), lines...)
		on[i] = m[1] + m[2]
		whole := strings.Join(on, "\n")
		if strings.HasPrefix(m[2], "base_url:") {
			whole = strings.Replace(whole, "  gpu_memory_utilization", "  # gpu_memory_utilization", 1)
		}
		if strings.HasPrefix(m[2], "burstiness:") {
			whole = strings.Replace(whole, "  # rate:", "  rate:", 1)
		}
		_, err := Parse("x.yaml", []byte(whole))
		if strings.HasPrefix(m[2], "sweep:") {
			_, err = ParseSweep("x.yaml", []byte(whole))
		}
		if err != nil {
			t.Errorf("turned on: %s\n%v", m[2], err)
		}
		tried++
	}
	if tried < 30 {
		t.Errorf("only %d lines were tried", tried)
	}
}

func TestEveryOtherDataSetOfTheScaffoldCanTakeThePlaceOfTheRandomOne(t *testing.T) {
	text := string(Scaffold(""))
	random := regexp.MustCompile(`(?m)^  dataset:\n(    .*\n)+`)
	if !random.MatchString(text) {
		t.Fatal("the scaffold has no data set")
	}
	var shown []string
	for _, m := range regexp.MustCompile(`(?m)^  #  ( dataset: \{kind: ([a-z_-]+).*)$`).FindAllStringSubmatch(text, -1) {
		whole := random.ReplaceAllLiteralString(text, " "+m[1]+"\n")
		if m[2] == "random-mm" || m[2] == "hf" {
			whole = strings.Replace(whole, "# api: completions", "api: chat", 1)
		}
		if _, err := Parse("x.yaml", []byte(whole)); err != nil {
			t.Errorf("in place: %s\n%v", m[1], err)
		}
		shown = append(shown, m[2])
	}
	if diff := cmp.Diff(kindNames()[1:], shown); diff != "" {
		t.Errorf("kinds (-) against those shown (+): %s", diff)
	}
}

func TestTheScaffoldHoldsAnyModelName(t *testing.T) {
	for _, model := range []string{"org/name-1.5B_x", "plain", "/models/a b", "null", "1e3", "a: b # c", `C:\models\x`, "模型/名", "@x", "- x", "'q\"", "~"} {
		text := Scaffold(model)
		f, err := Parse("/etc/x.yaml", text)
		if err != nil {
			t.Errorf("%q: %v", model, err)
			continue
		}
		if got := f.Experiment.Server.Model; got != model && model != "~" { // ~ is the home folder
			t.Errorf("model %q became %q", model, got)
		}
		if bytes.Count(text, []byte("\n")) != bytes.Count(Scaffold(""), []byte("\n")) {
			t.Errorf("%q changed the lines", model)
		}
	}
}

func TestTheDemoDiffersInOneThing(t *testing.T) {
	dir := t.TempDir()
	writeShipped(t, dir)
	a, err := Load(dir + "/demo-a.yaml")
	if err != nil {
		t.Fatal(err)
	}
	b, err := Load(dir + "/demo-b.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if a.Experiment.Name == b.Experiment.Name || a.Experiment.Key() == b.Experiment.Key() {
		t.Error("the arms are alike")
	}
	b.Experiment.Server.MaxNumSeqs = a.Experiment.Server.MaxNumSeqs
	if a.Experiment.Key() != b.Experiment.Key() {
		t.Error("more than max_num_seqs differs")
	}
}
