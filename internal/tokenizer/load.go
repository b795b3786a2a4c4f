package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"unicode/utf8"
)

// Load reads the tokenizer of a model folder.
func Load(dir string) (*Tokenizer, error) {
	name := filepath.Join(dir, "tokenizer.json")
	text, err := os.ReadFile(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("read tokenizer: %s does not exist: put the model's tokenizer.json there", name)
	case err != nil:
		return nil, fmt.Errorf("read tokenizer: %w", err)
	}
	t, err := parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("read tokenizer: %s: %w", name, err)
	}
	return t, nil
}

// parse makes a tokenizer of the text of a tokenizer.json.
func parse(text string) (*Tokenizer, error) {
	if !utf8.ValidString(text) {
		return nil, errors.New("the file is not UTF-8")
	}
	var d document
	if err := d.read(text); err != nil {
		return nil, err
	}
	t := &Tokenizer{seed: maphash.MakeSeed(), cache: make([]atomic.Pointer[cached], cacheSlots)}
	for _, part := range []struct {
		name  string
		value component
		set   func(component) error
	}{
		{"normalizer", d.normalizer, t.setNormalizer},
		{"pre_tokenizer", d.preTokenizer, t.setPreTokenizer},
		{"post_processor", d.postProcessor, t.setPostProcessor},
		{"decoder", d.decoder, t.setDecoder},
	} {
		if err := part.set(part.value); err != nil {
			return nil, fmt.Errorf("%s: %w", part.name, err)
		}
	}
	if err := t.setAdded(d.added, d.model.vocab); err != nil {
		return nil, fmt.Errorf("added_tokens: %w", err)
	}
	return t, t.setModel(d.model, d.added)
}

// document is a tokenizer.json, without what says nothing about ids (padding, truncation).
type document struct {
	model                                            model
	added                                            []addedToken
	normalizer, preTokenizer, postProcessor, decoder component
}

func (d *document) read(text string) error {
	s := &scanner{text: text}
	found := false
	small := map[string]any{
		"added_tokens": &d.added, "normalizer": &d.normalizer, "pre_tokenizer": &d.preTokenizer,
		"post_processor": &d.postProcessor, "decoder": &d.decoder,
	}
	err := s.object(func(key string) error {
		if key == "model" {
			found = true
			d.model = model{}
			return d.model.read(s)
		}
		raw, err := s.raw()
		if err != nil {
			return err
		}
		into := small[key]
		if into == nil {
			return nil
		}
		if err := json.Unmarshal([]byte(raw), into); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case s.peek() != 0 || s.pos < len(s.text):
		return s.fault("nothing more")
	case !found:
		return errors.New("model is missing: this is no tokenizer.json")
	}
	return d.model.check()
}

// model is the BPE model of a tokenizer.json.
type model struct {
	options struct {
		Type         string   `json:"type"`
		Dropout      *float64 `json:"dropout"`
		Prefix       string   `json:"continuing_subword_prefix"`
		Suffix       string   `json:"end_of_word_suffix"`
		ByteFallback bool     `json:"byte_fallback"`
		IgnoreMerges bool     `json:"ignore_merges"`
	}
	vocab  map[string]int32
	merges [][2]string
}

// idLimit keeps a damaged file from asking for all memory; the largest vocabularies have some 300 000 tokens.
const idLimit = 1 << 22

func (m *model) read(s *scanner) error {
	rest := map[string]json.RawMessage{}
	err := s.object(func(key string) error {
		c := s.peek() // Unigram has its vocabulary in an array: its type gives the better error, and may come later
		switch {
		case key == "vocab" && c == '{':
			return m.readVocab(s)
		case key == "merges" && c == '[':
			return m.readMerges(s)
		}
		raw, err := s.raw()
		if err == nil && key != "vocab" {
			rest[key] = json.RawMessage(raw)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("model: %w", err)
	}
	options, err := json.Marshal(rest)
	if err == nil {
		err = json.Unmarshal(options, &m.options)
	}
	if err != nil {
		return fmt.Errorf("model: %w", err)
	}
	return nil
}

func (m *model) readVocab(s *scanner) error {
	m.vocab = make(map[string]int32, (len(s.text)-s.pos)/80) // roughly: with its merges, a token takes 75 bytes
	return s.object(func(token string) error {
		id, err := s.integer()
		if err != nil {
			return err
		}
		if id >= idLimit {
			return fmt.Errorf("the id %d of token %q is not below %d", id, token, idLimit)
		}
		m.vocab[token] = int32(id)
		return nil
	})
}

// readMerges reads pairs in either of their spellings: "left right" and ["left", "right"].
func (m *model) readMerges(s *scanner) error {
	m.merges = make([][2]string, 0, len(m.vocab))
	return s.array(func() error {
		if s.peek() == '"' {
			both, err := s.string()
			if err != nil {
				return err
			}
			left, right, two := strings.Cut(both, " ")
			if !two {
				return fmt.Errorf("merge %d: %q is no pair", len(m.merges), both)
			}
			m.merges = append(m.merges, [2]string{left, right})
			return nil
		}
		var parts []string
		err := s.array(func() error {
			part, err := s.string()
			parts = append(parts, part)
			return err
		})
		if err != nil {
			return err
		}
		if len(parts) != 2 {
			return fmt.Errorf("merge %d: %q is no pair", len(m.merges), parts)
		}
		m.merges = append(m.merges, [2]string{parts[0], parts[1]})
		return nil
	})
}

// check refuses models that are no byte-level BPE.
func (m *model) check() error {
	o := m.options
	switch {
	case o.Type != "BPE" && o.Type != "":
		return fmt.Errorf("model type %s is not supported: only byte-level BPE", o.Type)
	case o.ByteFallback:
		return errors.New("model has byte_fallback, which is not supported: only byte-level BPE")
	case o.Dropout != nil && *o.Dropout != 0:
		return errors.New("model has dropout, which is not supported: the same text would get different tokens")
	case o.Prefix != "" || o.Suffix != "":
		return errors.New("model has continuing_subword_prefix or end_of_word_suffix, which is not supported: only byte-level BPE")
	case len(m.vocab) == 0:
		return errors.New("model has no vocab")
	}
	return nil
}

// setModel makes the tables that merging and decoding need.
func (t *Tokenizer) setModel(m model, added []addedToken) error {
	size, length := int32(0), 0
	for token, id := range m.vocab {
		size = max(size, id+1)
		length += len(token)
	}
	for _, a := range added {
		size = max(size, a.ID+1)
		length += len(a.Content)
	}
	t.pieces, t.special = make([]string, size), make([]bool, size)
	if m.options.IgnoreMerges {
		t.words = make(map[string]int32, len(m.vocab))
	}
	// One string holds all pieces: half a million small ones would keep the garbage collector busy.
	var all strings.Builder
	all.Grow(length)
	known := make([]bool, size)
	var bytes []byte
	add := func(token string, id int32) (piece string, ok bool) {
		bytes, ok = appendBytes(bytes[:0], token)
		start := all.Len()
		all.Write(bytes)
		t.pieces[id] = all.String()[start:]
		return t.pieces[id], ok
	}
	for token, id := range m.vocab {
		if known[id] {
			return fmt.Errorf("vocab gives the id %d twice", id)
		}
		known[id] = true
		if piece, ok := add(token, id); ok && t.words != nil {
			t.words[piece] = id
		}
	}
	for _, a := range added {
		add(a.Content, a.ID)
		t.special[a.ID] = a.Special
	}
	for id := range size {
		if known[id] && !t.special[id] {
			t.plain = append(t.plain, id)
		}
	}
	return t.setMerges(m)
}

func (t *Tokenizer) setMerges(m model) error {
	t.mergers.New = func() any { return &merger{merges: t.merges} }
	for b := range t.bytes {
		id, known := m.vocab[string(runeOfByte[b])]
		if !known {
			return fmt.Errorf("vocab has no token for byte 0x%02X: only byte-level BPE is supported", b)
		}
		t.bytes[b] = id
	}
	t.merges = make(map[pair]merge, len(m.merges))
	var joined []byte
	for rank, both := range m.merges {
		left, ok1 := m.vocab[both[0]]
		right, ok2 := m.vocab[both[1]]
		joined = append(append(joined[:0], both[0]...), both[1]...)
		id, ok3 := m.vocab[string(joined)]
		if !ok1 || !ok2 || !ok3 {
			return fmt.Errorf("merge %d (%q and %q): they or their union are not in vocab", rank, both[0], both[1])
		}
		t.merges[pairOf(left, right)] = merge{int32(rank), id}
	}
	return nil
}

// setAdded makes the added tokens ready to be found. It settles their ids and contents as the library does.
func (t *Tokenizer) setAdded(added []addedToken, vocab map[string]int32) error {
	var exact, normalized []addedToken
	for i := range added {
		a := &added[i]
		if id, known := vocab[a.Content]; known {
			a.ID = id
		}
		switch {
		case a.Content == "":
			return fmt.Errorf("token %d is empty", a.ID)
		case a.ID < 0 || a.ID >= idLimit:
			return fmt.Errorf("the id %d of token %q is not from 0 to %d", a.ID, a.Content, idLimit-1)
		case !a.Normalized:
			exact = append(exact, *a)
			continue
		case t.nfc:
			a.Content = composed(a.Content)
		}
		normalized = append(normalized, *a)
	}
	t.exact, t.normalized = newAddedTokens(exact), newAddedTokens(normalized)
	return nil
}
