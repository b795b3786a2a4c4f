package web

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"lab/internal/compare"
	"lab/internal/lab"
	"lab/internal/report/chart"
	"lab/internal/report/page"
)

// ab is the page of an A/B: its verdict, and how that came to be.
func (s *Site) ab(w http.ResponseWriter, r *http.Request) {
	plan, err := s.DB.ResolvePlan(r.PathValue("id"))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if plan.ID != r.PathValue("id") { // a prefix, or @last: the address shall last
		http.Redirect(w, r, "/ab/"+plan.ID, http.StatusSeeOther)
		return
	}
	doc, err := s.documents.get("ab "+plan.ID+" "+s.DB.Stamp(), func() (page.Document, error) { return s.abDocument(r.Context(), plan) })
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.render(w, r, shown{Name: "document", Title: doc.Title, Place: "ab", Renew: "#main", Data: documentView{Document: doc}})
}

// abDocument is the report on an A/B with its convergence, which a report does not have: there nobody watched it come.
func (s *Site) abDocument(ctx context.Context, plan lab.Plan) (page.Document, error) {
	d, err := page.LoadAB(ctx, s.DB, plan, s.asked())
	if err != nil {
		return d, err
	}
	runs, err := s.DB.PlanRuns(plan.ID)
	if err != nil {
		return d, err
	}
	if c := convergence(plan, runs); !c.Empty() {
		d.Sections = slices.Insert(d.Sections, min(2, len(d.Sections)), c.Section("convergence", "Convergence"))
	}
	return d, nil
}

// convergence shows the primary difference with its interval after each pair, once the plan is over.
func convergence(plan lab.Plan, runs []lab.Sealed) *page.Body {
	b := page.NewBody("en")
	rows := compare.Convergence(plan, runs)
	if len(rows) == 0 {
		return b
	}
	scale, unit := 100.0, "%"
	if rows[0].Absolute && rows[0].Unit == "share" {
		unit = "percentage points"
	} else if rows[0].Absolute {
		scale, unit = 1, rows[0].Unit
	}
	line := chart.Series{Name: "B against A"}
	for _, row := range rows {
		p := chart.Point{X: float64(row.N), Y: row.Delta * scale, Low: row.Delta * scale, High: row.Delta * scale}
		p.Tip = fmt.Sprintf("%d pairs: %+.2f %s", row.N, p.Y, unit)
		if row.Low != nil && row.High != nil {
			p.Low, p.High = *row.Low*scale, *row.High*scale
			p.Tip += fmt.Sprintf(" [%+.2f, %+.2f]", p.Low, p.High)
		}
		line.Points = append(line.Points, p)
	}
	b.Text(fmt.Sprintf("%s of B against A after each pair that counts, with its %.3g %% interval. It was judged at its looks only, after %s pairs; between them nothing was shown, and a difference that came and went there means nothing.",
		plan.Primary, 100*rows[0].Level, looks(plan)))
	b.Figures(chart.Figure{ID: "convergence", PanelWidth: 760, PanelHeight: 300, Panels: []chart.Panel{{
		Title: "Difference of " + plan.Primary, Subtitle: fmt.Sprintf("interval at the plan's nominal level; margin %.3g %s", plan.Margin*scale, unit),
		X: chart.Axis{Title: "pairs", Whole: true, Min: 1.5, Max: float64(rows[len(rows)-1].N) + .5},
		Y: chart.Axis{Title: "difference (" + unit + ")"},
		Layers: []chart.Layer{chart.Rule{Name: "no difference", At: 0, Style: 7}, chart.Rule{Name: "margin", At: plan.Margin * scale, Style: 1}, chart.Rule{At: -plan.Margin * scale, Style: 1, Name: "margin, the other way"},
			line},
	}}})
	return b
}

func looks(plan lab.Plan) string {
	text := ""
	for i, n := range plan.LookAt() {
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprint(n)
	}
	return text
}
