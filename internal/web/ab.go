package web

import (
	"net/http"

	"lab/internal/report/page"
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
	doc, err := s.documents.get("ab "+plan.ID+" "+s.DB.Stamp(), func() (page.Document, error) {
		return page.LoadAB(r.Context(), s.DB, plan, s.asked())
	})
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.showDocument(w, r, shown{Place: "ab", Renew: "#main"}, documentView{Document: doc})
}
