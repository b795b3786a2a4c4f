// Package page makes pages of results: plain values in, one HTML file out that needs nothing else.
//
// A [Document] is a heading and sections. [Run], [AB], [Sweep], [Baseline], [Trace] and [ProfileDiff] make one of what was
// recorded and computed; they compute nothing themselves that a command prints, but lay out the parts that package report
// gives ([report.RunParts] and its siblings). [LoadRun] and its siblings read the records for them.
//
// Another shell, such as a server of pages, shows the same sections: it serves [Style] and [Script], which do not change
// while the program runs, and writes [Section.HTML] of each section of a document where it wants it. The script mounts what
// is in the page when it is loaded; for what comes later call labPage.mount(element), which may be called again for an
// element whose content was replaced. The shell needs an element with the id "tip" ([Tip]).
//
// A section is made with a [Body]: tiles, parts, tables, figures, timelines, details, one after the other. All of it is
// complete without scripts: a timeline holds its curves as pictures too, which are also what is printed.
package page
