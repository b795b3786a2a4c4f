package profiling

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lab/internal/lab"
)

const smallTrace = `{"schemaVersion": 1, "traceEvents": [{"ph": "X", "cat": "cpu_op", "name": "aten::mm", "pid": 1, "tid": 1, "ts": 1.000, "dur": 2.000}], "traceName": "x"}`

func packed(t testing.TB, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// The names are those of recordings, and of what is still being written.
func TestTheManifestTellsWhatEachFileIsAndWhetherItIsWhole(t *testing.T) {
	dir := t.TempDir()
	whole := packed(t, smallTrace)
	broken := bytes.Clone(whole)
	broken[len(broken)-6] ^= 1 // the checksum
	rank := func(n int) *int { return &n }
	type want struct {
		kind   string
		rank   *int
		damage string // a part of it; empty: whole
	}
	cases := map[string]struct {
		content []byte
		want
	}{
		"rank0.1795579208951645797.pt.trace.json.gz":                      {whole, want{"worker", rank(0), ""}},
		"dp0_pp0_tp1_dcp0_ep0_rank1.1795579208951645797.pt.trace.json.gz": {whole, want{"worker", rank(1), ""}},
		"1795578596599835373-rank-2.1795578628255475732.pt.trace.json.gz": {whole, want{"worker", rank(2), ""}},
		"lab-host_16667.1795579331350756484.pt.trace.json.gz":             {whole, want{"worker", nil, ""}},
		"lab-host_16668.1795579331350756484.pt.trace.json":                {[]byte(smallTrace), want{"worker", nil, ""}},
		"lab-host_9816.async_llm.1795578628247759942.pt.trace.json.gz":    {whole, want{"frontend", nil, ""}},
		"lab-host_9816.async_llm.profiler_out.txt":                        {[]byte("\n"), want{"table", nil, ""}},
		"profiler_out_0.txt": {[]byte("Name\n"), want{"table", nil, ""}},
		filepath.Join("capture_traces", "rank0.1.pt.trace.json.gz"): {whole, want{"capture", rank(0), ""}},
		"rank3.1795579208951645797.pt.trace.json.gz":                {nil, want{"worker", rank(3), "it is empty"}},
		"rank4.1795579208951645797.pt.trace.json.gz":                {whole[:len(whole)/2], want{"worker", rank(4), "unexpected EOF"}},
		"rank5.1795579208951645797.pt.trace.json.gz":                {broken, want{"worker", rank(5), "checksum"}},
		"rank6.1795579208951645797.pt.trace.json":                   {[]byte(smallTrace[:90]), want{"worker", rank(6), "the file ends"}},
		"rank7.1795579208951645797.pt.trace.json.tmp":               {[]byte(smallTrace), want{"worker", rank(7), "still being written"}},
		"rank8.1795579208951645797.pt.trace.json":                   {[]byte(`{"schemaVersion": 1}`), want{"worker", rank(8), "without a traceEvents list"}},
		"rank9.1795579208951645797.pt.trace.json.gz":                {[]byte("\x1f\x8bxx"), want{"worker", rank(9), "gzip header"}},
	}
	for name, c := range cases {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), c.content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	folder := OpenFolder(dir)
	files, err := folder.Files(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != len(cases) {
		t.Errorf("%d files in the manifest, want %d", len(files), len(cases))
	}
	for _, f := range files {
		c := cases[f.Path]
		sum := sha256.Sum256(c.content)
		expect := lab.TraceFile{
			Path: f.Path, Size: lab.Bytes(len(c.content)), SHA256: hex.EncodeToString(sum[:]), Kind: c.kind, Rank: c.rank,
			Complete: c.damage == "", Damage: f.Damage,
		}
		if diff := cmp.Diff(expect, f); diff != "" || !strings.Contains(f.Damage, c.damage) {
			t.Errorf("%s: damage %q, want %q; %s", f.Path, f.Damage, c.damage, diff)
		}
	}
	if workers, frontends := Traces(files); workers != 5 || frontends != 1 {
		t.Errorf("%d whole traces of workers and %d of the API server, want 5 and 1", workers, frontends)
	}
	if _, changed, err := folder.Look(); changed || err != nil {
		t.Errorf("nothing was written and something changed (%v)", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "rank3.1795579208951645797.pt.trace.json.gz"), whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if size, changed, err := folder.Look(); !changed || size == 0 || err != nil {
		t.Errorf("a file grew and it was not seen (%v)", err)
	}
	if files, err = folder.Files(t.Context()); err != nil {
		t.Fatal(err)
	}
	if workers, _ := Traces(files); workers != 6 {
		t.Errorf("%d whole traces of workers, want 6", workers)
	}
}

func TestAFolderThatIsNotThereYetHoldsNothing(t *testing.T) {
	files, err := OpenFolder(filepath.Join(t.TempDir(), "later")).Files(t.Context())
	if err != nil || len(files) != 0 {
		t.Errorf("%v, %v", files, err)
	}
}

func FuzzAFileIsWholeOrItIsSaidWhyNot(f *testing.F) {
	for _, seed := range [][]byte{[]byte(smallTrace), packed(f, smallTrace), packed(f, smallTrace)[:40], []byte("\x1f\x8b"), []byte("["), []byte("{}"), {}} {
		f.Add("rank0.1.pt.trace.json.gz", seed)
	}
	f.Add("x.async_llm.1.pt.trace.json.tmp", []byte(smallTrace))
	f.Fuzz(func(t *testing.T, name string, content []byte) {
		dir := t.TempDir()
		base := filepath.Base(name)
		if os.WriteFile(filepath.Join(dir, base), content, 0o600) != nil {
			t.Skip() // no name of a file
		}
		file, err := examine(context.Background(), dir, base)
		if err != nil {
			t.Fatal(err)
		}
		if file.Complete != (file.Damage == "") || int(file.Size) != len(content) || len(file.SHA256) != 64 {
			t.Errorf("%+v", file)
		}
	})
}
