package page

import (
	"bytes"
	"cmp"
	_ "embed"
	"encoding/json"
	"html/template"
	"strings"
	"sync"
	"unicode/utf8"

	"lab/internal/report"
	"lab/internal/report/chart"
)

// Body is a section while it is put together, block by block.
type Body struct {
	words
	html bytes.Buffer
}

// NewBody is empty; lang is that of the document.
func NewBody(lang string) *Body { return &Body{words: words{lang}} }

// Section ends it. A body without a block is an empty section, see [Body.Empty].
func (b *Body) Section(id, heading string) Section {
	return Section{ID: id, Heading: heading, Body: template.HTML(b.html.String())} // of our own templates
}

// Empty says whether nothing was put in.
func (b *Body) Empty() bool { return b.html.Len() == 0 }

// Banner is the one sentence that matters most.
type Banner struct {
	Kind string // "good", "bad", "unsure", "plain": a colour beside what the word says
	Word string
	Text string
}

// Tile is one figure.
type Tile struct {
	Name, Value string
	Note        string // what it rests on: "n = 1200"
	Change      string // against what the block says
	Kind        string // of the change, as a banner's
}

// Banner puts the sentence in.
func (b *Body) Banner(banner Banner) { b.put("banner", banner) }

// Tiles puts figures side by side.
func (b *Body) Tiles(tiles []Tile) {
	if len(tiles) > 0 {
		b.put("tiles", tiles)
	}
}

// Heading divides a section.
func (b *Body) Heading(text string) { b.put("heading", text) }

// Text is a paragraph.
func (b *Body) Text(text string) { b.put("text", text) }

// Note is a paragraph about the blocks around it.
func (b *Body) Note(text string) { b.put("note", text) }

// Code is text to copy, under its title.
func (b *Body) Code(title, text string) {
	b.put("code", struct{ Title, Text string }{title, text})
}

// Details hides what few need behind a summary.
func (b *Body) Details(summary string, inside func(*Body)) {
	inner := NewBody(b.lang)
	inside(inner)
	if !inner.Empty() {
		b.put("details", struct {
			Summary string
			Body    template.HTML
		}{summary, template.HTML(inner.html.String())})
	}
}

// Beside puts a narrow block to the left of a wide one, where there is room.
func (b *Body) Beside(narrow, wide func(*Body)) {
	left, right := NewBody(b.lang), NewBody(b.lang)
	narrow(left)
	wide(right)
	b.put("beside", struct{ Left, Right template.HTML }{template.HTML(left.html.String()), template.HTML(right.html.String())})
}

// Table is a table with a caption; where there is a head, the first column names the rows.
func (b *Body) Table(caption string, t report.Table) {
	if len(t.Rows) > 0 {
		b.put("table", tableOf(caption, t))
	}
}

// Parts puts in what a command prints.
func (b *Body) Parts(caption string, parts []report.Part) {
	for i, part := range parts {
		if part.Table != nil {
			b.Table(cmp.Or(titleBefore(parts, i), caption), *part.Table)
			continue
		}
		if i+1 < len(parts) && titleBefore(parts, i+1) != "" {
			continue // it is the caption of the table
		}
		b.put("says", struct{ Label, Text, Kind string }{part.Label, part.Text, kindOf(part.Label)})
	}
}

// titleBefore is the line above a table that says what it shows; "": there is none.
func titleBefore(parts []report.Part, i int) string {
	const longest = 100
	if parts[i].Table == nil || i == 0 || parts[i-1].Label != "" || len(parts[i-1].Text) > longest {
		return ""
	}
	return parts[i-1].Text
}

// kindOf a finding, by the word before it.
func kindOf(label string) string {
	switch label {
	case "INVALID", "LOST", "failed":
		return "bad"
	case "warning", "!":
		return "unsure"
	}
	return "plain"
}

// panelWidth and panelHeight are the size of a picture beside others, in the units of its text.
const panelWidth, panelHeight = 480.0, 270.0

// Figures puts pictures side by side where there is room; each is one panel. A wide one takes the whole width.
func (b *Body) Figures(figures ...chart.Figure) {
	type one struct {
		Label, Reset string
		Wide         bool
		SVG          template.HTML
	}
	var all []one
	for _, f := range figures {
		if f.Description == "" && len(f.Panels) > 0 {
			f.Description = f.Panels[0].Title + ". " + f.Panels[0].Subtitle
		}
		label := f.Title
		if label == "" && len(f.Panels) > 0 {
			label = f.Panels[0].Title
		}
		all = append(all, one{label, b.Say("Reset zoom", "重置缩放"), f.PanelWidth > 1.5*panelWidth, template.HTML(f.Inline())}) // its texts are escaped
	}
	if len(all) > 0 {
		b.put("figures", all)
	}
}

type tableCell struct {
	Text   string
	Head   bool
	Number bool
	Short  bool // stays on one line
}

type tableView struct {
	Caption string
	Facts   bool
	Head    []tableCell
	Rows    [][]tableCell
}

func tableOf(caption string, t report.Table) tableView {
	v := tableView{Caption: caption, Facts: t.Head == nil}
	for i, text := range t.Head {
		v.Head = append(v.Head, tableCell{Text: text, Head: text != "", Number: t.Right[i]})
	}
	for _, row := range t.Rows {
		cells := make([]tableCell, max(len(row), len(t.Head)))
		for i, text := range row {
			cells[i] = tableCell{Text: text, Head: i == 0 && text != "", Number: t.Right[i], Short: utf8.RuneCountInString(text) <= 24}
		}
		v.Rows = append(v.Rows, cells)
	}
	return v
}

func (b *Body) put(name string, v any) { b.html.WriteString(string(fill(name, v))) }

//go:embed blocks.html
var blockText string

// templates of the page and its blocks. A table, parsed for the first page: most commands write none.
var templates = sync.OnceValue(func() *template.Template {
	return template.Must(template.Must(template.New("blocks").Parse(blockText)).New("page").Parse(pageText))
})

// fill writes a block. Its templates are ours and its values plain, so that an error is a fault of this package.
func fill(name string, v any) template.HTML {
	var out strings.Builder
	if err := templates().ExecuteTemplate(&out, name, v); err != nil {
		panic("write block " + name + ": " + err.Error())
	}
	return template.HTML(out.String())
}

// embedded is a value as JSON that may stand within a script element: <, > and & are escaped.
func embedded(v any) template.JS {
	text, err := json.Marshal(v)
	if err != nil {
		panic("write data of a page: " + err.Error())
	}
	return template.JS(text)
}
