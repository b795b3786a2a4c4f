package profiling

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/google/pprof/driver"
	"github.com/google/pprof/profile"
)

// View serves a profile as pprof's pages: the flame graph first, tables, callers. With a base, the pages show what s takes more
// or less than base would have, had it run as many steps of each kind as s. The handler can be mounted under any path, by
// http.StripPrefix. pprof keeps settings of its own for the whole process: one call at a time.
func View(s, base *Stacks) (http.Handler, error) {
	profiles := map[string]*profile.Profile{"profile": s.profile.Copy()}
	args := []string{"-http=localhost:0", "-no_browser", "-symbolize=none"}
	if base != nil {
		if len(base.profile.SampleType) != len(s.profile.SampleType) {
			return nil, errors.New("compare profiles: one has work on a GPU and the other has none")
		}
		profiles["base"] = base.scaledTo(s)
		args = append(args, "-diff_base=base")
	}
	var pages map[string]http.Handler
	err := driver.PProf(&driver.Options{
		Flagset:    &flags{flag.NewFlagSet("pprof", flag.ContinueOnError), append(args, "profile")},
		Fetch:      fetcher(profiles),
		UI:         quiet{},
		HTTPServer: func(a *driver.HTTPServerArgs) error { pages = a.Handlers; return nil },
	})
	if err != nil {
		return nil, fmt.Errorf("prepare pprof's pages: %w", err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { serve(pages, w, r) }), nil
}

// serve leaves out what a trace has nothing for, and what would write the user's settings of pprof.
func serve(pages map[string]http.Handler, w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "", "/":
		w.Header().Set("Location", "flamegraph") // relative, wherever this is mounted
		w.WriteHeader(http.StatusFound)
		return
	case "/disasm", "/source":
		http.Error(w, "A trace has no program code: there is nothing to show here.", http.StatusNotFound)
		return
	case "/saveconfig", "/deleteconfig":
		http.Error(w, "Settings are not saved here; the page's address holds them.", http.StatusForbidden)
		return
	}
	if page := pages[r.URL.Path]; page != nil {
		page.ServeHTTP(w, r)
		return
	}
	http.NotFound(w, r)
}

// OnLoopback refuses what does not come from this machine, and pages of other sites that had a name of theirs lead here.
func OnLoopback(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !loopback(r.RemoteAddr) || !loopback(r.Host) {
			http.Error(w, "This page is for the machine it runs on, by the name localhost.", http.StatusForbidden)
			return
		}
		h.ServeHTTP(w, r)
	})
}

func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = strings.Trim(address, "[]")
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// scaledTo is the profile as it would be with as many steps of each kind as the other has.
func (s *Stacks) scaledTo(other *Stacks) *profile.Profile {
	p := s.profile.Copy()
	var own, others int64
	for i := range s.steps {
		own, others = own+s.steps[i], others+other.steps[i]
	}
	whole := 1.0
	if own > 0 && others > 0 {
		whole = float64(others) / float64(own)
	}
	for _, sample := range p.Sample {
		factor := whole
		if kind := sample.Label["step"]; len(kind) == 1 && others > 0 {
			i := kindIndex(StepKind(kind[0]))
			factor = float64(other.steps[i]) / float64(s.steps[i])
		}
		for i, v := range sample.Value {
			sample.Value[i] = int64(math.Round(float64(v) * factor))
		}
	}
	return p
}

// fetcher hands pprof the profiles by name, so that nothing is read from or written to disk.
type fetcher map[string]*profile.Profile

func (f fetcher) Fetch(src string, _, _ time.Duration) (*profile.Profile, string, error) {
	p := f[src]
	if p == nil {
		return nil, "", fmt.Errorf("no profile %s", src)
	}
	return p, "", nil
}

// flags gives pprof its arguments.
type flags struct {
	*flag.FlagSet
	args []string
}

func (f *flags) StringList(name, def, usage string) *[]*string {
	list := &[]*string{}
	f.Func(name, usage, func(v string) error { *list = append(*list, &v); return nil })
	return list
}

func (f *flags) ExtraUsage() string { return "" }

func (f *flags) AddExtraUsage(string) {}

func (f *flags) Parse(usage func()) []string {
	f.Usage = usage
	if err := f.FlagSet.Parse(f.args); err != nil {
		return nil
	}
	return f.Args()
}

// quiet is pprof's user: nobody is there.
type quiet struct{}

func (quiet) ReadLine(string) (string, error)     { return "", io.EOF }
func (quiet) Print(...any)                        {}
func (quiet) PrintErr(...any)                     {}
func (quiet) IsTerminal() bool                    { return false }
func (quiet) WantBrowser() bool                   { return false }
func (quiet) SetAutoComplete(func(string) string) {}
