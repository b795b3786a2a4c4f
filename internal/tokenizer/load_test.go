package tokenizer

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// member makes a component of a tokenizer.json of its type and what else it has.
func member(kind string, more map[string]any) map[string]any {
	m := map[string]any{"type": kind}
	for key, value := range more {
		m[key] = value
	}
	return m
}

func TestWhatIsNotSupportedIsRefusedByName(t *testing.T) {
	split := func(more map[string]any) map[string]any {
		return member("Sequence", map[string]any{"pretokenizers": []any{member("Split", more), member("ByteLevel", nil)}})
	}
	pattern := map[string]any{"Regex": "a"}
	for name, c := range map[string]struct {
		patch map[string]any
		want  string
	}{
		"another model":       {map[string]any{"model": map[string]any{"type": "Unigram", "vocab": []any{[]any{"a", -1.5}}}}, "model type Unigram is not supported: only byte-level BPE"},
		"byte fallback":       {map[string]any{"model": map[string]any{"byte_fallback": true}}, "model has byte_fallback, which is not supported"},
		"dropout":             {map[string]any{"model": map[string]any{"dropout": 0.1}}, "model has dropout"},
		"word suffixes":       {map[string]any{"model": map[string]any{"end_of_word_suffix": "</w>"}}, "end_of_word_suffix"},
		"no bytes":            {map[string]any{"model": map[string]any{"vocab": map[string]any{"a": 0}, "merges": []any{}}}, "vocab has no token for byte 0x00"},
		"an id twice":         {map[string]any{"model": map[string]any{"vocab": map[string]any{"a": 0, "b": 0}}}, "vocab gives the id 0 twice"},
		"an id out of range":  {map[string]any{"model": map[string]any{"vocab": map[string]any{"a": 4194304}}}, `the id 4194304 of token "a" is not below 4194304`},
		"a merge of no pair":  {map[string]any{"model": map[string]any{"merges": []any{"a b", "ab"}}}, `merge 1: "ab" is no pair`},
		"a merge of three":    {map[string]any{"model": map[string]any{"merges": []any{[]any{"a", "b", "c"}}}}, `merge 0: ["a" "b" "c"] is no pair`},
		"a merge of nothing":  {map[string]any{"model": map[string]any{"merges": []any{"a zz"}}}, `merge 0 ("a" and "zz"): they or their union are not in vocab`},
		"another normalizer":  {map[string]any{"normalizer": member("Lowercase", nil)}, "normalizer: type Lowercase is not supported: known are NFC and Sequence"},
		"another cutter":      {map[string]any{"pre_tokenizer": member("Sequence", map[string]any{"pretokenizers": []any{member("ByteLevel", nil), member("Metaspace", nil)}})}, "pre_tokenizer: type Metaspace is not supported"},
		"no cutter":           {map[string]any{"pre_tokenizer": nil}, "pre_tokenizer: there is no ByteLevel"},
		"another behavior":    {map[string]any{"pre_tokenizer": split(map[string]any{"pattern": pattern, "behavior": "Removed"})}, "a Split of behavior Removed, invert false is not supported"},
		"an inverted split":   {map[string]any{"pre_tokenizer": split(map[string]any{"pattern": pattern, "behavior": "Isolated", "invert": true})}, "invert true is not supported"},
		"a split by nothing":  {map[string]any{"pre_tokenizer": split(map[string]any{"behavior": "Isolated"})}, "a Split has no pattern"},
		"a pattern":           {map[string]any{"pre_tokenizer": split(map[string]any{"pattern": map[string]any{"Regex": `\bx`}, "behavior": "Isolated"})}, `pre_tokenizer: split pattern "\\bx": \b at byte 0 is not supported`},
		"another processor":   {map[string]any{"post_processor": member("RobertaProcessing", nil)}, "post_processor: type RobertaProcessing is not supported"},
		"an unknown special":  {map[string]any{"post_processor": member("TemplateProcessing", map[string]any{"single": []any{map[string]any{"SpecialToken": map[string]any{"id": "<x>"}}}})}, `post_processor: template: it does not say the ids of "<x>"`},
		"a template of twice": {map[string]any{"post_processor": member("TemplateProcessing", map[string]any{"single": []any{map[string]any{"Sequence": map[string]any{"id": "A"}}, map[string]any{"Sequence": map[string]any{"id": "A"}}}})}, "once, is not supported"},
		"a template of none":  {map[string]any{"post_processor": member("TemplateProcessing", map[string]any{"single": []any{}})}, "template: the text A is missing"},
		"another decoder":     {map[string]any{"decoder": member("WordPiece", nil)}, "decoder: type WordPiece is not supported"},
		"no decoder":          {map[string]any{"decoder": nil}, "decoder: there is none"},
		"an empty added one":  {map[string]any{"added_tokens": []any{map[string]any{"id": 318, "content": ""}}}, "added_tokens: token 318 is empty"},
		"an added one beyond": {map[string]any{"added_tokens": []any{map[string]any{"id": -1, "content": "<x>"}}}, `added_tokens: the id -1 of token "<x>" is not from 0 to 4194303`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := loadVariant(t, c.patch)
			if err == nil || !strings.HasPrefix(err.Error(), "read tokenizer: ") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v\nwant: %s", err, c.want)
			}
		})
	}
}

func TestAFolderWithoutATokenizerSaysWhatToPutThere(t *testing.T) {
	dir := t.TempDir()
	_, err := Load(dir)
	want := "read tokenizer: " + filepath.Join(dir, "tokenizer.json") + " does not exist: put the model's tokenizer.json there"
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestDamagedJSONIsRefusedWithItsPlace(t *testing.T) {
	for text, want := range map[string]string{
		``:                                   "damaged JSON at the end: want an object",
		`[]`:                                 "damaged JSON at byte 0: want an object",
		`{"model": {"vocab": {"a" 1}}}`:      "model: damaged JSON at byte 25: want a colon",
		`{"model": {"vocab": {"a": 1.5}}}`:   "model: damaged JSON at byte 27: want a comma or the end of the object",
		`{"model": {"vocab": {"a": -1}}}`:    "model: damaged JSON at byte 26: want a whole number",
		`{"model": {"vocab": {"\q": 1}}}`:    "model: damaged JSON at byte 21: want a string",
		`{"model": {"merges": [["a", 1]]}}`:  "model: damaged JSON at byte 28: want a string",
		`{"model": {"vocab": {"a`:            "model: damaged JSON at the end: want the end of a string",
		`{"version": "1.0"}`:                 "model is missing",
		`{"model": {"type": "BPE"}}`:         "model has no vocab",
		`{"model": {"vocab": {"a": 1}}} x`:   "damaged JSON at byte 31: want nothing more",
		`{"added_tokens": {}, "model": {}}`:  "added_tokens: json: cannot unmarshal object",
		`{"padding": [1, {"a": tru}, -2E+5]`: "damaged JSON at the end: want a comma or the end of the object",
		"{\"a\xff\": 1}":                     "the file is not UTF-8",
	} {
		_, err := parse(text)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// What the scanner steps over must be a value as the standard library reads it.
func FuzzTheScannerReadsWhatJSONReads(f *testing.F) {
	for _, s := range []string{`{"a": [1, "x\"y", {"b": null}], "c": -2.5e3}`, `"\u00e9"`, `[[], {}, true]`, ` 1 `, `{"a": 1, "a": 2}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s := &scanner{text: text}
		raw, err := s.raw()
		if json.Valid([]byte(text)) && (err != nil || s.peek() != 0 || strings.TrimSpace(text) != raw) {
			t.Errorf("%q: read %q, %v", text, raw, err)
		}
		list := &scanner{text: text}
		var got []string
		err = list.array(func() error {
			one, err := list.string()
			got = append(got, one)
			return err
		})
		var want []string
		if json.Unmarshal([]byte(text), &want) == nil && strings.HasPrefix(strings.TrimSpace(text), "[") && !strings.Contains(text, "null") {
			if err != nil || strings.Join(got, "\x00") != strings.ToValidUTF8(strings.Join(want, "\x00"), "") && strings.ToValidUTF8(text, "") == text {
				t.Errorf("%q: read %q, %v, want %q", text, got, err, want)
			}
		}
	})
}

func FuzzADamagedFileNeverPanics(f *testing.F) {
	text, err := os.ReadFile("testdata/tiny/tokenizer.json")
	if err != nil {
		f.Fatal(err)
	}
	var short strings.Builder // small enough for the fuzzer to find its way
	var whole map[string]any
	if err := json.Unmarshal(text, &whole); err != nil {
		f.Fatal(err)
	}
	if err := json.NewEncoder(&short).Encode(whole); err != nil {
		f.Fatal(err)
	}
	f.Add(short.String(), 0, "", english)
	f.Add(short.String(), 300, `"normalized": true, "lstrip": true, `, chinese)
	f.Add(short.String(), 100, `{"id": 5}`, "<s> x")
	f.Fuzz(func(t *testing.T, text string, at int, insert, sample string) {
		at = max(0, min(at, len(text)))
		tok, err := parse(text[:at] + insert + text[at:])
		if err != nil || len(sample) > 100 {
			return
		}
		ids := tok.EncodeSpecial(sample)
		tok.Decode(append(ids, int32(tok.Size()), -1))
	})
}
