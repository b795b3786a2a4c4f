package chart

import "fmt"

// key is an entry of the legend.
type key struct {
	name   string
	sample func(s *scene, box rect) // draws a small piece of what it stands for
}

// legend writes the entries in rows and returns where the plot may begin. More than three rows would push the plot
// away: what is left out is counted.
func (d *diagram) legend(box rect) float64 {
	const sample, gap, height, rows = 26.0, 16.0, 17.0, 3
	var keys []key
	seen := map[string]bool{}
	for _, l := range d.panel.Layers {
		for _, k := range l.keys() {
			if k.name != "" && !seen[k.name] {
				seen[k.name] = true
				keys = append(keys, k)
			}
		}
	}
	if len(keys) == 0 {
		return box.y
	}
	x, y, row := box.x, box.y, 1
	more := d.fonts.width("+ 000 …", smallText, false)
	for i, k := range keys {
		room := min(box.w, 260.0) - sample - 5
		text := d.fonts.shorten(k.name, smallText, false, room)
		w := sample + 5 + d.fonts.width(text, smallText, false)
		limit := box.right()
		if row == rows && i < len(keys)-1 {
			limit -= more + gap
		}
		if x > box.x && x+w > limit {
			if row == rows {
				d.text(x, y+smallText, label{text: fmt.Sprintf("+ %d …", len(keys)-i), size: smallText, fill: muted})
				break
			}
			x, y, row = box.x, y+height, row+1
		}
		d.open("key", k.name, attr{"data-series", k.name})
		k.sample(d.scene, rect{x, y + 1, sample, smallText + 2})
		d.text(x+sample+5, y+smallText, label{text: text, full: k.name, size: smallText})
		d.close()
		x += w + gap
	}
	return y + height
}
