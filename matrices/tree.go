package matrices

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// source is one file's text.
type source struct {
	name  string
	lines []string
}

// position is a place in a file; columns count from 1.
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
	text   string // of a scalar
	quoted bool   // it was written in quotes: a string, whatever it looks like
	keys   []entry
	items  []*node
	at     position
}

type entry struct {
	name  string
	at    position
	value *node
}

func (n *node) get(name string) *node {
	if n == nil {
		return nil
	}
	for _, e := range n.keys {
		if e.name == name {
			return e.value
		}
	}
	return nil
}

// parseTree reads one file's text into nodes.
func (r *reader) parseTree(name string, text []byte) *node {
	src := &source{name: name, lines: strings.Split(string(text), "\n")}
	file, err := parser.ParseBytes(text, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		r.syntax(src, err)
		return nil
	}
	var docs []*ast.DocumentNode
	for _, d := range file.Docs {
		if d.Body != nil {
			docs = append(docs, d)
		}
	}
	if len(docs) == 0 {
		r.fault(position{src, 1, 1}, "", "the file is empty: `lab init` writes one to start from")
		return nil
	}
	if len(docs) > 1 {
		r.fault(position{src, docs[1].GetToken().Position.Line, 1}, "", "a second document: one file is one experiment")
	}
	c := converter{r: r, src: src, anchors: map[string]*node{}}
	root := c.convert(docs[0].Body)
	if root != nil && root.kind != mapping {
		r.fault(root.at, "", "an experiment is a mapping, such as `server: …`")
		return nil
	}
	return root
}

var bracketed = regexp.MustCompile(`(?s)^\[(\d+):(\d+)\] ([^\n]*)`)

func (r *reader) syntax(src *source, err error) {
	at, text := position{src, 1, 1}, err.Error()
	if m := bracketed.FindStringSubmatch(text); m != nil {
		at.line, _ = strconv.Atoi(m[1])
		at.column, _ = strconv.Atoi(m[2])
		text = m[3]
	}
	r.fault(at, "", "not YAML: "+strings.TrimSpace(strings.SplitN(text, "\n", 2)[0]))
}

// converter turns the parser's tree into nodes.
type converter struct {
	r       *reader
	src     *source
	anchors map[string]*node
}

func (c *converter) at(n ast.Node) position {
	t := n.GetToken()
	if t == nil || t.Position == nil {
		return position{c.src, 1, 1}
	}
	return position{c.src, max(1, t.Position.Line), max(1, t.Position.Column)}
}

func (c *converter) convert(n ast.Node) *node {
	switch n := n.(type) {
	case *ast.MappingNode:
		out := &node{kind: mapping, at: c.at(n)}
		if len(n.Values) > 0 {
			out.at = c.at(n.Values[0].Key)
		}
		for _, v := range n.Values {
			c.add(out, v)
		}
		return out
	case *ast.MappingValueNode:
		out := &node{kind: mapping, at: c.at(n.Key)}
		c.add(out, n)
		return out
	case *ast.SequenceNode:
		out := &node{kind: list, at: c.at(n)}
		for _, v := range n.Values {
			out.items = append(out.items, c.convert(v))
		}
		return out
	case *ast.AnchorNode:
		value := c.convert(n.Value)
		c.anchors[n.Name.String()] = value
		return value
	case *ast.AliasNode:
		name := n.Value.String()
		if value, ok := c.anchors[name]; ok {
			return value
		}
		c.r.fault(c.at(n), "", fmt.Sprintf("no anchor &%s above", name))
		return &node{kind: null, at: c.at(n)}
	case *ast.TagNode:
		return c.convert(n.Value)
	case *ast.NullNode:
		return &node{kind: null, at: c.at(n)}
	case *ast.StringNode:
		return &node{kind: scalar, text: n.Value, quoted: n.Token.Value != n.Token.Origin && strings.ContainsAny(n.Token.Origin, `"'`), at: c.at(n)}
	case *ast.LiteralNode:
		return &node{kind: scalar, text: n.Value.Value, quoted: true, at: c.at(n)}
	case nil:
		return &node{kind: null, at: position{c.src, 1, 1}}
	}
	return &node{kind: scalar, text: n.GetToken().Value, at: c.at(n)}
}

func (c *converter) add(out *node, v *ast.MappingValueNode) {
	if v.Key.IsMergeKey() {
		c.merge(out, c.convert(v.Value))
		return
	}
	key := entry{name: keyName(v.Key), at: c.at(v.Key), value: c.convert(v.Value)}
	for _, e := range out.keys {
		if e.name == key.name {
			c.r.fault(key.at, key.name, fmt.Sprintf("%q is there already, in line %d", key.name, e.at.line))
			return
		}
	}
	out.keys = append(out.keys, key)
}

func keyName(key ast.MapKeyNode) string {
	if s, ok := key.(*ast.StringNode); ok {
		return s.Value
	}
	return key.GetToken().Value
}

// merge is YAML's `<<`: keys that are not there yet.
func (c *converter) merge(out, from *node) {
	for _, part := range append([]*node{from}, from.items...) {
		for _, e := range part.keys {
			if out.get(e.name) == nil {
				out.keys = append(out.keys, e)
			}
		}
	}
}

// loadTree reads a file and what it extends, merged: its own keys over those of the other file, mappings deep, lists
// and the load whole, null takes a key away.
func (r *reader) loadTree(name string, from position, chain []string) *node {
	for _, earlier := range chain {
		if earlier == name {
			r.fault(from, "extends", fmt.Sprintf("a circle: %s", strings.Join(append(chain, name), " extends ")))
			return nil
		}
	}
	text, err := os.ReadFile(name)
	if err != nil {
		r.fault(from, "extends", "read "+name+": "+reason(err))
		return nil
	}
	return r.extended(name, text, chain)
}

func reason(err error) string {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}

func (r *reader) extended(name string, text []byte, chain []string) *node {
	root := r.parseTree(name, text)
	base := root.get("extends")
	if base == nil {
		return root
	}
	root.drop("extends")
	if base.kind != scalar {
		r.fault(base.at, "extends", "must be the name of a file")
		return root
	}
	under := r.loadTree(relative(base.text, name), base.at, append(chain, name))
	if under == nil {
		return root
	}
	return merged(under, root)
}

// relative keeps the name of a file as short as it was written, for messages.
func relative(path, file string) string {
	if filepath.IsAbs(path) || strings.HasPrefix(path, "~/") {
		return resolve(path, file)
	}
	return filepath.Join(filepath.Dir(file), path)
}

func (n *node) drop(name string) {
	for i, e := range n.keys {
		if e.name == name {
			n.keys = append(n.keys[:i:i], n.keys[i+1:]...)
			return
		}
	}
}

func merged(under, over *node) *node {
	out := &node{kind: mapping, at: over.at, keys: append([]entry(nil), under.keys...)}
	for _, e := range over.keys {
		below := out.get(e.name)
		out.drop(e.name)
		switch {
		case e.value.kind == null && below != nil:
			continue
		case below != nil && below.kind == mapping && e.value.kind == mapping && e.name != "load" && e.name != "dataset":
			e.value = merged(below, e.value)
		}
		out.keys = append(out.keys, e)
	}
	return out
}

// resolve makes a path that a file names absolute: ~ is the home folder, relative paths start at the file.
func resolve(path, file string) string {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		if home, err := os.UserHomeDir(); err == nil {
			return filepath.Join(home, rest)
		}
	}
	if filepath.IsAbs(path) {
		return path
	}
	path = filepath.Join(filepath.Dir(file), path)
	if whole, err := filepath.Abs(path); err == nil {
		return whole
	}
	return path
}
