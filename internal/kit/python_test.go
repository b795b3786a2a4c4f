package kit

import (
	"encoding/hex"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"
)

// rows reads what Python wrote: words between single blanks, the last of which may hold blanks.
func rows(t *testing.T, name string, words int) [][]string {
	t.Helper()
	text, err := os.ReadFile("testdata/python/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var all [][]string
	for line := range strings.Lines(string(text)) {
		all = append(all, strings.SplitN(strings.TrimSuffix(line, "\n"), " ", words))
	}
	if len(all) < 10 {
		t.Fatalf("%s: %d rows", name, len(all))
	}
	return all
}

func TestNumbersAreWrittenAsPythonWritesThem(t *testing.T) {
	for _, row := range rows(t, "floats.txt", 3) {
		bits, err := strconv.ParseUint(row[0], 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		v := math.Float64frombits(bits)
		if got := pythonFloat(v); got != row[1] {
			t.Errorf("%x in JSON: %s, want %s", bits, got, row[1])
		}
		var c console
		c.value("label", v)
		label, value, _ := strings.Cut(strings.TrimSuffix(c.String(), "\n"), strings.Repeat(" ", 36))
		if strings.TrimRight(value, " ") != row[2] || label != "label" || len(value) < 10 {
			t.Errorf("%x in the block: %q, want %s", bits, c.String(), row[2])
		}
	}
}

func TestTextsAreWrittenAsPythonWritesThem(t *testing.T) {
	for _, row := range rows(t, "texts.txt", 2) {
		text, err := hex.DecodeString(strings.TrimPrefix(row[0], "-"))
		if err != nil {
			t.Fatal(err)
		}
		if got := string(appendString(nil, string(text))); got != row[1] {
			t.Errorf("%q: %s, want %s", text, got, row[1])
		}
	}
	if got := string(appendString(nil, "a\xffb")); got != `"a\ufffdb"` {
		t.Errorf("broken UTF-8: %s", got)
	}
}

func TestADocumentIsWrittenAsPythonWritesIt(t *testing.T) {
	want, err := os.ReadFile("testdata/python/document.txt")
	if err != nil {
		t.Fatal(err)
	}
	var inner, o object
	inner.set("e", 1)
	inner.set("f", "g")
	o.set("a", nil)
	o.set("b", []float64{})
	o.set("h", "set again below: the place stays, as in a dict")
	o.set("c", [][]float64{nil, {1, 2.5e-7}})
	o.drop("h")
	o.drop("no such key")
	o.set("d", &inner)
	o.set("h", []int{1, -2})
	o.set("i", []string{"y"})
	o.set("j", math.Inf(1))
	o.set("i", []string{"x"})
	if got := string(o.text()); got != string(want) {
		t.Errorf("%s, want %s", got, want)
	}
}
