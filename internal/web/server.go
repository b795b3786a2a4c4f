package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"lab/internal/report/page"
	"lab/store"
)

//go:embed assets
var assets embed.FS

// Options say what is shown and to whom.
type Options struct {
	DB      *store.DB
	Token   string   // that a browser must bring; empty: none, for pages that only this machine can reach
	Version string   // of lab
	Sampler []string // command line of lab itself, which samples the GPUs while nothing runs
}

// Site is the pages of a store.
type Site struct {
	Options
	catalog   *catalog
	hub       *hub
	gpus      *gpus
	calls     *calls
	views     *views
	documents documents
	templates map[string]*template.Template
	static    string // path of the scripts and styles; another one with every version of them
}

// New makes the pages. Stop ends what runs behind them.
func New(o Options) (*Site, error) {
	s := &Site{Options: o, catalog: &catalog{db: o.DB}, templates: map[string]*template.Template{}}
	s.hub = newHub(o.DB, s.catalog)
	s.gpus = &gpus{db: o.DB, sampler: o.Sampler}
	s.calls = &calls{last: map[string]known{}}
	s.views = &views{made: map[string]http.Handler{}}
	sum := sha256.New()
	err := fs.WalkDir(assets, "assets", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := assets.ReadFile(name)
		sum.Write(content)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the pages: %w", err)
	}
	sum.Write([]byte(page.Style() + page.Script()))
	s.static = "/static/" + hex.EncodeToString(sum.Sum(nil)[:6]) + "/"
	pages, err := fs.Glob(assets, "assets/pages/*.html")
	if err != nil {
		return nil, fmt.Errorf("read the pages: %w", err)
	}
	for _, name := range pages {
		t, err := template.New("shell.html").Funcs(functions()).ParseFS(assets, "assets/shell.html", "assets/now.html", "assets/bar.html", name)
		if err != nil {
			return nil, fmt.Errorf("read the pages: %w", err)
		}
		s.templates[strings.TrimSuffix(strings.TrimPrefix(name, "assets/pages/"), ".html")] = t
	}
	return s, nil
}

// Stop ends the streams of events and waits for what runs behind the pages.
func (s *Site) Stop() {
	s.hub.stop()
	s.gpus.stop()
}

// Handler serves the pages to whoever may see them.
func (s *Site) Handler() http.Handler {
	mux := http.NewServeMux()
	for pattern, page := range map[string]http.HandlerFunc{
		"/{$}": s.list, "/r/{id}": s.run, "/compare": s.compare,
		"/ab": s.plans, "/ab/{id}": s.ab,
		"/sweeps": s.sweeps, "/sweep/{id}": s.sweep,
		"/baselines": s.baselines, "/baseline/{name}": s.baseline,
		"/profiles": s.profiles, "/now": s.nowPage,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			s.hub.bury() // no page shows a run as live whose lab was killed
			page(w, r)
		})
	}
	mux.HandleFunc("/profile/{id}/", s.flameGraph)
	mux.HandleFunc("/profile-diff", s.chooseDiff)
	mux.HandleFunc("/profile-diff/{base}/{id}/", s.flameGraphDiff)
	mux.HandleFunc("/events", s.events)
	mux.HandleFunc(s.static+"{name}", serveStatic)
	mux.HandleFunc("/favicon.ico", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, s.static+"icon.svg", http.StatusFound)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.sorry(w, r, http.StatusNotFound, "There is no page "+r.URL.Path+".", "")
	})
	return guard(s.Token, mux)
}

// serveStatic serves scripts and styles, which never change under their address. Those of the documents are in a layer
// of their own, below what the shell says.
func serveStatic(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	switch name := r.PathValue("name"); name {
	case "page.css":
		http.ServeContent(w, r, name, time.Time{}, strings.NewReader("@layer page {\n"+page.Style()+"}\n"))
	case "page.js":
		http.ServeContent(w, r, name, time.Time{}, strings.NewReader(page.Script()))
	default:
		http.ServeFileFS(w, r, assets, "assets/static/"+name)
	}
}

// shown is one page in the shell that all have.
type shown struct {
	Name  string // of its template
	Title string
	Place string // of the navigation
	Run   string // whose recording it follows; empty: none
	Renew string // selector of what is fetched again when other runs are there; empty: nothing
	Data  any

	// Filled in by render.
	Static  string
	Version string
	Dir     string
	Tip     template.HTML
	Now     nowView
	Stamp   string // of the store; that of a document is older
}

func (s *Site) render(w http.ResponseWriter, r *http.Request, p shown) {
	s.renderStatus(w, r, http.StatusOK, p)
}

// renderStatus renders into memory first, so that a fault in a template is an error and not half a page.
func (s *Site) renderStatus(w http.ResponseWriter, r *http.Request, status int, p shown) {
	p.Static, p.Version, p.Dir, p.Tip = s.static, s.Version, s.DB.Dir(), page.Tip
	if p.Now = s.now(); p.Stamp == "" {
		p.Stamp = s.DB.Stamp()
	}
	var b bytes.Buffer
	if err := s.templates[p.Name].Execute(&b, p); err != nil {
		http.Error(w, "lab ui: render "+p.Name+": "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		w.Write(b.Bytes()) // who has gone away misses it
	}
}

// sorry is a page that says why there is none, and what to do.
func (s *Site) sorry(w http.ResponseWriter, r *http.Request, status int, text, advice string, links ...link) {
	s.renderStatus(w, r, status, shown{Name: "sorry", Title: http.StatusText(status), Data: struct {
		Text, Advice string
		Links        []link
	}{text, advice, append(links, link{"All runs", "/"})}})
}

// fail turns an error into a page: what is not there is 404, anything else a fault that is told as it is.
func (s *Site) fail(w http.ResponseWriter, r *http.Request, err error) {
	var unknown *store.RefError
	if errors.As(err, &unknown) {
		s.sorry(w, r, http.StatusNotFound, sentence(err), "")
		return
	}
	s.sorry(w, r, http.StatusInternalServerError, sentence(err), "The terminal that lab ui was started from may say more; the other pages go on.")
}

// sentence begins an error with a capital letter.
func sentence(err error) string {
	text := err.Error()
	if text == "" {
		return text
	}
	return strings.ToUpper(text[:1]) + text[1:] + "."
}

func functions() template.FuncMap {
	return template.FuncMap{
		"thousands": thousands,
		"quantity": func(n int, one, more string) string {
			return thousands(n) + " " + map[bool]string{true: one, false: more}[n == 1]
		},
	}
}

// thousands writes a count with thin spaces, which are not broken.
func thousands(n int) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "\u202f" + text[i:]
	}
	return text
}
