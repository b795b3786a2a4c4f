package matrices

import (
	"fmt"
	"slices"
	"strings"

	"lab/internal/lab"
)

// Problem is one thing that is wrong with a file, at its place.
type Problem struct {
	File         string
	Line, Column int    // 0: the file as a whole
	Path         string // of the field, where one is meant
	Text         string
	Excerpt      string // the lines around it, with a caret below
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
	if at.line > len(lines) {
		return ""
	}
	var b strings.Builder
	if at.line > 1 && strings.TrimSpace(lines[at.line-2]) != "" {
		fmt.Fprintf(&b, "  %4d | %s\n", at.line-1, lines[at.line-2])
	}
	line := strings.TrimRight(lines[at.line-1], "\r")
	fmt.Fprintf(&b, "> %4d | %s\n", at.line, line)
	column := min(at.column-1, len([]rune(line)))
	pad := strings.Map(func(r rune) rune { // tabs stay tabs, so that the caret stands right
		if r == '\t' {
			return r
		}
		return ' '
	}, string([]rune(line)[:column]))
	fmt.Fprintf(&b, "       | %s^", pad)
	return b.String()
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
		problems = append(problems, problemAt(f.root.place(fault.Path), fault.Path, fault.Path+" "+fault.Problem))
	}
	return &Error{sorted(problems)}
}

// place finds the key that a path such as load[1].dataset.file names, or the nearest one above it.
func (n *node) place(path string) position {
	at := n.at
	for _, part := range steps(path) {
		found := false
		if n == nil {
			break
		}
		if part.index >= 0 && n.kind == list && part.index < len(n.items) {
			n, found = n.items[part.index], true
			at = n.at
		}
		for _, e := range n.keysOf(part.name) {
			n, at, found = e.value, e.at, true
		}
		if !found {
			break
		}
	}
	return at
}

func (n *node) keysOf(name string) []entry {
	for _, e := range n.keys {
		if e.name == name && name != "" {
			return []entry{e}
		}
	}
	return nil
}

type step struct {
	name  string
	index int // -1: by name
}

// steps splits a path. A flag's own name may hold dots, so everything after server.args. is one step.
func steps(path string) []step {
	var all []step
	for path != "" {
		if rest, ok := strings.CutPrefix(path, "server.args."); ok {
			return append(all, step{"server", -1}, step{"args", -1}, step{rest, -1})
		}
		end := strings.IndexAny(path, ".[")
		if end < 0 {
			return append(all, step{path, -1})
		}
		if end > 0 {
			all = append(all, step{path[:end], -1})
		}
		if path[end] == '.' {
			path = path[end+1:]
			continue
		}
		var index int
		fmt.Sscanf(path[end:], "[%d]", &index)
		all = append(all, step{"", index})
		_, path, _ = strings.Cut(path[end:], "]")
		path = strings.TrimPrefix(path, ".")
	}
	return all
}

// nearest is the known word that a misspelt one most likely means, or "".
func nearest(word string, known []string) string {
	best, distance := "", 1+max(2, len(word)/3)
	for _, k := range known {
		if d := edits(strings.ToLower(word), k); d < distance {
			best, distance = k, d
		}
	}
	return best
}

// edits counts insertions, deletions, replacements and swaps of neighbours between two words.
func edits(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range len(b) + 1 {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
