package page

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"

	"lab/internal/report"
	"lab/internal/report/chart"
)

// Document is a page. The same document always gives the same bytes.
type Document struct {
	Title    string // of the window, and the first heading
	Subtitle string // one line: what it is of
	Lang     string // "en" or "zh"; "": "en"
	Lab      string // version of the program that made it
	Sections []Section
	Data     []Data
	Unread   bool // traces were left out, see Asked.MostTraces
}

// Section is one part of a page. Its body is complete without scripts; the series of its timelines lie in it as JSON.
type Section struct {
	ID      string // for links to it: "latency"
	Heading string
	Body    template.HTML
}

// Data is a document for programs that the page carries: the same as a command prints with --json.
type Data struct {
	ID    string // of the script element that holds it
	Title string
	File  string // what it is called when it is saved
	JSON  json.RawMessage
}

// Embedded is the JSON as it may stand within a script element.
func (d Data) Embedded() template.JS { return embedded(d.JSON) }

// HTML is the section with its heading.
func (s Section) HTML() template.HTML { return fill("section", s) }

// Tip is the element in which scripts show the value under the pointer.
const Tip template.HTML = `<div id="tip" role="status" aria-live="polite" hidden></div>`

//go:embed page.html
var pageText string

//go:embed page.css
var pageStyle string

//go:embed page.js
var pageScript string

//go:embed uplot/uPlot.min.css
var plotStyle string

//go:embed uplot/uPlot.iife.min.js
var plotScript string

// Style is the style sheet of sections and of the offline page.
func Style() string { return plotStyle + "\n" + chart.CSS() + pageStyle }

// Script makes figures and timelines answer the pointer and the keyboard.
func Script() string { return plotScript + "\n" + chart.Script() + pageScript }

// WriteHTML writes the page as one file: no network, no other file, and a policy that allows neither.
func (d Document) WriteHTML(w io.Writer) error {
	if d.Lang == "" {
		d.Lang = "en"
	}
	style, script := Style(), Script()
	err := templates().ExecuteTemplate(w, "page", struct {
		Document
		Say    words
		Policy string
		Style  template.CSS
		Script template.JS
		Tip    template.HTML
	}{
		d, words{d.Lang},
		"default-src 'none'; script-src '" + report.SourceHash(script) + "'; style-src '" + report.SourceHash(style) + "'; base-uri 'none'; form-action 'none'",
		template.CSS(style), template.JS(script), Tip,
	})
	if err != nil {
		return fmt.Errorf("write page: %w", err)
	}
	return nil
}

// words picks the language.
type words struct{ lang string }

// Say is for a text in English and in Chinese.
func (w words) Say(english, chinese string) string {
	if w.lang == "zh" {
		return chinese
	}
	return english
}
