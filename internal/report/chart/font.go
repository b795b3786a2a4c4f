package chart

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
)

// latin parses one of the fonts that are part of the program: that cannot fail on any input of ours.
func latin(bold bool) *sfnt.Font {
	ttf := goregular.TTF
	if bold {
		ttf = gobold.TTF
	}
	f, err := sfnt.Parse(ttf)
	if err != nil {
		panic(fmt.Sprintf("parse built-in font: %v", err))
	}
	return f
}

// measure knows how wide a text is. A viewer of the SVG mostly has no Go font and uses another one: hence as much more room
// as DejaVu Sans needs, the widest of the usual ones.
type measure struct {
	regular, bold *sfnt.Font
	buffer        sfnt.Buffer
	known         map[rune][2]float64 // widths at size 1
}

const slack = 1.18

func newMeasure() *measure {
	return &measure{regular: latin(false), bold: latin(true), known: map[rune][2]float64{}}
}

func (m *measure) width(text string, size float64, bold bool) float64 {
	total := 0.0
	for _, r := range text {
		w, ok := m.known[r]
		if !ok {
			w = [2]float64{m.advance(m.regular, r), m.advance(m.bold, r)}
			m.known[r] = w
		}
		if bold {
			total += w[1]
		} else {
			total += w[0]
		}
	}
	return total * size * slack
}

// advance is the width of a rune at size 1; what the Latin font lacks (Chinese, emoji) takes a full square.
func (m *measure) advance(f *sfnt.Font, r rune) float64 {
	index, err := f.GlyphIndex(&m.buffer, r)
	if err != nil || index == 0 {
		return 1
	}
	const ppem = 1000
	advance, err := f.GlyphAdvance(&m.buffer, index, fixed.I(ppem), font.HintingNone)
	if err != nil {
		return 1
	}
	return float64(advance) / 64 / ppem
}

// shorten cuts the middle out of a text until it fits, for the ends tell configurations and files apart.
func (m *measure) shorten(text string, size float64, bold bool, room float64) string {
	if m.width(text, size, bold) <= room {
		return text
	}
	runes := []rune(text)
	for keep := len(runes) - 1; keep > 0; keep-- {
		head := (keep + 1) / 2
		short := string(runes[:head]) + "…" + string(runes[len(runes)-(keep-head):])
		if m.width(short, size, bold) <= room {
			return short
		}
	}
	return "…"
}

// wrap breaks a text into at most n lines of a width: at spaces, after hyphens, between Chinese characters, or inside a word where there
// is no other way. The last line is shortened if it must be.
func (m *measure) wrap(text string, size float64, bold bool, room float64, n int) []string {
	var lines []string
	for text != "" && len(lines) < n-1 && m.width(text, size, bold) > room {
		cut, space := 0, 0
		for i, r := range text {
			if i > 0 && m.width(text[:i], size, bold) > room {
				break
			}
			cut = i
			if r == ' ' || i > 0 && (r > 0x2e80 || strings.ContainsRune("-_/,", rune(text[i-1]))) {
				space = i
			}
		}
		if space > 0 {
			cut = space
		}
		if cut == 0 {
			_, cut = utf8.DecodeRuneInString(text)
		}
		lines = append(lines, strings.TrimSpace(text[:cut]))
		text = strings.TrimSpace(text[cut:])
	}
	return append(lines, m.shorten(text, size, bold, room))
}

// Fonts are what a PNG is written with: a built-in Latin font and, where the machine has one, a font with Chinese.
type Fonts struct {
	others []*sfnt.Font
}

// FontDirs are the folders in which Linux keeps fonts.
func FontDirs(home string) []string {
	return []string{"/usr/share/fonts", "/usr/local/share/fonts", filepath.Join(home, ".fonts"), filepath.Join(home, ".local/share/fonts")}
}

// preferred are parts of the file names of fonts with Chinese, best first: sans-serif before the rest.
var preferred = []string{"notosanscjk", "notosanssc", "sourcehansans", "wqy-microhei", "wqy-zenhei", "droidsansfallback", "msyh", "simhei",
	"wqy", "notoserifcjk", "uming", "ukai", "simsun"}

// FindFonts looks in the folders for a font with Chinese characters. None is no fault: a PNG then says what it replaced.
func FindFonts(dirs ...string) (Fonts, error) {
	type candidate struct {
		rank int
		name string
	}
	var found []candidate
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
				return nil
			}
			if err != nil || d.IsDir() {
				return err
			}
			base := strings.ToLower(filepath.Base(name))
			rank := slices.IndexFunc(preferred, func(part string) bool { return strings.Contains(base, part) })
			if rank >= 0 && slices.Contains([]string{".ttf", ".ttc", ".otf", ".otc"}, filepath.Ext(base)) && !strings.Contains(base, "bold") {
				found = append(found, candidate{rank, name})
			}
			return nil
		})
		if err != nil {
			return Fonts{}, fmt.Errorf("look for fonts in %s: %w", dir, err)
		}
	}
	slices.SortStableFunc(found, func(a, b candidate) int {
		if a.rank != b.rank {
			return a.rank - b.rank
		}
		return strings.Compare(a.name, b.name)
	})
	for _, c := range found {
		if f := parseFont(c.name); f != nil {
			return Fonts{others: []*sfnt.Font{f}}, nil
		}
	}
	return Fonts{}, nil
}

// parseFont reads a font that has Chinese; nil where the file is none that can be read.
func parseFont(name string) *sfnt.Font {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil
	}
	f, err := firstFont(data)
	if err != nil {
		return nil
	}
	if _, ok := glyphOf(f, '中'); !ok {
		return nil
	}
	return f
}

// firstFont parses the first font of a file. The parser refuses tables that do not begin at a multiple of four bytes,
// which the wide-spread WenQuanYi fonts have: such a font is set out anew.
func firstFont(data []byte) (*sfnt.Font, error) {
	if len(data) == 0 { // the parser does not survive it
		return nil, errors.New("parse font: the file is empty")
	}
	collection, err := sfnt.ParseCollection(data)
	if err != nil {
		return nil, fmt.Errorf("parse font: %w", err)
	}
	if f, err := collection.Font(0); err == nil {
		return f, nil
	}
	anew := aligned(data)
	if anew == nil {
		return nil, errors.New("parse font: its table of contents is broken")
	}
	return sfnt.Parse(anew)
}

// aligned copies the first font of a file into one of its own, each table at a multiple of four bytes. What does not have
// the form of a font gives nothing.
func aligned(data []byte) []byte {
	at := 0
	if len(data) > 16 && string(data[:4]) == "ttcf" {
		at = int(binary.BigEndian.Uint32(data[12:]))
	}
	const header, entry = 12, 16
	if at < 0 || at+header > len(data) {
		return nil
	}
	n := int(binary.BigEndian.Uint16(data[at+4:]))
	if at+header+n*entry > len(data) {
		return nil
	}
	out := slices.Clone(data[at : at+header+n*entry])
	for i := range n {
		record := out[header+i*entry:]
		from, length := int(binary.BigEndian.Uint32(record[8:])), int(binary.BigEndian.Uint32(record[12:]))
		if from+length > len(data) {
			return nil
		}
		out = append(out, make([]byte, -len(out)&3)...)
		binary.BigEndian.PutUint32(out[header+i*entry+8:], uint32(len(out)))
		out = append(out, data[from:from+length]...)
	}
	return out
}

// glyphOf finds the glyph of a rune, if the font has one that can be drawn.
func glyphOf(f *sfnt.Font, r rune) (sfnt.GlyphIndex, bool) {
	var b sfnt.Buffer
	index, err := f.GlyphIndex(&b, r)
	if err != nil || index == 0 {
		return 0, false
	}
	_, err = f.LoadGlyph(&b, index, fixed.I(16), nil)
	return index, err == nil
}

// Covers says whether a PNG can show every character of a text.
func (f Fonts) Covers(text string) bool {
	fonts := append([]*sfnt.Font{latin(false)}, f.others...)
	for _, r := range text {
		if !slices.ContainsFunc(fonts, func(one *sfnt.Font) bool { _, ok := glyphOf(one, r); return ok }) {
			return false
		}
	}
	return true
}
