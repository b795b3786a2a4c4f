package live

import (
	"strings"
	"unicode/utf8"

	"charm.land/lipgloss/v2"
)

// tone is how a piece of a line looks. What matters is always said in words or signs too.
type tone int

const (
	normal tone = iota
	faint
	strong
	good
	doubtful
	bad
)

// code is what a terminal is told for a tone; the colours are its own eight, so that they suit its background.
func (t tone) code() string {
	return [...]string{strong: "1", faint: "2", good: "32", doubtful: "33", bad: "31"}[t]
}

// piece is a stretch of a line in one tone.
type piece struct {
	text string
	tone tone
}

// line is one line of a frame.
type line []piece

func (l *line) add(t tone, text string) { *l = append(*l, piece{text, t}) }

// fields joins what there is with " · ".
func fields(parts ...string) string {
	var kept []string
	for _, p := range parts {
		if p != "" {
			kept = append(kept, p)
		}
	}
	return strings.Join(kept, " · ")
}

// draw cuts a line to the columns there are: a longer one would wrap, and could not be redrawn in place.
func (l line) draw(columns int, color bool) string {
	var b strings.Builder
	for i, p := range l {
		room := columns
		text := fit(p.text, room)
		columns -= wide(text)
		cut := text != p.text
		if color && p.tone != normal && text != "" {
			b.WriteString("\x1b[" + p.tone.code() + "m" + text + "\x1b[m")
		} else {
			b.WriteString(text)
		}
		if cut || columns <= 0 && i < len(l)-1 {
			break
		}
	}
	return strings.TrimRight(b.String(), " ")
}

// wide is how many columns a text takes.
func wide(text string) int {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return lipgloss.Width(text)
		}
	}
	return len(text)
}

// fit cuts a text to a number of columns; the last one then is "…".
func fit(text string, columns int) string {
	if len(text) <= columns || wide(text) <= columns { // no letter takes more columns than bytes
		return text
	}
	var b strings.Builder
	used := 0
	for _, r := range text {
		w := wide(string(r))
		if used+w > columns-1 {
			break
		}
		b.WriteRune(r)
		used += w
	}
	if columns > 0 {
		b.WriteString("…")
	}
	return b.String()
}

// left and right fill a text up to a number of columns.
func left(text string, columns int) string {
	return text + strings.Repeat(" ", max(0, columns-wide(text)))
}

func right(text string, columns int) string {
	return strings.Repeat(" ", max(0, columns-wide(text))) + text
}
