package web

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"lab/internal/compare"
	"lab/internal/lab"
	"lab/internal/readout"
	"lab/internal/report"
	"lab/internal/report/page"
	"lab/store"
)

// mostCompared is how many runs are set beside each other: a page has room, and colours, for no more.
const mostCompared = 8

// compare sets the selected runs beside each other; the one that base names comes first.
func (s *Site) compare(w http.ResponseWriter, r *http.Request) {
	ids, err := comparedRuns(s.DB, r.URL.Query())
	if err != nil {
		s.sorry(w, r, http.StatusBadRequest, sentence(err), "Select runs in the list, then press “Compare selected”.")
		return
	}
	var runs []lab.Sealed
	for _, id := range ids {
		sealed, err := readout.Run(s.DB, id)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		runs = append(runs, sealed)
	}
	v := documentView{Document: page.Document{Title: fmt.Sprintf("%d runs beside each other", len(runs))}}
	v.Subtitle = "Against " + runs[0].Run.ID + ". One run a side shows no noise between runs, so there is no verdict: lab ab gives one."
	v.Sections = []page.Section{besideSection(runs), differenceSection(runs)}
	for _, run := range runs[1:] {
		q := url.Values{"run": ids, "base": {run.Run.ID}}
		v.Links = append(v.Links, link{"against " + run.Run.ID, "/compare?" + q.Encode()})
	}
	s.render(w, r, shown{Name: "document", Title: v.Title, Place: "runs", Data: v})
}

// comparedRuns are the ids that an address names, the base first, else the oldest.
func comparedRuns(db *store.DB, q url.Values) ([]string, error) {
	var ids []string
	for _, ref := range q["run"] {
		id, err := db.Resolve(ref)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	if n := len(ids); n < 2 || n > mostCompared {
		return nil, fmt.Errorf("a comparison is of 2 to %d runs, and %d are selected", mostCompared, n)
	}
	slices.Sort(ids)
	if base := q.Get("base"); slices.Contains(ids, base) {
		ids = append([]string{base}, slices.DeleteFunc(ids, func(id string) bool { return id == base })...)
	}
	return ids, nil
}

func besideSection(runs []lab.Sealed) page.Section {
	b := page.NewBody("en")
	which := report.Table{Head: []string{"", "run", "experiment", "model", "when", "outcome"}}
	var named []compare.Named
	for i, s := range runs {
		name := strconv.Itoa(i + 1)
		named = append(named, compare.Named{Name: name, Summary: s.Summary})
		e := s.Run.Experiment
		which.Rows = append(which.Rows, []string{name, s.Run.ID, e.Name, e.Server.Model + e.Server.BaseURL, s.Run.Epoch.Wall.Local().Format(time.DateTime), outcomeOf(s.Run)})
	}
	b.Table("Runs", which)
	t, reasons := report.Beside(named)
	b.Table("Figures of each run, and by how much they differ from those of run 1", t)
	if len(t.Rows) == 0 {
		b.Text("They have no figure in common.")
	}
	for i, reason := range reasons {
		b.Note(fmt.Sprintf("(%d) %s", i+1, reason))
	}
	return b.Section("figures", "Figures")
}

func outcomeOf(run lab.Run) string {
	switch {
	case run.Profile != nil:
		return "profiled: its server was slowed"
	case run.Outcome == lab.Complete && !run.Valid():
		return "INVALID"
	}
	return string(run.Outcome)
}

// differenceSection shows only what is not alike: settings, and the facts of the machine.
func differenceSection(runs []lab.Sealed) page.Section {
	b := page.NewBody("en")
	settings := differ(runs, func(base, other lab.Run) []lab.Difference { return lab.Diff(base.Experiment, other.Experiment) })
	machine := differ(runs, func(base, other lab.Run) []lab.Difference {
		return lab.DiffValues(base.Host.Fingerprint(), other.Host.Fingerprint())
	})
	settled := differ(runs, func(base, other lab.Run) []lab.Difference {
		return lab.DiffValues(base.Server.Resolved, other.Server.Resolved)
	})
	if len(settings.Rows) == 0 {
		b.Text("The experiments are the same but for their names.")
	}
	b.Table("Settings that differ", settings)
	b.Table("What the servers settled on themselves, where it differs", settled)
	b.Table("Facts of the machine that differ", machine)
	return b.Section("different", "What differs")
}

// differ lists the values in which any run differs from the first, a column a run.
func differ(runs []lab.Sealed, diff func(base, other lab.Run) []lab.Difference) report.Table {
	t := report.Table{Head: []string{""}}
	values := map[string][]string{}
	for i := range runs {
		t.Head = append(t.Head, strconv.Itoa(i+1))
		for _, d := range diff(runs[0].Run, runs[i].Run) {
			if values[d.Path] == nil {
				values[d.Path] = slices.Repeat([]string{""}, len(runs))
				for j := range runs { // alike where it is not told
					values[d.Path][j] = d.A
				}
			}
			values[d.Path][i] = d.B
		}
	}
	paths := make([]string, 0, len(values))
	for path := range values {
		paths = append(paths, path)
	}
	slices.SortFunc(paths, strings.Compare)
	for _, path := range paths {
		row := []string{path}
		for _, v := range values[path] {
			if v == "" {
				v = "–"
			}
			row = append(row, v)
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}
