// Package report prints results: tables for people, one JSON document for programs.
package report

import (
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"charm.land/lipgloss/v2"
)

// Options says for what kind of terminal to print.
type Options struct {
	Width int  // columns
	Color bool // colour is only ever added to what the words say already
}

// grid is a table of aligned columns. Widths are those on the screen, so that names in any script line up.
type grid struct {
	right map[int]bool // columns that are aligned to the right
	rows  [][]string
}

func (g *grid) add(cells ...string) { g.rows = append(g.rows, cells) }

func (g *grid) write(w io.Writer, indent string) error {
	var widths []int
	for _, row := range g.rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], lipgloss.Width(cell))
		}
	}
	for _, row := range g.rows {
		var line strings.Builder
		line.WriteString(indent)
		for i, cell := range row {
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
		if _, err := fmt.Fprintln(w, strings.TrimRight(line.String(), " ")); err != nil {
			return err
		}
	}
	return nil
}

// wrap breaks text into lines of a width.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
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

// paragraph writes text under a label, its further lines indented to the first.
func paragraph(w io.Writer, label, text string, width int) error {
	indent := strings.Repeat(" ", lipgloss.Width(label))
	for i, line := range wrap(text, max(20, width-lipgloss.Width(label))) {
		if i > 0 {
			label = indent
		}
		if _, err := fmt.Fprintln(w, label+line); err != nil {
			return err
		}
	}
	return nil
}

// value writes a figure with its unit, scaled for reading.
func value(v float64, unit string) string {
	switch unit {
	case "s":
		if math.Abs(v) < 10 {
			return digits(v*1e3) + " ms"
		}
		return digits(v) + " s"
	case "bytes":
		return digits(v/(1<<30)) + " GiB"
	case "share":
		return fmt.Sprintf("%.1f %%", v*100)
	case "count":
		return fmt.Sprintf("%.0f", v)
	}
	return digits(v) + " " + unit
}

// digits gives four significant digits without an exponent.
func digits(v float64) string {
	if v == 0 {
		return "0"
	}
	decimals := 3 - int(math.Floor(math.Log10(math.Abs(v))))
	return fmt.Sprintf("%.*f", min(max(decimals, 0), 6), v)
}

// change writes a difference: relative ones in per cent, shares in percentage points.
func change(delta float64, absolute bool, unit string) string {
	switch {
	case !absolute:
		return fmt.Sprintf("%+.1f %%", delta*100)
	case unit == "share":
		return fmt.Sprintf("%+.1f pp", delta*100)
	}
	return fmt.Sprintf("%+.3g %s", delta, strings.TrimPrefix(unit, "count"))
}

func length(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return d.Round(time.Second).String()
}

// bold marks the one word that matters most.
func bold(text string, o Options) string {
	if !o.Color {
		return text
	}
	return lipgloss.NewStyle().Bold(true).Render(text)
}
