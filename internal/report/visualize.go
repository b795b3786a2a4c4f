package report

import (
	"fmt"
	"strings"

	"lab/internal/report/chart"
)

// Pictures says what of an aggregate table is drawn.
type Pictures struct {
	Throughput, Latency, Interactive, Report bool
	All                                      bool // these four and the pictures that have no switch of their own
	Chinese                                  bool
}

// File is something to write: a name without a folder, and its content.
type File struct {
	Name string
	Data []byte
}

// pixels to one of the SVG: enough for a slide on a large screen.
const pictureScale = 2

// Visualize draws the pictures that are asked for. Notes say what a reader of the files must know, such as characters
// that no font of this machine has.
func Visualize(a *Aggregate, o Pictures, fonts chart.Fonts) (files []File, notes []string, err error) {
	p := newPictures(a, o.Chinese)
	plain := newPictures(a, o.Chinese && fonts.Covers("延迟")) // what a PNG can say on this machine
	if p.chinese != plain.chinese {
		notes = append(notes, "no font with Chinese was found: the PNG files are in English, the others in Chinese")
	}
	notes = append(notes, p.leftOut()...)
	for _, picture := range []struct {
		wanted bool
		name   string
		draw   func(pictures) chart.Figure
	}{
		{o.Throughput || o.All, "throughput_analysis", pictures.throughput},
		{o.Latency || o.All, "latency_analysis", pictures.latency},
		{o.All, "concurrency_performance", pictures.concurrency},
		{o.All, "performance_comparison", pictures.comparison},
	} {
		if !picture.wanted {
			continue
		}
		png, replaced, err := picture.draw(plain).PNG(pictureScale, fonts)
		if err != nil {
			return nil, nil, err
		}
		if len(replaced) > 0 {
			notes = append(notes, fmt.Sprintf("%s.png: no font has %s", picture.name, strings.Join(replaced, ", ")))
		}
		files = append(files, File{picture.name + ".png", png}, File{picture.name + ".svg", picture.draw(p).SVG()})
	}
	if o.Interactive || o.All {
		page, err := p.dashboard()
		if err != nil {
			return nil, nil, err
		}
		files = append(files, File{"interactive_dashboard.html", page})
	}
	if o.Report || o.All {
		files = append(files, File{"performance_report.txt", p.text()})
	}
	return files, notes, nil
}

// DataSummary says in a few lines what the table holds.
func (a *Aggregate) DataSummary(chinese bool) string {
	p := newPictures(a, chinese)
	var b strings.Builder
	for _, line := range append([]pair{{p.say("data", "数据"), p.subtitle()}}, p.leaders()...) {
		fmt.Fprintf(&b, "%s: %s\n", line.name, line.value)
	}
	return b.String()
}
