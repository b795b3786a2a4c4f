package chart

import _ "embed"

//go:embed chart.js
var script string

//go:embed chart.css
var scriptStyle string

// Script defines the class Chart, of which a page that holds figures inline makes one for each: values under the pointer,
// zoom, a legend that hides and shows. The script says what it wants of the page.
func Script() string { return script }
