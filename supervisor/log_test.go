package supervisor

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lab/internal/lab"
)

func TestLogLinesComeWithoutColourAndProgressBarsLineByLine(t *testing.T) {
	var s splitter
	var got []string
	for _, part := range []string{
		"\x1b[0;36m(APIServer pid=7)\x1b[0;0m INFO he", "llo\r\n", "\r\n\n", "Capturing: 1/2\rCapturing: 2/2\r", "\n",
		"\x1b]0;title\x07bad \xff byte\n", strings.Repeat("x", longLine+5) + "\n", "no end",
	} {
		got = append(got, s.feed([]byte(part))...)
	}
	want := []string{"(APIServer pid=7) INFO hello", "Capturing: 1/2", "Capturing: 2/2", "bad � byte", strings.Repeat("x", longLine), "xxxxx"}
	if !slices.Equal(got, want) {
		t.Errorf("lines are %.80q", got)
	}
	if rest := s.feed([]byte("\n")); !slices.Equal(rest, []string{"no end"}) {
		t.Errorf("rest is %q", rest)
	}
}

func TestTheLogIsReadWhileItGrowsAndToItsEnd(t *testing.T) {
	dir := t.TempDir()
	out, errs := filepath.Join(dir, "out"), filepath.Join(dir, "err")
	for _, name := range []string{out, errs} {
		if err := os.WriteFile(name, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var seen []lab.LogLine
	b, err := openLog(lab.NewEpoch().Clock(), func(l lab.LogLine) { seen = append(seen, l) }, out, errs)
	if err != nil {
		t.Fatal(err)
	}
	add := func(name, text string) {
		f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	add(out, "one\ntw")
	b.read()
	add(out, "o\n")
	add(errs, "three")
	b.finish()
	if len(seen) != 3 || seen[0].Text != "one" || seen[1].Text != "two" || seen[2].Text != "three" || !seen[2].Stderr || seen[0].At <= 0 || seen[2].At < seen[0].At {
		t.Errorf("lines are %+v", seen)
	}
	if tail := b.tail(2); len(tail) != 2 || tail[0].Text != "two" {
		t.Errorf("tail is %+v", tail)
	}
}

func FuzzSplitter(f *testing.F) {
	f.Add([]byte("a\r\nb\x1b[31mc\rd"), 3)
	f.Add([]byte("\x1b[\x1b]\x07\xff\xfe\n\n\r"), 1)
	f.Fuzz(func(t *testing.T, data []byte, cut int) {
		if cut < 0 || cut > len(data) {
			return
		}
		var whole, halves splitter
		want := append(whole.feed(data), whole.feed([]byte("\n"))...)
		got := append(halves.feed(data[:cut]), halves.feed(data[cut:])...)
		got = append(got, halves.feed([]byte("\n"))...)
		if len(data) < longLine && !slices.Equal(got, want) {
			t.Errorf("cut at %d: %q, whole: %q", cut, got, want)
		}
	})
}
