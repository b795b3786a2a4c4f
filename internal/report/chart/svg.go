package chart

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"
)

const fontFamily = "Go, 'Helvetica Neue', Helvetica, Arial, 'Liberation Sans', 'Noto Sans CJK SC', 'PingFang SC', 'Microsoft YaHei', sans-serif"

// svgWriter writes a scene. Colours are attributes, so that every program shows the file alike; the classes beside them
// let a page with [CSS] give the roles other colours.
type svgWriter struct {
	bytes.Buffer
	id    string
	clips int
}

func (s *scene) svg(id, namespace string) []byte {
	w := &svgWriter{id: id}
	fmt.Fprintf(w, `<svg%s class="chart" width="%s" height="%s" viewBox="0 0 %s %s" role="img" aria-labelledby="%s-t %s-d" font-family="%s">`+"\n",
		namespace, num(s.w), num(s.h), num(s.w), num(s.h), id, id, escape(fontFamily))
	fmt.Fprintf(w, "<title id=\"%s-t\">%s</title>\n<desc id=\"%s-d\">%s</desc>\n", id, escape(s.title), id, escape(s.description))
	for _, i := range s.items {
		w.item(i)
	}
	w.WriteString("</svg>\n")
	return w.Bytes()
}

func (w *svgWriter) item(i item) {
	switch i.kind {
	case openItem:
		w.group(i)
	case closeItem:
		w.WriteString("</g>\n")
	case textItem:
		w.text(i)
	default:
		w.shape(i)
	}
}

func (w *svgWriter) group(i item) {
	if i.clip != nil {
		w.clips++
		fmt.Fprintf(w, `<clipPath id="%s-c%d"><rect x="%s" y="%s" width="%s" height="%s"/></clipPath>`+"\n",
			w.id, w.clips, num(i.clip.x), num(i.clip.y), num(i.clip.w), num(i.clip.h))
	}
	fmt.Fprintf(w, `<g class="%s"`, escape(i.class))
	if i.clip != nil {
		fmt.Fprintf(w, ` clip-path="url(#%s-c%d)"`, w.id, w.clips)
	}
	for _, a := range i.attrs {
		fmt.Fprintf(w, ` %s="%s"`, a.key, escape(a.value))
	}
	w.WriteString(">")
	if i.tip != "" {
		fmt.Fprintf(w, "<title>%s</title>", escape(i.tip))
	}
	w.WriteString("\n")
}

func (w *svgWriter) text(i item) {
	w.WriteString("<text")
	if class := strings.TrimSpace(i.class + " " + role("f", i.fill)); class != "" {
		fmt.Fprintf(w, ` class="%s"`, class)
	}
	fmt.Fprintf(w, ` x="%s" y="%s" font-size="%s" fill="%s"`, num(i.at.x), num(i.at.y), num(i.size), i.fill.hex())
	if i.bold {
		w.WriteString(` font-weight="bold"`)
	}
	if i.anchor != start {
		fmt.Fprintf(w, ` text-anchor="%s"`, []string{"start", "middle", "end"}[i.anchor])
	}
	if i.rotate != 0 {
		fmt.Fprintf(w, ` transform="rotate(%s %s %s)"`, num(i.rotate), num(i.at.x), num(i.at.y))
	}
	w.WriteString(">")
	if i.full != "" {
		fmt.Fprintf(w, "<title>%s</title>", escape(i.full))
	}
	fmt.Fprintf(w, "%s</text>\n", escape(i.text))
}

func (w *svgWriter) shape(i item) {
	if i.box != nil {
		fmt.Fprintf(w, `<rect x="%s" y="%s" width="%s" height="%s"`, num(i.box.x), num(i.box.y), num(i.box.w), num(i.box.h))
	} else {
		w.WriteString(`<path d="`)
		w.path(i.path)
		w.WriteString(`"`)
	}
	if i.movable {
		fmt.Fprintf(w, ` transform="translate(%s %s)"`, num(i.at.x), num(i.at.y))
	}
	if class := strings.TrimSpace(role("f", i.fill) + " " + role("k", i.stroke)); class != "" {
		fmt.Fprintf(w, ` class="%s"`, class)
	}
	if i.fill.none() {
		w.WriteString(` fill="none"`)
	} else {
		fmt.Fprintf(w, ` fill="%s"`, i.fill.hex())
		if a := i.fill.color.A; a < 255 {
			fmt.Fprintf(w, ` fill-opacity="%s"`, num(float64(a)/255))
		}
	}
	if !i.stroke.none() {
		fmt.Fprintf(w, ` stroke="%s" stroke-width="%s" stroke-linejoin="round"`, i.stroke.hex(), num(i.width))
		if a := i.stroke.color.A; a < 255 {
			fmt.Fprintf(w, ` stroke-opacity="%s"`, num(float64(a)/255))
		}
		if len(i.dash) > 0 {
			var parts []string
			for _, d := range i.dash {
				parts = append(parts, num(d))
			}
			fmt.Fprintf(w, ` stroke-dasharray="%s"`, strings.Join(parts, " "))
		}
	}
	w.WriteString("/>\n")
}

func (w *svgWriter) path(path []segment) {
	for _, s := range path {
		w.WriteByte(s.verb)
		n := map[byte]int{'M': 1, 'L': 1, 'C': 3}[s.verb]
		for k := range n {
			if k > 0 {
				w.WriteByte(' ')
			}
			fmt.Fprintf(w, "%s %s", num(s.p[k].x), num(s.p[k].y))
		}
	}
}

func role(prefix string, p paint) string {
	if p.role == "" || p.none() {
		return ""
	}
	return prefix + "-" + p.role
}

// num writes a length to a hundredth of a pixel.
func num(v float64) string {
	v = math.Round(v*100) / 100
	if v == 0 { // never "-0"
		v = 0
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

// escape makes a text safe in XML: marks of XML written as entities, control characters (which XML cannot hold) left out.
func escape(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < 0x20 && r != '\n' && r != '\t' || r == 0xfffe || r == 0xffff {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "\ufffd"))
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&#39;").Replace(text)
}
