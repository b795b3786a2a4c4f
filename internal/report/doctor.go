package report

import (
	"fmt"
	"io"

	"lab/internal/box"
	"lab/internal/lab"
)

// Doctor prints what was found on a machine: the group where it changes, the word that says how bad it is, what it is
// and what to do. A command stands on a line of its own, never broken, so that it can be copied.
func Doctor(w io.Writer, checks []box.Check, o Options) error {
	p := &printer{w: w, o: o}
	words := map[box.State]string{box.Good: "ok", box.Noted: "note", box.Doubt: "WARNING", box.Obstacle: "OBSTACLE"}
	const label = "%-8s%-10s" // the longest words of both, and a gap
	group := ""
	count := map[box.State]int{}
	for _, c := range checks {
		count[c.State]++
		name := c.Group
		if name == group {
			name = ""
		}
		group = c.Group
		p.paragraph(fmt.Sprintf(label, name, words[c.State]), c.Text)
		if c.Fix != "" {
			p.paragraph(fmt.Sprintf(label, "", "")+"-> ", c.Fix)
		}
		if c.Command != "" {
			p.line(label+"$ %s", "", "", c.Command)
		}
	}
	p.line("")
	p.line("%s", doctorEnd(count))
	return p.err
}

func doctorEnd(count map[box.State]int) string {
	plural := func(n int, what string) string {
		if n == 1 {
			return "1 " + what
		}
		return fmt.Sprintf("%d %ss", n, what)
	}
	switch {
	case count[box.Obstacle] > 0:
		return fmt.Sprintf("%s: a measurement cannot start; %s", plural(count[box.Obstacle], "obstacle"), plural(count[box.Doubt], "warning"))
	case count[box.Doubt] > 0:
		return fmt.Sprintf("no obstacle; %s, which figures may suffer from", plural(count[box.Doubt], "warning"))
	}
	return "no obstacle, no warning"
}

// DoctorJSON writes the same as one document, with the fingerprint that runs of this machine are stored with.
func DoctorJSON(w io.Writer, version string, host lab.Host, checks []box.Check) error {
	return document(w, struct {
		Schema string      `json:"schema"`
		Lab    string      `json:"lab_version"`
		Host   lab.Host    `json:"host"`
		Checks []box.Check `json:"checks"`
	}{"lab.doctor/v1", version, host, checks})
}
