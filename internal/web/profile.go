package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"lab/internal/lab"
	"lab/profiling"
	"lab/store"
)

// keptViews is how many profiles stay in memory once they were opened.
const keptViews = 4

// costly is a size of traces, packed as they are, above which they are read beside a measurement only if the reader says so,
// with ?anyway in the address: a core works on a gigabyte for some seconds.
const (
	costly = 64 << 20
	anyway = "anyway"
)

// views are the pages of pprof that were opened, by the ids of the runs, the newest last.
type views struct {
	mu   sync.Mutex // held while one is made: pprof makes one at a time
	keys []string
	made map[string]http.Handler
}

// flameGraph serves pprof's pages of one profiled run.
func (s *Site) flameGraph(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	s.serveProfile(w, r, "/profile/"+url.PathEscape(id), id)
}

// flameGraphDiff serves pprof's pages of what the second of two runs takes more or less than the first.
func (s *Site) flameGraphDiff(w http.ResponseWriter, r *http.Request) {
	base, id := r.PathValue("base"), r.PathValue("id")
	s.serveProfile(w, r, "/profile-diff/"+url.PathEscape(base)+"/"+url.PathEscape(id), base, id)
}

// chooseDiff leads from two selected runs to their difference: the newer one against the older.
func (s *Site) chooseDiff(w http.ResponseWriter, r *http.Request) {
	ids := slices.Sorted(slices.Values(r.URL.Query()["run"]))
	if ids = slices.Compact(ids); len(ids) != 2 {
		s.sorry(w, r, http.StatusBadRequest, fmt.Sprintf("The difference of two profiles needs two; %d are selected.", len(ids)), "Go back and select two.")
		return
	}
	http.Redirect(w, r, "/profile-diff/"+url.PathEscape(ids[0])+"/"+url.PathEscape(ids[1])+"/", http.StatusSeeOther)
}

func (s *Site) serveProfile(w http.ResponseWriter, r *http.Request, prefix string, ids ...string) {
	all := make([]captured, len(ids))
	size := lab.Bytes(0)
	for i, id := range ids {
		var err error
		if all[i], err = traces(s.DB, id); err != nil {
			s.noProfile(w, r, err)
			return
		}
		size += all[i].size
	}
	h, err := s.views.open(r.Context(), all, func() bool {
		return size > costly && measuring(s.DB.Announced()) && !r.URL.Query().Has(anyway)
	})
	if err != nil {
		s.noProfile(w, r, err)
		return
	}
	w.Header().Set("Content-Security-Policy", pprofPages)
	var bar bytes.Buffer
	if err := s.templates["document"].ExecuteTemplate(&bar, "bar", all); err != nil {
		s.fail(w, r, err)
		return
	}
	http.StripPrefix(prefix, h).ServeHTTP(&barred{ResponseWriter: w, bar: bar.Bytes()}, r)
}

// barred puts a bar at the top of a page of pprof, which knows of no page but its own. pprof writes a page in one piece.
type barred struct {
	http.ResponseWriter
	bar []byte
}

func (b *barred) Write(page []byte) (int, error) {
	const top = "<body>"
	head, rest, found := bytes.Cut(page, []byte(top))
	if !found || !strings.HasPrefix(b.Header().Get("Content-Type"), "text/html") {
		return b.ResponseWriter.Write(page)
	}
	for _, part := range [][]byte{head, []byte(top), b.bar, rest} {
		if _, err := b.ResponseWriter.Write(part); err != nil {
			return 0, err
		}
	}
	return len(page), nil
}

func (s *Site) noProfile(w http.ResponseWriter, r *http.Request, err error) {
	var none *noTracesError
	switch {
	case errors.Is(err, errCostly):
		s.sorry(w, r, http.StatusServiceUnavailable, "Something is being measured, and to read traces of this size takes a core for some seconds.",
			"Come back when it has ended.", link{"Read them now all the same", with(r, anyway, "")})
	case errors.As(err, &none):
		s.sorry(w, r, http.StatusNotFound, sentence(err), "")
	default:
		s.fail(w, r, err)
	}
}

var errCostly = errors.New("it would disturb what is measured")

// open gives the pages of one profile, or of the difference of two.
func (v *views) open(ctx context.Context, runs []captured, busy func() bool) (http.Handler, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	key := ""
	for _, c := range runs {
		key += c.ID + " "
	}
	if h := v.made[key]; h != nil {
		return h, nil
	}
	if busy() {
		return nil, errCostly
	}
	var all []*profiling.Stacks
	for _, c := range runs {
		stacks, err := profiling.ReadStacks(ctx, c.files...)
		if err != nil {
			return nil, err
		}
		all = append(all, stacks)
	}
	shown, base := all[len(all)-1], (*profiling.Stacks)(nil)
	if len(all) == 2 {
		base = all[0]
	}
	h, err := profiling.View(shown, base)
	if err != nil {
		return nil, err
	}
	if v.keys = append(v.keys, key); len(v.keys) > keptViews {
		delete(v.made, v.keys[0])
		v.keys = v.keys[1:]
	}
	v.made[key] = h
	return h, nil
}

// noTracesError says why a run has no traces to show.
type noTracesError struct{ id, why string }

func (e *noTracesError) Error() string { return fmt.Sprintf("run %s has no trace: %s", e.id, e.why) }

// captured is a profiled run with its traces.
type captured struct {
	ID, Name string
	files    []string
	size     lab.Bytes
}

// traces finds the traces of a profiled run.
func traces(db *store.DB, id string) (captured, error) {
	sealed, err := db.Sealed(id)
	if err != nil {
		return captured{}, err
	}
	p := sealed.Run.Profile
	switch {
	case p == nil:
		return captured{}, &noTracesError{id, "it was not profiled"}
	case p.Mechanism == lab.ProfileByServer:
		return captured{}, &noTracesError{id, "its server was not lab's, and has them"}
	}
	c := captured{ID: id, Name: sealed.Run.Experiment.Name}
	for _, f := range p.Traces() {
		c.files, c.size = append(c.files, filepath.Join(db.RunDir(id), f.Path)), c.size+f.Size
	}
	if len(c.files) == 0 {
		return captured{}, &noTracesError{id, p.Lost}
	}
	return c, nil
}
