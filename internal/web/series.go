package web

import (
	"errors"
	"net/http"

	"lab/internal/report/page"
	"lab/internal/runner"
)

// ab is the page of an A/B. While it goes on, it is made anew when a run of it has ended.
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
	s.series(w, r, "ab", plan.ID, func(asked page.Asked) (page.Document, error) { return page.LoadAB(r.Context(), s.DB, plan, asked) },
		link{"its runs", listState{Query: "plan:" + plan.ID}.address()})
}

// sweep is the page of a sweep.
func (s *Site) sweep(w http.ResponseWriter, r *http.Request) {
	sweep, err := s.DB.ResolveSweep(r.PathValue("id"))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if sweep.ID != r.PathValue("id") {
		http.Redirect(w, r, "/sweep/"+sweep.ID, http.StatusSeeOther)
		return
	}
	s.series(w, r, "sweeps", sweep.ID, func(asked page.Asked) (page.Document, error) { return page.LoadSweep(s.DB, sweep, asked) },
		link{"its runs", listState{Query: "sweep:" + sweep.ID}.address()})
}

// baseline is the page of a baseline: its last capture, and its configuration over time.
func (s *Site) baseline(w http.ResponseWriter, r *http.Request) {
	b, err := s.DB.ResolveBaseline(r.PathValue("name"))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.series(w, r, "baselines", b.Name, func(asked page.Asked) (page.Document, error) { return page.LoadBaseline(s.DB, b, asked) },
		link{"its runs", listState{Query: `baseline:"` + b.Name + `"`}.address()})
}

// series shows a document that several runs are in. It is made anew whenever a run has ended.
func (s *Site) series(w http.ResponseWriter, r *http.Request, place, id string, load func(page.Asked) (page.Document, error), links ...link) {
	version := s.DB.Stamp()
	doc, err := s.get(r, place+" "+id, version, load)
	var ask *runner.AskError
	switch {
	case errors.As(err, &ask): // there is nothing to show yet
		s.sorry(w, r, http.StatusNotFound, sentence(err), "")
	case err != nil:
		s.fail(w, r, err)
	default:
		s.showDocument(w, r, shown{Place: place, Renew: "#main", Stamp: doc.stamp}, documentView{Document: doc.Document, Links: links, Again: doc.again(version)})
	}
}
