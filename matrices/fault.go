package matrices

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"lab/internal/lab"
)

// Problem is one thing that is wrong with a file, at its place.
type Problem struct {
	File         string
	Line, Column int    // 0: the file as a whole
	Path         string // of the field, where one is meant
	Text         string
	Excerpt      string // the line and the one before it, with a caret below
}

// Error is everything that is wrong with a file.
type Error struct{ Problems []Problem }

func (e *Error) Error() string {
	var b strings.Builder
	for _, p := range e.Problems {
		fmt.Fprintf(&b, "%s\n", p)
	}
	noun := "errors"
	if len(e.Problems) == 1 {
		noun = "error"
	}
	fmt.Fprintf(&b, "%d %s", len(e.Problems), noun)
	return b.String()
}

func (p Problem) String() string {
	if p.Line == 0 {
		return fmt.Sprintf("%s: %s", p.File, p.Text)
	}
	text := fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Text)
	if p.Excerpt != "" {
		text += "\n" + p.Excerpt
	}
	return text
}

func problemAt(at position, path, text string) Problem {
	return Problem{File: at.in.name, Line: at.line, Column: at.column, Path: path, Text: text, Excerpt: excerpt(at)}
}

// excerpt shows a line, the one before it, and a caret.
func excerpt(at position) string {
	lines := at.in.lines
	var b strings.Builder
	line, column := window(lines[at.line-1], at.column)
	if at.line > 1 && strings.TrimSpace(lines[at.line-2]) != "" {
		before, _ := window(lines[at.line-2], 1)
		fmt.Fprintf(&b, "  %4d | %s\n", at.line-1, string(before))
	}
	fmt.Fprintf(&b, "> %4d | %s\n", at.line, string(line))
	fmt.Fprintf(&b, "       | %s^", strings.Map(blank, string(line[:column-1])))
	return b.String()
}

// window cuts a long line around a column, and takes out what would disturb a terminal.
func window(text string, column int) (line []rune, in int) {
	const width = 100
	line = []rune(strings.Map(visible, text))
	column = min(column, len(line)+1)
	if start := column - width*2/3; len(line) > width && start > 0 {
		line, column = append([]rune("… "), line[start:]...), column-start+2
	}
	if len(line) > width {
		line = append(line[:width-2:width-2], []rune(" …")...)
	}
	return line, column
}

func visible(r rune) rune {
	if r != '\t' && !unicode.IsPrint(r) {
		return unicode.ReplacementChar
	}
	return r
}

// blank is a space as wide as a rune: tabs stay tabs, and what a terminal shows two columns wide gets a wide space.
func blank(r rune) rune {
	switch {
	case r == '\t':
		return r
	case unicode.In(r, unicode.Han, unicode.Hangul, unicode.Hiragana, unicode.Katakana):
		return '\u3000'
	}
	return ' '
}

// sorted orders problems by file and place and leaves out doubles.
func sorted(problems []Problem) []Problem {
	slices.SortStableFunc(problems, func(a, b Problem) int {
		if a.File != b.File {
			return strings.Compare(a.File, b.File)
		}
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return slices.CompactFunc(problems, func(a, b Problem) bool {
		return a.File == b.File && a.Line == b.Line && a.Column == b.Column && a.Text == b.Text
	})
}

// Locate turns faults that were found later, such as a flag that the installed vllm refuses, into the same error as
// the file's own faults: each at the key it is about, or at the nearest one above it.
func (f *File) Locate(faults lab.Faults) *Error {
	var problems []Problem
	for _, fault := range faults {
		problems = append(problems, problemAt(f.root.place(fault.Path), fault.Path, fault.Path+": "+fault.Problem))
	}
	return &Error{sorted(problems)}
}

// place finds the key that a path such as load[1].dataset.file names, or the nearest one above it.
func (n *node) place(path string) position {
	at := n.at
	for _, step := range steps(path) {
		if step.index < 0 && n.kind == list && len(n.items) == 1 { // a list of one phase is told of as that phase
			n = n.items[0]
		}
		switch {
		case step.index >= 0 && step.index < len(n.items):
			n = n.items[step.index]
			at = n.at
		case step.index < 0 && n.get(step.name) != nil:
			at, n = n.keyed(step.name).at, n.get(step.name)
		default:
			return at
		}
	}
	return at
}

type step struct {
	name  string
	index int // -1: by name
}

// steps splits a path. The names of flags and variables may hold dots, so what follows a map of them is one step.
func steps(path string) []step {
	var all []step
	for path != "" {
		var name string
		end := strings.IndexAny(path, ".[")
		switch {
		case end < 0:
			name, path = path, ""
		case path[end] == '.':
			name, path = path[:end], path[end+1:]
		default:
			name, path = path[:end], path[end:]
		}
		if name != "" {
			all = append(all, step{name, -1})
		}
		if in, rest, ok := strings.Cut(path, "]"); ok && path[0] == '[' {
			var i int
			if n, _ := fmt.Sscanf(in, "[%d", &i); n == 1 && i >= 0 {
				all = append(all, step{"", i})
			}
			path = strings.TrimPrefix(rest, ".")
		} else if strings.HasPrefix(path, "[") { // no index
			return all
		}
		if path != "" && (name == "args" || name == "env" || name == "flags" || name == "body") {
			return append(all, step{path, -1})
		}
	}
	return all
}
