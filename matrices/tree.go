package matrices

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// source is one file's text.
type source struct {
	name  string
	lines []string
}

// position is a place in a file; lines and columns count from 1.
type position struct {
	in           *source
	line, column int
}

type kind int

const (
	scalar kind = iota
	mapping
	list
	null
)

// node is a value with its place. Files that extend others are merged as nodes, so that every value keeps the place
// where it was written.
type node struct {
	kind   kind
	text   string // of a scalar; of a null "" where nothing was written
	quoted bool   // a scalar in quotes: a string, whatever it looks like
	keys   []entry
	items  []*node
	at     position
	values int // in it, itself included
}

type entry struct {
	name   string
	at     position
	value  *node
	merged bool // came in by `<<`: a key that is written out wins
}

func (n *node) keyed(name string) *entry {
	if n == nil {
		return nil
	}
	for i := range n.keys {
		if n.keys[i].name == name {
			return &n.keys[i]
		}
	}
	return nil
}

func (n *node) get(name string) *node {
	if e := n.keyed(name); e != nil {
		return e.value
	}
	return nil
}

func (n *node) drop(name string) {
	for i, e := range n.keys {
		if e.name == name {
			n.keys = append(n.keys[:i:i], n.keys[i+1:]...)
			return
		}
	}
}

// parseTree reads one file's text into nodes; nil where that is not possible.
func (r *reader) parseTree(name string, text []byte) *node {
	plain := strings.TrimPrefix(string(text), "\ufeff") // a byte order mark is no part of the first key
	src := &source{name: name, lines: strings.Split(strings.ReplaceAll(plain, "\r\n", "\n"), "\n")}
	start := position{src, 1, 1}
	if len(text) > largest {
		r.fault(start, "", "the file is too large for an experiment")
		return nil
	}
	parsed, err := parser.ParseBytes([]byte(plain), 0, parser.AllowDuplicateMapKey())
	if err != nil {
		r.syntax(src, err)
		return nil
	}
	c := converter{r: r, src: src, anchors: map[string]*node{}}
	var bodies []ast.Node
	for _, d := range parsed.Docs {
		if _, directive := d.Body.(*ast.DirectiveNode); d.Body != nil && !directive {
			bodies = append(bodies, d.Body)
		}
	}
	if len(bodies) == 0 {
		r.fault(start, "", "the file is empty: `lab init` writes one to start from")
		return nil
	}
	if len(bodies) > 1 {
		r.fault(c.at(bodies[1]), "", "a second document: one file is one experiment")
	}
	root := c.convert(bodies[0])
	if root.kind != mapping {
		r.fault(root.at, "", "an experiment is a mapping, such as `server: …`")
		return nil
	}
	return root
}

// largest bounds a file, and tooMany what aliases make of it: both are far beyond any real experiment.
const (
	largest = 256 << 10
	tooMany = 100_000
)

var bracketed = regexp.MustCompile(`(?s)^\[(\d+):(\d+)\] ([^\n]*)`)

func (r *reader) syntax(src *source, err error) {
	at, text := position{src, 1, 1}, err.Error()
	if m := bracketed.FindStringSubmatch(text); m != nil {
		line, _ := strconv.Atoi(m[1])
		column, _ := strconv.Atoi(m[2])
		at, text = src.place(line, column), m[3]
	}
	text, _, _ = strings.Cut(text, "\n")
	if strings.Contains(text, `'	'`) {
		text = "a tab cannot indent: use spaces"
	}
	r.fault(at, "", "not YAML: "+strings.TrimSpace(text))
}

// place gives a position that the file has, whatever the parser says.
func (s *source) place(line, column int) position {
	line = min(max(1, line), len(s.lines))
	return position{s, line, min(max(1, column), len([]rune(s.lines[line-1]))+1)}
}

// converter turns the parser's tree into nodes.
type converter struct {
	r       *reader
	src     *source
	anchors map[string]*node
	aliased int // values that aliases stand for
}

func (c *converter) at(n ast.Node) position {
	if m, ok := n.(*ast.MappingNode); ok && len(m.Values) > 0 {
		return c.at(m.Values[0].Key)
	}
	if v, ok := n.(*ast.MappingValueNode); ok {
		return c.at(v.Key)
	}
	if t := n.GetToken(); t != nil && t.Position != nil {
		return c.src.place(t.Position.Line, t.Position.Column)
	}
	return position{c.src, 1, 1}
}

func (c *converter) convert(n ast.Node) *node {
	out := &node{kind: null, at: position{c.src, 1, 1}, values: 1}
	if n == nil {
		return out
	}
	out.at = c.at(n)
	switch n := n.(type) {
	case *ast.MappingNode:
		out.kind = mapping
		for _, v := range n.Values {
			c.add(out, v)
		}
	case *ast.MappingValueNode:
		out.kind = mapping
		c.add(out, n)
	case *ast.SequenceNode:
		out.kind = list
		for _, v := range n.Values {
			item := c.convert(v)
			out.items, out.values = append(out.items, item), out.values+item.values
		}
	case *ast.AnchorNode:
		value := c.convert(n.Value)
		c.anchors[n.Name.String()] = value
		return value
	case *ast.AliasNode:
		return c.alias(n, out)
	case *ast.TagNode:
		return c.tagged(n)
	case *ast.NullNode:
		if n.Token.Type != token.ImplicitNullType {
			out.text = "null"
		}
	case *ast.StringNode:
		out.kind, out.text = scalar, n.Value
		out.quoted = n.Token.Type == token.SingleQuoteType || n.Token.Type == token.DoubleQuoteType
	case *ast.LiteralNode:
		out.kind, out.text, out.quoted = scalar, n.Value.Value, true
	default:
		out.kind, out.text = scalar, n.GetToken().Value
	}
	return out
}

// alias gives the anchor's value. Aliases of aliases can make a huge value of a small file; that ends here.
func (c *converter) alias(n *ast.AliasNode, none *node) *node {
	none.text = "null" // one fault is enough
	name := n.Value.String()
	value, ok := c.anchors[name]
	if ok {
		c.aliased += value.values
	}
	switch {
	case !ok:
		c.r.broken(c.at(n), "", fmt.Sprintf("no anchor &%s above", name))
		return none
	case c.aliased > tooMany:
		c.r.broken(c.at(n), "", "too many values through aliases")
		return none
	}
	return value
}

// tagged knows the tags of YAML itself.
func (c *converter) tagged(n *ast.TagNode) *node {
	value := c.convert(n.Value)
	switch tag := n.Start.Value; tag {
	case "!!str":
		if value.kind == scalar {
			copied := *value
			copied.quoted = true
			return &copied
		}
	case "!!int", "!!float", "!!bool", "!!null", "!!map", "!!seq":
	default:
		c.r.fault(c.at(n), "", fmt.Sprintf("unknown tag %q", tag))
	}
	return value
}

func (c *converter) add(out *node, v *ast.MappingValueNode) {
	if v.Key.IsMergeKey() {
		c.merge(out, c.convert(v.Value))
		return
	}
	added := entry{name: keyName(v.Key), at: c.at(v.Key), value: c.convert(v.Value)}
	out.values += added.value.values
	switch earlier := out.keyed(added.name); {
	case earlier == nil:
		out.keys = append(out.keys, added)
	case earlier.merged:
		*earlier = added
	default:
		c.r.fault(added.at, "", fmt.Sprintf("%q is there already, in line %d", added.name, earlier.at.line))
	}
}

func keyName(key ast.MapKeyNode) string {
	if s, ok := key.(*ast.StringNode); ok {
		return s.Value
	}
	return key.GetToken().Value
}

// merge is YAML's `<<`: keys of one mapping, or of several, that are not written out here.
func (c *converter) merge(out, from *node) {
	parts := from.items
	if from.kind != list {
		parts = []*node{from}
	}
	for _, part := range parts {
		if part.kind != mapping {
			c.r.fault(part.at, "", "<< takes a mapping, or a list of mappings")
			continue
		}
		for _, e := range part.keys {
			if out.keyed(e.name) == nil {
				e.merged = true
				out.keys, out.values = append(out.keys, e), out.values+e.value.values
			}
		}
	}
}
