// Package report prints results: tables for people, one JSON document for programs.
package report

import (
	"fmt"
	"io"
	"strings"

	"charm.land/lipgloss/v2"
)

// Options says for what kind of terminal to print.
type Options struct {
	Width int  // columns; 0: 80
	Color bool // colour is only ever added to what the words say already
	ASCII bool // pictures are drawn with characters that every locale has
}

func (o Options) width() int {
	if o.Width <= 0 {
		return 80
	}
	return o.Width
}

// printer writes lines and remembers the first error. Where it collects parts, nothing is written.
type printer struct {
	w   io.Writer
	o   Options
	err error

	parts     *[]Part
	of, phase string // of the parts that are collected
}

func (p *printer) line(format string, args ...any) {
	if p.parts != nil {
		p.part(Part{Text: strings.TrimSpace(fmt.Sprintf(format, args...))})
		return
	}
	if p.err == nil {
		_, p.err = fmt.Fprintln(p.w, strings.TrimRight(fmt.Sprintf(format, args...), " "))
	}
}

// paragraph writes text under a label, its further lines indented to the first.
func (p *printer) paragraph(label, text string) {
	if p.parts != nil {
		p.part(Part{Label: strings.TrimSpace(label), Text: text})
		return
	}
	indent := strings.Repeat(" ", lipgloss.Width(label))
	for i, line := range wrap(text, max(20, p.o.width()-lipgloss.Width(label))) {
		if i > 0 {
			label = indent
		}
		p.line("%s%s", label, line)
	}
}

// bold marks the one word that matters most.
func (p *printer) bold(text string) string {
	if !p.o.Color {
		return text
	}
	return lipgloss.NewStyle().Bold(true).Render(text)
}

// wrap breaks text into lines of a width. Numbers stay with their units: " %" and "n = 3" are never broken.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range words(text) {
		if line != "" && lipgloss.Width(line)+1+lipgloss.Width(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

// words splits text at blanks, but keeps a number and what follows it together where that is a unit.
func words(text string) []string {
	var all []string
	for _, word := range strings.Fields(text) {
		bare := strings.Trim(word, "(),;:.")
		last := len(all) - 1
		if last >= 0 && (units[bare] || strings.HasSuffix(all[last], "=") || bare == "=") {
			all[last] += " " + word
			continue
		}
		all = append(all, word)
	}
	return all
}

var units = map[string]bool{"%": true, "pp": true, "ms": true, "µs": true, "s": true, "tok/s": true, "req/s": true, "GiB": true, "W": true, "J/tok": true}

// grid is a table of aligned columns. Widths are those on the screen, so that names in any script line up.
type grid struct {
	right map[int]bool // columns that are aligned to the right
	free  int          // column of free text, cut where the table is too wide; numbers and ids never are
	spare []int        // columns that are left out where it is too wide, in this order: a line that breaks is harder to read
	rows  [][]string
	heads bool // the first row names the columns
}

func (g *grid) add(cells ...string) { g.rows = append(g.rows, cells) }

// head names the columns.
func (g *grid) head(cells ...string) {
	g.heads = true
	g.add(cells...)
}

// grid writes a table.
func (p *printer) grid(g *grid, indent string) {
	if p.parts != nil {
		p.part(Part{Table: g.table()})
		return
	}
	widths := g.widths(p.o.width() - lipgloss.Width(indent))
	for _, row := range g.rows {
		var line strings.Builder
		line.WriteString(indent)
		for i, cell := range row {
			if widths[i] == leftOut {
				continue
			}
			cell = cut(cell, widths[i])
			pad := strings.Repeat(" ", widths[i]-lipgloss.Width(cell))
			if i > 0 {
				line.WriteString("  ")
			}
			if g.right[i] {
				line.WriteString(pad + cell)
			} else {
				line.WriteString(cell + pad)
			}
		}
		p.line("%s", line.String())
	}
}

// leftOut is the width of a column that there is no room for.
const leftOut = -1

func (g *grid) widths(room int) []int {
	var widths []int
	for _, row := range g.rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], lipgloss.Width(cell))
		}
	}
	whole := -2
	for _, w := range widths {
		whole += w + 2
	}
	for _, i := range g.spare {
		if whole > room {
			whole -= widths[i] + 2
			widths[i] = leftOut
		}
	}
	const least = 8
	if whole > room && widths[g.free] > least {
		widths[g.free] = max(least, widths[g.free]-(whole-room))
	}
	return widths
}

// cut shortens text to a width, with a mark that it did.
func cut(text string, width int) string {
	if lipgloss.Width(text) <= width {
		return text
	}
	kept := ""
	for _, r := range text {
		if lipgloss.Width(kept+string(r)) >= width {
			break
		}
		kept += string(r)
	}
	return kept + "…"
}
