package web

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"lab/internal/lab"
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
	version := s.DB.Stamp()
	for _, id := range ids { // one of them may go on
		version += " " + s.DB.RunStamp(id)
	}
	doc, err := s.get(r, fmt.Sprint("compare ", ids), version, func(asked page.Asked) (page.Document, error) {
		return page.LoadCompare(r.Context(), s.DB, ids, asked)
	})
	if err != nil {
		s.fail(w, r, err)
		return
	}
	v := documentView{Document: doc.Document, Again: doc.again(version)}
	live := false
	var plans []link
	for _, id := range ids {
		sealed, err := s.DB.Sealed(id)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		live = live || sealed.Run.Outcome == lab.Live
		v.Links = append(v.Links, link{id, "/r/" + url.PathEscape(id)})
		if p := sealed.Run.Plan; p != nil {
			if of := (link{"A/B " + p.ID, "/ab/" + url.PathEscape(p.ID)}); !slices.Contains(plans, of) {
				plans = append(plans, of)
			}
		}
	}
	v.Links = append(v.Links, plans...)
	if live {
		v.goesOn(doc)
	}
	for _, id := range ids[1:] {
		v.Links = append(v.Links, link{"against " + id, "/compare?" + url.Values{"run": ids, "base": {id}}.Encode()})
	}
	s.showDocument(w, r, shown{Place: "runs", Renew: "#main", Stamp: doc.stamp}, v)
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
