package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
)

// component is a normalizer, pre-tokenizer, post-processor or decoder of a tokenizer.json: each names its type.
type component struct {
	Type string `json:"type"` // empty: null in the file

	Normalizers   []component `json:"normalizers"` // of a Sequence
	Pretokenizers []component `json:"pretokenizers"`
	Processors    []component `json:"processors"`
	Decoders      []component `json:"decoders"`

	Pattern struct { // of Split
		Regex  *string
		String *string
	} `json:"pattern"`
	Behavior string `json:"behavior"`
	Invert   bool   `json:"invert"`

	AddPrefixSpace bool  `json:"add_prefix_space"` // of ByteLevel
	UseRegex       *bool `json:"use_regex"`

	IndividualDigits bool `json:"individual_digits"` // of Digits

	Single        json.RawMessage `json:"single"` // of TemplateProcessing
	SpecialTokens map[string]struct {
		IDs []int32 `json:"ids"`
	} `json:"special_tokens"`
}

func (c component) unsupported(have string) error {
	return fmt.Errorf("type %s is not supported: known are %s", c.Type, have)
}

func (t *Tokenizer) setNormalizer(c component) error {
	switch c.Type {
	case "":
	case "NFC":
		t.nfc = true
	case "Sequence":
		return each(c.Normalizers, t.setNormalizer)
	default:
		return c.unsupported("NFC and Sequence")
	}
	return nil
}

func each(all []component, do func(component) error) error {
	for _, c := range all {
		if err := do(c); err != nil {
			return err
		}
	}
	return nil
}

func (t *Tokenizer) setPreTokenizer(c component) error {
	if !c.bytes() {
		return errors.New("there is no ByteLevel: only byte-level BPE is supported")
	}
	return t.addSteps(c)
}

// bytes says whether a pre-tokenizer makes bytes of the text.
func (c component) bytes() bool {
	for _, inner := range c.Pretokenizers {
		if inner.bytes() {
			return true
		}
	}
	return c.Type == "ByteLevel"
}

func (t *Tokenizer) addSteps(c component) error {
	var s step
	var pattern string
	switch c.Type {
	case "Sequence":
		return each(c.Pretokenizers, t.addSteps)
	case "ByteLevel":
		s.space = c.AddPrefixSpace
		if c.UseRegex == nil || *c.UseRegex {
			pattern = gpt2Pattern
		}
	case "Split":
		if c.Behavior != "Isolated" || c.Invert {
			return fmt.Errorf("a Split of behavior %s, invert %t is not supported (Isolated, false is)", c.Behavior, c.Invert)
		}
		switch {
		case c.Pattern.Regex != nil:
			pattern = *c.Pattern.Regex
		case c.Pattern.String != nil:
			pattern = regexp.QuoteMeta(*c.Pattern.String)
		}
		if pattern == "" {
			return errors.New("a Split has no pattern")
		}
	case "Digits":
		pattern = `\p{N}+`
		if c.IndividualDigits {
			pattern = `\p{N}`
		}
	default:
		return c.unsupported("ByteLevel, Split, Digits and Sequence")
	}
	if pattern != "" {
		compiled, err := compilePattern(pattern)
		if err != nil {
			return err
		}
		s.pattern = compiled
	}
	if s.space || s.pattern != nil {
		t.steps = append(t.steps, s)
	}
	return nil
}

func (t *Tokenizer) setPostProcessor(c component) error {
	switch c.Type {
	case "", "ByteLevel": // it only moves offsets
	case "Sequence":
		return each(c.Processors, t.setPostProcessor)
	case "TemplateProcessing":
		return t.addTemplate(c)
	default:
		return c.unsupported("ByteLevel, TemplateProcessing and Sequence")
	}
	return nil
}

// addTemplate puts the special tokens of a template around what is already there.
func (t *Tokenizer) addTemplate(c component) error {
	var parts []struct {
		Sequence     *struct{ ID string }
		SpecialToken *struct{ ID string }
	}
	if err := json.Unmarshal(c.Single, &parts); err != nil {
		return fmt.Errorf("template: %w", err)
	}
	var around [2][]int32 // before and after the text
	texts := 0
	for _, p := range parts {
		switch {
		case p.Sequence != nil && p.Sequence.ID == "A" && texts == 0:
			texts++
		case p.SpecialToken != nil:
			token, known := c.SpecialTokens[p.SpecialToken.ID]
			if !known {
				return fmt.Errorf("template: it does not say the ids of %q", p.SpecialToken.ID)
			}
			around[texts] = append(around[texts], token.IDs...)
		default:
			return errors.New("template: one that is not special tokens and the text A, once, is not supported")
		}
	}
	if texts != 1 {
		return errors.New("template: the text A is missing")
	}
	t.before = append(around[0], t.before...)
	t.after = append(t.after, around[1]...)
	return nil
}

func (t *Tokenizer) setDecoder(c component) error {
	switch {
	case c.Type == "ByteLevel", c.Type == "Sequence" && len(c.Decoders) == 1 && c.Decoders[0].Type == "ByteLevel":
		return nil
	case c.Type == "":
		return errors.New("there is none: only byte-level BPE is supported")
	}
	return c.unsupported("ByteLevel")
}
