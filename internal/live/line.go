package live

import (
	"strings"

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

func (t tone) style() lipgloss.Style {
	s := lipgloss.NewStyle()
	switch t {
	case faint:
		return s.Faint(true)
	case strong:
		return s.Bold(true)
	case good:
		return s.Foreground(lipgloss.Green)
	case doubtful:
		return s.Foreground(lipgloss.Yellow)
	case bad:
		return s.Foreground(lipgloss.Red)
	}
	return s
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
		columns -= lipgloss.Width(text)
		cut := text != p.text
		if color && p.tone != normal && text != "" {
			text = p.tone.style().Render(text)
		}
		b.WriteString(text)
		if cut || columns <= 0 && i < len(l)-1 {
			break
		}
	}
	return strings.TrimRight(b.String(), " ")
}

// fit cuts a text to a number of columns; the last one then is "…".
func fit(text string, columns int) string {
	if lipgloss.Width(text) <= columns {
		return text
	}
	var b strings.Builder
	used := 0
	for _, r := range text {
		w := lipgloss.Width(string(r))
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
	return text + strings.Repeat(" ", max(0, columns-lipgloss.Width(text)))
}

func right(text string, columns int) string {
	return strings.Repeat(" ", max(0, columns-lipgloss.Width(text))) + text
}
