package chart

import (
	"bytes"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/sfnt"
)

var update = flag.Bool("update", false, "write the golden files anew")

// gallery has a figure of every kind of layer, with ordinary and with awkward data.
func gallery() map[string]Figure {
	lines := func(n int, name string) []Layer {
		var layers []Layer
		for k := range n {
			s := Series{Name: fmt.Sprintf(name, k), Style: Style(k)}
			for i := range 5 {
				y := float64((i + 1) * (k + 10))
				s.Points = append(s.Points, Point{X: math.Pow(2, float64(i)), Y: y, Low: y - 3, High: y + 3, Tip: fmt.Sprint(y)})
			}
			layers = append(layers, s)
		}
		return layers
	}
	spread := []Group{{Values: []float64{1, 2, 2, 3, 4, 9}, Tip: "six"}, {Values: []float64{2, 3}}, {}}
	long := "an-extraordinarily-long-model-name/with-a-path-and-a-suffix-AWQ-INT4-%d"
	bars := Bars{Name: "a", Style: 1, Bars: []Bar{{Value: 3, Low: 2, High: 4, Label: "3"}, {Value: math.NaN()}, {Value: 5, Label: "5"}}}
	return map[string]Figure{
		"lines": {Title: "Lines", Subtitle: "one figure", Note: "a note", PanelWidth: 320, PanelHeight: 240, Panels: []Panel{{
			Title: "By concurrency", Subtitle: "higher is better", Layers: append(lines(2, "io%d"), Rule{Name: "limit", At: 40, Style: 4}, Label{X: 4, Y: 30, Text: "best"}),
			X: Axis{Title: "Concurrency", Log: true, Ticks: []float64{1, 2, 4, 8, 16}}, Y: Axis{Title: "tok/s", Zero: true}}}},
		"bars": {PanelWidth: 320, PanelHeight: 240, Panels: []Panel{{Title: "Bars", Layers: []Layer{bars, Bars{Name: "b", Style: 2, Bars: []Bar{{Value: 1}, {Value: 2}, {Value: 3}}}},
			X: Axis{Categories: []string{"x", "y", "z"}}, Y: Axis{Title: "ms"}}}},
		"lying": {PanelWidth: 320, PanelHeight: 240, Panels: []Panel{{Title: "Ranking", Layers: []Layer{bars},
			X: Axis{Title: "tok/s"}, Y: Axis{Categories: []string{"first", "second", "third"}}}}},
		"spread": {Columns: 2, PanelWidth: 320, PanelHeight: 240, Panels: []Panel{
			{Title: "Boxes", X: Axis{Categories: []string{"1\nn = 6", "2\nn = 2", "3"}}, Y: Axis{Title: "ms"}, Layers: []Layer{Boxes{Groups: spread}}},
			{Title: "Violins", X: Axis{Categories: []string{"1", "2", "3"}}, Y: Axis{Title: "ms", Log: true}, Layers: []Layer{Violins{Style: 2, Groups: spread}}},
			{Title: "Histogram", X: Axis{Title: "ms"}, Y: Axis{Title: "runs", Whole: true}, Layers: []Layer{Histogram{Values: []float64{1, 2, 2, 3, 9, math.NaN()}}}},
			{Title: "ECDF", X: Axis{Title: "ms"}, Y: Axis{Title: "share"}, Layers: []Layer{ECDF("requests", 3, []float64{3, 1, 2, 2})}},
		}},
		"heat": {PanelWidth: 320, PanelHeight: 240, Panels: []Panel{{Title: "Heat", X: Axis{Title: "x", Categories: []string{"1", "2"}}, Y: Axis{Title: "y", Categories: []string{"a", "b"}},
			Layers: []Layer{Heat{Title: "tok/s", Values: [][]float64{{1, 200}, {math.NaN(), 5000}}}}}}},
		"timeline": {Columns: 2, PanelWidth: 320, PanelHeight: 240, Panels: []Panel{
			{Title: "A hole", X: Axis{Title: "s", Min: 0, Max: 10}, Y: Axis{Title: "W", Zero: true}, Layers: []Layer{
				Bands{Quiet: true, Bands: []Band{{1, 6, "warm-up"}, {6, 9, "load"}}}, Bands{Name: "stall", Style: 1, Bands: []Band{{4, 4.5, "4 s"}}},
				Series{Name: "gpu0", Draw: Plain, Points: []Point{{X: 1, Y: 3}, {X: 2, Y: 4}, {X: 3, Y: math.NaN()}, {X: 5, Y: 4}, {X: 7, Y: 2}}}}},
			{Title: "Rows", X: Axis{Title: "s"}, Y: Axis{Title: "request", Categories: []string{"0", "1"}}, Layers: []Layer{
				Spans{Name: "prefill", Spans: []Span{{0, 1, 2, "1 s"}, {1, 3, 4, "1 s"}}}, Spans{Name: "decode", Style: 1, Spans: []Span{{0, 2, 6, "4 s"}}}}},
		}},
		"empty":   {PanelWidth: 320, PanelHeight: 240, Columns: 2, Panels: []Panel{{Title: "Told", Empty: "no data: column X is missing"}, {Title: "Found", Layers: []Layer{Series{}}}}},
		"long":    {Title: strings.Repeat("A very long title ", 20), Subtitle: fmt.Sprintf(long, 1), Panels: []Panel{{Title: fmt.Sprintf(long, 2), Layers: lines(40, long), X: Axis{Title: fmt.Sprintf(long, 3)}, Y: Axis{Title: strings.Repeat(long, 4)}}}},
		"crowded": {Panels: []Panel{{Title: "Many", X: Axis{Categories: many(60, long)}, Y: Axis{Categories: many(60, "row %d")}, Layers: []Layer{Heat{Values: [][]float64{{1}}}}}}},
		"chinese": {Title: "吞吐量分析", Panels: []Panel{{Title: "各配置的输出吞吐量", X: Axis{Categories: many(9, "通义千问七十二亿参数对话模型 %d")}, Layers: []Layer{Bars{Bars: make([]Bar, 9)}}}}},
		"time":    {Panels: []Panel{{X: Axis{Time: true}, Layers: []Layer{Series{Name: "runs", Draw: Dots, Points: []Point{{X: 1.79e9, Y: 1}, {X: 1.79e9 + 9e4, Y: 2}}}}}}},
		"single":  {Panels: []Panel{{Y: Axis{Log: true}, X: Axis{Time: true}, Layers: []Layer{Series{Points: []Point{{X: 1e9, Y: 7}, {X: 1, Y: -1}, {X: math.Inf(1), Y: 1e300}}}}}}},
	}
}

func many(n int, format string) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf(format, i)
	}
	return all
}

func TestAFigureIsDrawnAsBefore(t *testing.T) {
	for _, name := range []string{"lines", "bars", "lying", "spread", "heat", "timeline", "empty"} {
		t.Run(name, func(t *testing.T) {
			got := gallery()[name].SVG()
			golden := filepath.Join("testdata", name+".svg")
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("look at the picture, then run with -update (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTheSameFigureGivesTheSameBytes(t *testing.T) {
	for name, f := range gallery() {
		if !bytes.Equal(f.SVG(), gallery()[name].SVG()) {
			t.Errorf("%s: two SVG differ", name)
		}
	}
	first, _, err := gallery()["spread"].PNG(1, Fonts{})
	if err != nil {
		t.Fatal(err)
	}
	second, _, _ := gallery()["spread"].PNG(1, Fonts{})
	if !bytes.Equal(first, second) {
		t.Error("two PNG differ")
	}
}

func TestThePNGIsThePictureInPixels(t *testing.T) {
	for name, f := range gallery() {
		data, _, err := f.PNG(0.5, Fonts{})
		if err != nil {
			t.Fatal(err)
		}
		picture, err := png.Decode(bytes.NewReader(data))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		s := f.scene()
		if got := picture.Bounds(); got.Dx() != int(math.Ceil(s.w/2)) || got.Dy() != int(math.Ceil(s.h/2)) {
			t.Errorf("%s: %v pixels for a picture of %v x %v at half size", name, got.Size(), s.w, s.h)
		}
		marked := 0
		for y := range picture.Bounds().Dy() {
			for x := range picture.Bounds().Dx() {
				if r, g, b, _ := picture.At(x, y).RGBA(); r+g+b < 3*0xe000 {
					marked++
				}
			}
		}
		if marked < 200 {
			t.Errorf("%s: only %d pixels are not blank", name, marked)
		}
	}
	if _, _, err := (Figure{Panels: []Panel{{}}}).PNG(1e6, Fonts{}); err == nil {
		t.Error("a picture beyond all memory is not refused")
	}
}

func TestNoTextLiesOnAnotherOrLeavesThePicture(t *testing.T) {
	for name, f := range gallery() {
		s := f.scene()
		var texts []item
		for _, i := range s.items {
			if i.kind == textItem {
				texts = append(texts, i)
			}
		}
		for k, a := range texts {
			box := s.textBox(a)
			if box.x < 0 || box.y < 0 || box.right() > s.w || box.bottom() > s.h {
				t.Errorf("%s: %q leaves the picture: %v of %v x %v", name, a.text, box, s.w, s.h)
			}
			for _, b := range texts[:k] {
				if collide(s, a, b) {
					t.Errorf("%s: %q lies on %q", name, a.text, b.text)
				}
			}
		}
	}
}

// collide compares boxes; parallel texts that are turned are apart where their lines are.
func collide(s *scene, a, b item) bool {
	if a.rotate == b.rotate && a.rotate != 0 {
		sin, cos := math.Sincos(a.rotate * math.Pi / 180)
		across := math.Abs(-(a.at.x-b.at.x)*sin + (a.at.y-b.at.y)*cos)
		return across < a.size*0.95 && s.textBox(a).overlaps(s.textBox(b))
	}
	if a.rotate != 0 && a.rotate != -90 || b.rotate != 0 && b.rotate != -90 { // a turned one does not fill its box
		return false
	}
	return s.textBox(a).overlaps(s.textBox(b))
}

func TestAnySVGIsWellFormed(t *testing.T) {
	hostile := "<script>&\"'\x00\xff</title>\n]]>"
	f := Figure{ID: "x", Title: hostile, Description: hostile, Panels: []Panel{{
		Title: hostile, X: Axis{Title: hostile, Categories: []string{hostile}},
		Layers: []Layer{Bars{Name: hostile, Bars: []Bar{{Value: 1, Tip: hostile}}}, Series{Name: hostile, Points: []Point{{Y: 1, Tip: hostile}}}}}}}
	for name, figure := range map[string]Figure{"hostile": f, "long": gallery()["long"], "crowded": gallery()["crowded"]} {
		decoder := xml.NewDecoder(bytes.NewReader(figure.SVG()))
		for {
			_, err := decoder.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if bytes.Contains(figure.SVG(), []byte("<script")) || bytes.Contains(figure.SVG(), []byte("NaN")) {
			t.Errorf("%s: a text became markup, or a place is no number", name)
		}
	}
}

func TestCharactersWithoutAFontAreReplacedAndTold(t *testing.T) {
	f := Figure{Title: "通义 and 千问 and 通义", Panels: []Panel{{Title: "x", Empty: "y"}}}
	_, replaced, err := f.PNG(1, Fonts{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"[1] = 通义", "[2] = 千问"}, replaced); diff != "" {
		t.Error(diff)
	}
	if (Fonts{}).Covers("延迟") || !(Fonts{}).Covers("Latency (ms) × 3 ± 1 → ≤") {
		t.Error("Covers does not say what the built-in font has")
	}
}

func TestAFontWhoseTablesAreNotAlignedIsRead(t *testing.T) {
	data := misaligned(goregular.TTF)
	if _, err := sfnt.Parse(data); err == nil {
		t.Fatal("the parser takes it as it is: the detour is no longer needed")
	}
	f, err := sfnt.Parse(aligned(data))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := glyphOf(f, 'g'); !ok {
		t.Error("it has no glyphs")
	}
	for _, broken := range [][]byte{nil, []byte("ttcf"), data[:40], data[:len(data)/2], append([]byte("ttcf"), bytes.Repeat([]byte{0xff}, 40)...)} {
		if _, err := firstFont(broken); err == nil {
			t.Errorf("%d bytes of no font were read", len(broken))
		}
	}
}

func misaligned(ttf []byte) []byte {
	n := int(binary.BigEndian.Uint16(ttf[4:]))
	out := bytes.Clone(ttf[:12+16*n])
	for i := range n {
		record := ttf[12+16*i:]
		from, length := binary.BigEndian.Uint32(record[8:]), binary.BigEndian.Uint32(record[12:])
		for len(out)%4 != 2 {
			out = append(out, 0)
		}
		binary.BigEndian.PutUint32(out[12+16*i+8:], uint32(len(out)))
		out = append(out, ttf[from:from+length]...)
	}
	return out
}

func FuzzFont(f *testing.F) {
	f.Add(misaligned(goregular.TTF)[:2000])
	f.Add([]byte("ttcf\x00\x01\x00\x00\x00\x00\x00\x01\x00\x00\x00\x0c\x00\x01\x00\x00\x00\x01"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if font, err := firstFont(data); err == nil {
			glyphOf(font, '中')
		}
	})
}

func BenchmarkPNG(b *testing.B) {
	f := gallery()["spread"]
	for b.Loop() {
		if _, _, err := f.PNG(2, Fonts{}); err != nil {
			b.Fatal(err)
		}
	}
}
