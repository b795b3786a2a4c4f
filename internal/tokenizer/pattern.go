package tokenizer

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A split pattern of a tokenizer is an ordered choice of short runs of character classes, with a lookahead or two. Go's
// regexp has no lookahead, and a general backtracking engine takes some twenty times as long; so the part of the syntax
// (Oniguruma's) that these patterns use is compiled here. What is outside it is refused, never guessed. The classes are
// those of Go's Unicode tables: a rune that is newer than they are counts as unassigned.

// term is one step of a sequence: a repeated set, a group, or a lookahead.
type term struct {
	set        *set
	min, max   int // repetitions of set; max < 0: no limit
	possessive bool

	group    []sequence // choices in order of preference
	optional bool

	look    []sequence
	negated bool
}

type sequence []term

// parser reads a pattern.
type parser struct {
	pattern string
	pos     int
	fold    bool // inside (?i:…)
	depth   int
	sets    map[string]*set // by their text, for patterns repeat theirs
}

// parsePattern gives the choices of a pattern.
func parsePattern(pattern string) ([]sequence, error) {
	if !utf8.ValidString(pattern) {
		return nil, fmt.Errorf("split pattern %q is not UTF-8", pattern)
	}
	p := &parser{pattern: pattern, sets: map[string]*set{}}
	choices, err := p.choices()
	if err == nil && p.pos < len(pattern) {
		err = p.refuse("a closing parenthesis without its opening one")
	}
	if err != nil {
		return nil, err
	}
	return choices, nil
}

func (p *parser) refuse(what string) error {
	return fmt.Errorf("split pattern %q: %s at byte %d is not supported", p.pattern, what, p.pos)
}

func (p *parser) rest() string { return p.pattern[p.pos:] }

func (p *parser) skip(prefix string) bool {
	if !strings.HasPrefix(p.rest(), prefix) {
		return false
	}
	p.pos += len(prefix)
	return true
}

// choices reads up to the end or to the parenthesis that closes a group.
func (p *parser) choices() ([]sequence, error) {
	all := []sequence{nil}
	for p.pos < len(p.pattern) && p.pattern[p.pos] != ')' {
		if p.skip("|") {
			all = append(all, nil)
			continue
		}
		next, err := p.term()
		if err != nil {
			return nil, err
		}
		last := len(all) - 1
		all[last] = append(all[last], next)
	}
	return all, nil
}

func (p *parser) term() (term, error) {
	if p.pattern[p.pos] == '(' {
		return p.parenthesis()
	}
	start := p.pos
	spans, err := p.atom()
	if err != nil {
		return term{}, err
	}
	key := p.pattern[start:p.pos]
	if p.fold {
		key = "(?i)" + key
	}
	if p.sets[key] == nil {
		p.sets[key] = newSet(spans)
	}
	next := term{set: p.sets[key]}
	if err := p.repetition(&next); err != nil {
		return term{}, err
	}
	return next, nil
}

// parenthesis reads a group or a lookahead.
func (p *parser) parenthesis() (term, error) {
	if p.depth++; p.depth > 20 {
		return term{}, p.refuse("a group so deep in others")
	}
	defer func(fold bool) { p.fold = fold; p.depth-- }(p.fold)
	start := p.pos
	var next term
	look := false
	switch {
	case p.skip("(?:"):
	case p.skip("(?i:"):
		p.fold = true
	case p.skip("(?!"):
		look, next.negated = true, true
	case p.skip("(?="):
		look = true
	case strings.HasPrefix(p.rest(), "(?"):
		return term{}, p.refuse("a group of this kind")
	default:
		p.pos++
	}
	inner, err := p.choices()
	if err != nil {
		return term{}, err
	}
	if !p.skip(")") {
		p.pos = start
		return term{}, p.refuse("a group that is never closed")
	}
	if look {
		next.look = inner
	} else {
		next.group = inner
		next.optional = p.skip("?")
	}
	if rest := p.rest(); rest != "" && strings.ContainsRune("?*+{", rune(rest[0])) {
		return term{}, p.refuse("this repetition of a group")
	}
	return next, nil
}

// repetition reads what may follow a set.
func (p *parser) repetition(t *term) error {
	t.min, t.max = 1, 1
	simple := true
	switch {
	case p.skip("?"):
		t.min = 0
	case p.skip("*"):
		t.min, t.max = 0, -1
	case p.skip("+"):
		t.max = -1
	case strings.HasPrefix(p.rest(), "{"):
		simple = false
		if err := p.counts(t); err != nil {
			return err
		}
	default:
		return nil
	}
	if simple {
		t.possessive = p.skip("+")
	}
	if rest := p.rest(); rest != "" && strings.ContainsRune("?*+{", rune(rest[0])) {
		return p.refuse("a second repetition")
	}
	return nil
}

// counts reads {3}, {3,} or {1,3}.
func (p *parser) counts(t *term) error {
	inside, _, closed := strings.Cut(p.rest()[1:], "}")
	low, high, ranged := strings.Cut(inside, ",")
	var err, err2 error
	t.min, err = strconv.Atoi(low)
	switch {
	case !ranged:
		t.max = t.min
	case high == "":
		t.max = -1
	default:
		t.max, err2 = strconv.Atoi(high)
	}
	const limit = 1000
	if !closed || err != nil || err2 != nil || t.min < 0 || t.min > limit || t.max > limit || t.max >= 0 && t.max < max(t.min, 1) {
		return p.refuse("this repetition")
	}
	p.pos += len(inside) + 2
	return nil
}

// atom reads what matches one rune.
func (p *parser) atom() ([]span, error) {
	switch c := p.pattern[p.pos]; c {
	case '[':
		return p.class()
	case '\\':
		return p.escape()
	case '^', '$', '?', '*', '+', '{':
		return nil, p.refuse(fmt.Sprintf("%q", c))
	case '.':
		p.pos++
		return complement([]span{{'\n', '\n'}}), nil
	}
	r, size := utf8.DecodeRuneInString(p.rest())
	p.pos += size
	return p.literal(r), nil
}

func (p *parser) literal(r rune) []span {
	if p.fold {
		return foldSpans(r)
	}
	return []span{{r, r}}
}

// class reads [abc], [a-z\d] or [^\s\p{L}].
func (p *parser) class() ([]span, error) {
	if p.fold {
		return nil, p.refuse("a class without regard to case")
	}
	start := p.pos
	p.pos++
	negated := p.skip("^")
	var spans []span
	for !p.skip("]") {
		rest := p.rest()
		switch {
		case rest == "":
			p.pos = start
			return nil, p.refuse("a class that is never closed")
		case rest[0] == '[', strings.HasPrefix(rest, "&&"):
			return nil, p.refuse("a class inside a class")
		}
		member, err := p.member()
		if err != nil {
			return nil, err
		}
		spans = append(spans, member...)
	}
	if len(spans) == 0 {
		p.pos = start
		return nil, p.refuse("an empty class")
	}
	if negated {
		spans = complement(spans)
	}
	return spans, nil
}

// member reads a rune, a range or an escape in a class.
func (p *parser) member() ([]span, error) {
	low, err := p.bound()
	if err != nil {
		return nil, err
	}
	rest := p.rest()
	if len(rest) < 2 || rest[0] != '-' || rest[1] == ']' {
		return low, nil
	}
	at := p.pos
	p.pos++
	if p.rest()[0] == '[' {
		return nil, p.refuse("a class inside a class")
	}
	high, err := p.bound()
	if err != nil {
		return nil, err
	}
	if len(low) != 1 || len(high) != 1 || low[0].low != low[0].high || high[0].low != high[0].high || low[0].low > high[0].low {
		p.pos = at
		return nil, p.refuse("this range")
	}
	return []span{{low[0].low, high[0].low}}, nil
}

// bound reads one end of a range, or what stands for several runes.
func (p *parser) bound() ([]span, error) {
	if p.pattern[p.pos] == '\\' {
		return p.escape()
	}
	r, size := utf8.DecodeRuneInString(p.rest())
	p.pos += size
	return []span{{r, r}}, nil
}

// escape reads what follows a backslash.
func (p *parser) escape() ([]span, error) {
	if len(p.rest()) < 2 {
		return nil, p.refuse("a backslash at the end")
	}
	c := p.pattern[p.pos+1]
	if c == 'p' || c == 'P' {
		return p.property(c == 'P')
	}
	spans, known := escaped(c)
	if !known {
		return nil, p.refuse(fmt.Sprintf("\\%c", c))
	}
	p.pos += 2
	return spans, nil
}

func escaped(c byte) (spans []span, known bool) {
	switch c {
	case 'r':
		return []span{{'\r', '\r'}}, true
	case 'n':
		return []span{{'\n', '\n'}}, true
	case 't':
		return []span{{'\t', '\t'}}, true
	case 's':
		return tableSpans(unicode.White_Space), true
	case 'S':
		return complement(tableSpans(unicode.White_Space)), true
	case 'd':
		return tableSpans(unicode.Nd), true
	case 'D':
		return complement(tableSpans(unicode.Nd)), true
	}
	if c < utf8.RuneSelf && (unicode.IsPunct(rune(c)) || unicode.IsSymbol(rune(c)) || c == ' ') {
		return []span{{rune(c), rune(c)}}, true
	}
	return nil, false
}

// property reads \p{L}, \p{Han} or \P{N}: a general category or a script.
func (p *parser) property(negated bool) ([]span, error) {
	inside, _, closed := strings.Cut(p.rest()[2:], "}")
	name, opened := strings.CutPrefix(inside, "{")
	if !opened || !closed {
		return nil, p.refuse("a property that is not in braces")
	}
	table := unicode.Categories[name]
	if table == nil {
		table = unicode.Scripts[name]
	}
	if table == nil {
		return nil, p.refuse("the property " + strconv.Quote(name))
	}
	p.pos += len(`\p`) + len(inside) + 1
	spans := tableSpans(table)
	if negated {
		spans = complement(spans)
	}
	return slices.Clip(spans), nil
}
