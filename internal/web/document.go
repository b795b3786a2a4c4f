package web

import (
	"html/template"
	"mime"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"lab/internal/lab"
	"lab/internal/report/page"
)

// documentView is a document of package page in the shell.
type documentView struct {
	page.Document
	Live  bool   // the run goes on: its curves come beside what is there so far
	AsOf  string // when it was made, where a run in it goes on
	Again int    // milliseconds after which a live document is worth fetching again; 0: it does not change
	Links []link
	Files []link // what the document carries for programs

	Anyway string // address of the document with the traces that were left out beside a measurement

	addresses map[string]string // of what tables of the document name, by id
}

type link struct{ Text, Address string }

// showDocument shows a document in the shell; with ?file it is the file that lab report writes.
func (s *Site) showDocument(w http.ResponseWriter, r *http.Request, p shown, v documentView) {
	if r.URL.Query().Has("file") {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": "report-" + path.Base(r.URL.Path) + ".html"}))
		_ = v.WriteHTML(w) // who has gone away misses it
		return
	}
	if id := r.URL.Query().Get("data"); id != "" {
		s.serveData(w, r, v.Document, id)
		return
	}
	rows, err := s.catalog.read()
	if err != nil {
		s.fail(w, r, err)
		return
	}
	v.addresses = addresses(rows)
	v.Links = append(v.Links, link{"save as one file", with(r, "file", "")})
	if v.Unread {
		v.Anyway = with(r, anyway, "")
	}
	for _, d := range v.Document.Data {
		v.Files = append(v.Files, link{d.Title + ": " + d.File, with(r, "data", d.ID)})
	}
	p.Name, p.Title, p.Data = "document", v.Title, v
	s.render(w, r, p)
}

// serveData is a document for programs that belongs to a page.
func (s *Site) serveData(w http.ResponseWriter, r *http.Request, doc page.Document, id string) {
	for _, d := range doc.Data {
		if d.ID == id {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": d.File}))
			w.Write(d.JSON) // who has gone away misses it
			return
		}
	}
	s.sorry(w, r, http.StatusNotFound, "The page has no data "+id+".", "")
}

// with is the address of a page with one parameter more.
func with(r *http.Request, name, value string) string {
	q := r.URL.Query()
	q.Set(name, value)
	return "?" + q.Encode()
}

// documents keeps those that were made last: one of a long run takes a second of CPU to make, and a reload none.
type documents struct {
	mu   sync.Mutex // held while one is made: never two at once
	kept []made     // the newest last, one of each subject
}

// made is a document as it was at one moment.
type made struct {
	page.Document
	subject string
	stamp   string // of the store, taken before it was read
	version string // changes with everything that the document is made of
	at      time.Time
	took    time.Duration
}

const keptDocuments = 8

// How often a document is made again beside a measurement: not often, and never for more than one part in renewShare of a core.
const (
	renewAtLeast = 5 * time.Second
	renewShare   = 40
)

// rest is how long a document is left as it is beside a measurement.
func (m made) rest() time.Duration {
	return max(renewAtLeast, renewShare*m.took) - time.Since(m.at)
}

// get gives the document of a subject in the version that is asked for; beside a measurement perhaps an older one.
func (s *Site) get(r *http.Request, subject, version string, load func(page.Asked) (page.Document, error)) (made, error) {
	d := &s.documents
	d.mu.Lock()
	defer d.mu.Unlock()
	beside := measuring(s.DB.Announced())
	asked := page.Asked{Lang: "en", Lab: s.Version}
	if beside && !r.URL.Query().Has(anyway) {
		asked.MostTraces = costly
	}
	i := slices.IndexFunc(d.kept, func(m made) bool { return m.subject == subject })
	if i >= 0 && (asked.MostTraces > 0 || !d.kept[i].Unread) && (d.kept[i].version == version || d.kept[i].rest() > 0 && beside) {
		return d.kept[i], nil
	}
	if err := r.Context().Err(); err != nil { // who asked for it has gone away while others were made
		return made{}, err
	}
	m := made{subject: subject, version: version, stamp: s.DB.Stamp(), at: time.Now()}
	var err error
	if m.Document, err = load(asked); err != nil {
		return made{}, err
	}
	m.took, m.at = time.Since(m.at), time.Now()
	if i >= 0 {
		d.kept = slices.Delete(d.kept, i, i+1)
	}
	if d.kept = append(d.kept, m); len(d.kept) > keptDocuments {
		d.kept = slices.Delete(d.kept, 0, 1)
	}
	return m, nil
}

// run is the page of one run.
func (s *Site) run(w http.ResponseWriter, r *http.Request) {
	id, err := s.DB.Resolve(r.PathValue("id"))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if id != r.PathValue("id") { // a prefix, or @last: the address shall last
		http.Redirect(w, r, "/r/"+id, http.StatusSeeOther)
		return
	}
	version := s.DB.RunStamp(id) + " " + s.DB.Stamp()
	sealed, err := s.DB.Sealed(id)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	doc, err := s.get(r, "run "+id, version, func(asked page.Asked) (page.Document, error) { return page.LoadRun(r.Context(), s.DB, id, asked) })
	if err != nil {
		s.fail(w, r, err)
		return
	}
	run := sealed.Run
	v := documentView{Document: doc.Document, Links: runLinks(run), Again: doc.again(version)}
	p := shown{Place: "runs", Stamp: doc.stamp}
	if run.Outcome == lab.Live {
		v.Live, p.Run = true, id
		v.goesOn(doc)
	}
	s.showDocument(w, r, p, v)
}

// again is after how many milliseconds an older version is worth fetching anew; 0: it is the one that was asked for.
func (m made) again(version string) int {
	if m.version == version {
		return 0
	}
	return int(max(time.Second, m.rest()).Milliseconds())
}

// goesOn is for a document with a run that goes on: it says of when it is, and is made again.
func (v *documentView) goesOn(doc made) {
	v.AsOf = doc.at.UTC().Format(time.TimeOnly + " UTC")
	v.Again = int(max(time.Second, doc.rest()).Milliseconds())
}

// runLinks lead from a run to what it belongs to.
func runLinks(run lab.Run) []link {
	var all []link
	if run.Plan != nil {
		text := "A/B " + run.Plan.ID
		if run.Arm != "" {
			text += ", arm " + run.Arm
		}
		all = append(all, link{text, "/ab/" + run.Plan.ID})
	}
	if run.Sweep != nil {
		all = append(all, link{"sweep " + run.Sweep.Name + ", cell " + run.Sweep.Cell, "/sweep/" + run.Sweep.ID})
	}
	if run.Baseline != nil {
		all = append(all, link{"baseline " + run.Baseline.Name, "/baseline/" + run.Baseline.Name})
	}
	if p := run.Profile; p != nil && len(p.Traces()) > 0 && p.Mechanism != lab.ProfileByServer {
		all = append(all, link{"flame graph", "/profile/" + run.ID + "/"})
	}
	return all
}

// SectionsHTML is all sections of a document.
func (v documentView) SectionsHTML() template.HTML {
	var all strings.Builder
	for _, s := range v.Sections {
		all.WriteString(string(s.HTML()))
	}
	return template.HTML(linked(all.String(), v.addresses))
}

// idCell is a cell of a table that holds an id and nothing else.
var idCell = regexp.MustCompile(`(<t[dh][^<>]*>)(\d{8}-\d{6}-[0-9a-z]{4})(</t[dh]>)`)

// linked makes links of the ids in tables that have a page here. In the file of a document there are none: no server is behind it.
func linked(html string, addresses map[string]string) string {
	return idCell.ReplaceAllStringFunc(html, func(cell string) string {
		parts := idCell.FindStringSubmatch(cell)
		address, known := addresses[parts[2]]
		if !known {
			return cell
		}
		return parts[1] + `<a href="` + address + `">` + parts[2] + "</a>" + parts[3]
	})
}

// addresses are the pages of runs, A/Bs and sweeps, by id.
func addresses(rows []row) map[string]string {
	all := map[string]string{}
	for i := range rows {
		r := &rows[i]
		all[r.ID] = "/r/" + r.ID
		if r.PlanID != "" {
			all[r.PlanID] = "/ab/" + r.PlanID
		}
		if r.Sweep != nil {
			all[r.Sweep.ID] = "/sweep/" + r.Sweep.ID
		}
	}
	return all
}
