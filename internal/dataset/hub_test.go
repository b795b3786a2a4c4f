package dataset

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"image"
	"image/color/palette"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"

	"lab/internal/lab"
)

func hub(d lab.Dataset) lab.Load {
	d.Kind = "hf"
	return lab.Load{API: "chat", Seed: 1, Requests: 60, Dataset: d}
}

// parquetFile writes rows into a Parquet file of several row groups.
func parquetFile[T any](t *testing.T, name string, rows []T) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := parquet.NewGenericWriter[T](f, parquet.MaxRowsPerRowGroup(7), parquet.PageBufferSize(64))
	if _, err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestVisionArenaGoesOutWithTheFirstImageOfEachRow(t *testing.T) {
	d := lab.Dataset{File: "testdata/pyarrow.parquet", Name: "lmarena-ai/VisionArena-Chat", NoShuffle: true}
	p := open(t, hub(d), Env{Tokenizer: toy{}})
	if p.Distinct() != 60 {
		t.Fatalf("%d rows", p.Distinct())
	}
	decode := []struct {
		mime  string
		bytes func(io.Reader) error
	}{
		{"image/jpeg", func(r io.Reader) error { _, err := jpeg.Decode(r); return err }},
		{"image/png", func(r io.Reader) error { _, err := png.Decode(r); return err }},
		{"image/jpeg", func(r io.Reader) error { _, err := jpeg.Decode(r); return err }}, // was a GIF
		{"image/webp", func(io.Reader) error { return nil }},
	}
	for i, one := range first(p, 60) {
		parts := content(t, one)
		text := fmt.Sprintf("Question %d: what is to be seen?", i)
		if parts[0].Text != text || len(parts) != 2 || one.Output != 128 || one.Input != len(toy{}.EncodeSpecial(text)) {
			t.Errorf("row %d: %+v", i, one)
		}
		if err := decode[i%4].bytes(bytes.NewReader(sent(t, parts[1], decode[i%4].mime))); err != nil {
			t.Errorf("row %d: %v", i, err)
		}
	}
	l := hub(d)
	l.API = "completions"
	if _, err := Open(t.Context(), l, Env{}); err == nil || !strings.Contains(err.Error(), "it has images, which only the chat endpoint takes: use api: chat") {
		t.Error(err)
	}
}

func TestRowsAreShuffledThroughAWindowAndNoneIsLost(t *testing.T) {
	order := hubOrder(2500, hub(lab.Dataset{}))
	seen, moved := make([]bool, 2500), 0
	for i, k := range order {
		if seen[k] || k > i+1000 {
			t.Fatalf("row %d at place %d", k, i)
		}
		seen[k] = true
		if k != i {
			moved++
		}
	}
	if len(order) != 2500 || moved < 2000 {
		t.Errorf("%d rows, %d of them moved", len(order), moved)
	}
	a := first(open(t, hub(lab.Dataset{File: "testdata/pyarrow.parquet"}), Env{}), 60)
	b := first(open(t, hub(lab.Dataset{File: "testdata/pyarrow.parquet"}), Env{}), 60)
	if d := cmp.Diff(a, b); d != "" {
		t.Error("opened again, the order differs:", d)
	}
	l := hub(lab.Dataset{File: "testdata/pyarrow.parquet"})
	l.Requests = 40
	warm := first(open(t, l, Env{Pool: 1, Requests: 20}), 20)
	for _, w := range warm {
		for _, m := range first(open(t, l, Env{}), 40) {
			if w.Hash == m.Hash {
				t.Errorf("a measured row is in the warm-up: %.100s", w.Messages)
			}
		}
	}
}

type gsm struct {
	Question string `parquet:"question"`
	Answer   string `parquet:"answer"`
}

type talk struct {
	Conversations []struct {
		From  string `parquet:"from"`
		Value string `parquet:"value"`
	} `parquet:"conversations,list"`
}

func TestAFolderOfAHubDataSetIsReadBySubsetAndSplit(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"main/test-00000-of-00002", "main/test-00001-of-00002", "main/train-00000-of-00001", "socratic/test-00000-of-00001"} {
		var rows []gsm
		for i := range 30 {
			rows = append(rows, gsm{Question: fmt.Sprint(name, " ", i), Answer: "no"})
		}
		parquetFile(t, filepath.Join(dir, name+".parquet"), rows)
	}
	put(t, filepath.Join(dir, "dataset_infos.json"), "{}")
	p := open(t, hub(lab.Dataset{File: dir, Name: "openai/gsm8k", NoShuffle: true}), Env{})
	if p.At(0).Text != "main/test-00000-of-00002 0" || p.At(59).Text != "main/test-00001-of-00002 29" || p.At(0).Output != 256 {
		t.Errorf("got %+v, %+v", p.At(0), p.At(59))
	}
	p = open(t, hub(lab.Dataset{File: dir, Subset: "socratic", Split: "test", OutputTokens: 9, NoOversample: true}), Env{})
	if Limit(p) != 30 || !strings.HasPrefix(p.At(0).Text, "socratic") || p.At(0).Output != 9 {
		t.Errorf("limit %d, got %+v", Limit(p), p.At(0))
	}
	l := hub(lab.Dataset{File: dir, Subset: "main", Split: "train"})
	l.API = "completions" // which takes the template
	if got := open(t, l, Env{Server: server{}}).At(0).Text; !strings.HasPrefix(got, "<s>user: main/train-") {
		t.Errorf("got %q", got)
	}
	for want, d := range map[string]lab.Dataset{
		"say which split: it has test, train": {File: dir, Subset: "main"},
		"holds no .parquet, .json or .jsonl":  {File: dir, Subset: "other"},
	} {
		if _, err := Open(t.Context(), hub(d), Env{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want …%s…", err, want)
		}
	}
}

func TestTheColumnsSayWhatARowMeans(t *testing.T) {
	dir := t.TempDir()
	turns := talk{}
	for _, value := range []string{"what is the answer?", "it is forty-two, as ever"} {
		turns.Conversations = append(turns.Conversations, struct {
			From  string `parquet:"from"`
			Value string `parquet:"value"`
		}{"x", value})
	}
	parquetFile(t, filepath.Join(dir, "talk.parquet"), []talk{{}, turns, {}})
	var drawn bytes.Buffer
	if err := gif.Encode(&drawn, image.NewPaletted(image.Rect(0, 0, 3, 2), palette.WebSafe), nil); err != nil {
		t.Fatal(err)
	}
	raw := drawn.Bytes()
	put(t, filepath.Join(dir, "pictures", "1.gif"), string(raw))
	for _, c := range []struct {
		name, text, want string
		output           int
		d                lab.Dataset
	}{
		{"talk.parquet", "", "what is the answer?", len(toy{}.EncodeSpecial("it is forty-two, as ever")), lab.Dataset{}},
		{"talk.json", `[{"conversations":[{"value":"one and two"},{"value":"three is five"}]}]`, "one and two", 7, lab.Dataset{OutputTokens: 7}},
		{"mt.jsonl", `{"turns":["first","second"]}` + "\n", "first", 256, lab.Dataset{}},
		{"arena.jsonl", `{"turns":[[{"role":"user","content":"look"}]]}`, "look", 128, lab.Dataset{}},
		{"human.json", ` [{"prompt":"def f():"}]`, "def f():", 256, lab.Dataset{}},
		{"code.jsonl", `{"instruction":"Shorten.","input":"x","output":"y"}`, "x\n\nShorten. Just output the code, do not include any explanation.", 200, lab.Dataset{Name: "likaixin/InstructCoder"}},
		{"alpaca.jsonl", `{"instruction":"Shorten.","input":"x"}`, "x\n\nShorten.", 200, lab.Dataset{}},
		{"star.jsonl", `{"question":"where?","image":{"bytes":"` + base64.StdEncoding.EncodeToString(raw) + `","path":null}}`, "where?", 128, lab.Dataset{}},
		{"path.jsonl", `{"conversation":[[{"role":"user","content":"where?"}]],"images":["pictures/1.gif"]}`, "where?", 128, lab.Dataset{}},
		{"url.jsonl", `{"conversation":[{"role":"user","content":"where?"}],"images":["https://example.org/1.png"]}`, "where?", 128, lab.Dataset{}},
	} {
		if c.text != "" {
			put(t, filepath.Join(dir, c.name), c.text)
		}
		c.d.File = filepath.Join(dir, c.name)
		p := open(t, hub(c.d), Env{Tokenizer: toy{}}).At(0)
		text := p.Text
		if p.Messages != nil {
			parts := content(t, p)
			text = parts[0].Text
			if c.name == "url.jsonl" {
				if parts[1].Image.URL != "https://example.org/1.png" {
					t.Errorf("%s: %s", c.name, p.Messages)
				}
			} else if _, err := jpeg.Decode(bytes.NewReader(sent(t, parts[1], "image/jpeg"))); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		}
		if text != c.want || p.Output != c.output || p.Input != len(toy{}.EncodeSpecial(c.want)) || p.Hash == 0 {
			t.Errorf("%s: got %q and %+v", c.name, text, p)
		}
	}
}

func TestWhatIsWrongWithACopyOfTheHubIsToldWithWhatToDo(t *testing.T) {
	dir := t.TempDir()
	whole, err := os.ReadFile("testdata/pyarrow.parquet")
	if err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, "half.parquet"), string(whole[:len(whole)/2]))
	damaged := bytes.Clone(whole)
	for i := 100; i < 2000; i++ {
		damaged[i] ^= 0x5a
	}
	put(t, filepath.Join(dir, "damaged.parquet"), string(damaged))
	put(t, filepath.Join(dir, "other.jsonl"), `{"speech":"x","label":{"a":1}}`)
	put(t, filepath.Join(dir, "empty.json"), `[]`)
	put(t, filepath.Join(dir, "text.jsonl"), `hello`)
	put(t, filepath.Join(dir, "blank.jsonl"), `{"prompt":""}`)
	put(t, filepath.Join(dir, "image.jsonl"), `{"question":"a","image":"none.png"}`)
	put(t, filepath.Join(dir, "audio.jsonl"), `{"question":"a","image":{"bytes":"AAAA"}}`)
	for name, want := range map[string]string{
		"half.parquet":    "is no whole Parquet file",
		"damaged.parquet": "read column",
		"other.jsonl":     "its columns (label.a, speech) are none that lab understands: conversation.content, turns.content, conversations.value, turns, question with image.bytes, question, instruction with input, prompt; other data goes as JSONL",
		"empty.json":      "has no rows",
		"text.jsonl":      "the row at byte 0 is not a JSON object",
		"blank.jsonl":     "none of 1 rows serves (a row needs text in prompt)",
		"image.jsonl":     "none.png: no such file",
		"audio.jsonl":     "none of JPEG, PNG, WebP, GIF",
	} {
		_, err := Open(t.Context(), hub(lab.Dataset{File: filepath.Join(dir, name)}), Env{Tokenizer: toy{}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s:\n got %v\nwant …%s…", name, err, want)
		}
	}
}

func TestANameOfTheHubIsExplainedAndNeverDownloaded(t *testing.T) {
	const place = "place its .parquet, .json or .jsonl files in a folder and name that: --dataset-path FOLDER --hf-name "
	for path, want := range map[string]string{
		"lmms-lab/VisionArena":                 "vLLM does not accept this name: the data set is lmarena-ai/VisionArena-Chat: " + place + "lmarena-ai/VisionArena-Chat",
		"/none/lmms-lab/VisionArena":           "vLLM does not accept this name: the data set is lmarena-ai/VisionArena-Chat",
		"lmarena-ai/VisionArena-Chat":          "lab never downloads: " + place + "lmarena-ai/VisionArena-Chat (in an experiment dataset: {kind: hf, file: FOLDER, name: lmarena-ai/VisionArena-Chat})",
		"someone/something":                    "lab never downloads: " + place + "someone/something",
		"data/rows.parquet":                    "data/rows.parquet: no such file or directory",
		filepath.Join(t.TempDir(), "notthere"): "notthere: no such file or directory",
	} {
		if _, err := Open(t.Context(), hub(lab.Dataset{File: path}), Env{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s:\n got %v\nwant …%s…", path, err, want)
		}
	}
}

func FuzzScanLines(f *testing.F) {
	f.Add([]byte("a\n\n  \n b \n\r\nc"), uint8(2))
	f.Fuzz(func(t *testing.T, text []byte, chunk uint8) {
		got, err := scanLines(&chunked{text, int(chunk)%16 + 1})
		if err != nil {
			t.Fatal(err)
		}
		var want []span
		at := int64(0)
		for _, line := range bytes.SplitAfter(text, []byte("\n")) {
			if len(bytes.Trim(line, " \t\r\n")) > 0 {
				want = append(want, span{offset: at, size: len(bytes.TrimSuffix(line, []byte("\n")))})
			}
			at += int64(len(line))
		}
		if d := cmp.Diff(want, got, cmp.AllowUnexported(span{})); d != "" {
			t.Errorf("%q:\n%s", text, d)
		}
	})
}
