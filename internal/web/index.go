package web

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"

	"lab/internal/compare"
	"lab/internal/lab"
	"lab/store"
)

// indexView is a list of A/Bs, sweeps, baselines or profiles.
type indexView struct {
	Heading string
	Head    []head
	Rows    [][]cell
	Empty   string // what is said where there are none
	Command string // that makes one
	Pick    *pick  // nil: rows cannot be selected
}

type head struct{ Title, Class string }

// cell is a text, perhaps a link; a state has a colour beside its word.
type cell struct{ Text, More, Link, Class, State string }

// pick lets two rows be selected and sent to an address.
type pick struct{ Action, Button, Name string }

func (s *Site) index(w http.ResponseWriter, r *http.Request, place string, v indexView) {
	s.render(w, r, shown{Name: "index", Title: v.Heading, Place: place, Renew: "#main", Data: v})
}

// plans lists the A/Bs with their calls.
func (s *Site) plans(w http.ResponseWriter, r *http.Request) {
	plans, err := s.DB.Plans()
	if err != nil {
		s.fail(w, r, err)
		return
	}
	rows, err := s.catalog.read()
	if err != nil {
		s.fail(w, r, err)
		return
	}
	slices.Reverse(plans)
	v := indexView{Heading: "A/B", Empty: "No A/B yet.", Command: "lab ab a.yaml b.yaml",
		Head: []head{{"A/B", ""}, {"A against B", "grow"}, {"Decides", "wide"}, {"Plan", "wide"}, {"Runs", "number"}, {"Call", ""}}}
	runs := map[string][]*row{}
	for i := range rows {
		if rows[i].PlanID != "" {
			runs[rows[i].PlanID] = append(runs[rows[i].PlanID], &rows[i])
		}
	}
	for _, p := range plans {
		measured := 0
		for _, e := range runs[p.ID] {
			if e.Block > 0 && e.Outcome != lab.Live {
				measured++
			}
		}
		call := s.calls.of(s.DB, p, runs[p.ID])
		v.Rows = append(v.Rows, []cell{
			{Text: p.ID, More: began(p.Made), Link: "/ab/" + p.ID, Class: "id"},
			{Text: armsOf(p), More: purpose(p)},
			{Text: p.Primary, More: p.Phase, Class: "wide"},
			{Text: p.Name, More: atMost(p), Class: "wide"},
			{Text: strconv.Itoa(measured), Class: "number"},
			{State: call},
		})
	}
	s.index(w, r, "ab", v)
}

func armsOf(p lab.Plan) string { return p.A.Name + " against " + p.B.Name }

// atMost is how long a plan can become, beyond what its name says.
func atMost(p lab.Plan) string {
	pairs := fmt.Sprintf("%d pairs", p.Pairs)
	if p.Name == pairs {
		return "at most"
	}
	return pairs + " at most"
}

// purpose says of an A/B what it was made for, where it is not just to compare.
func purpose(p lab.Plan) string {
	switch {
	case p.Calibrates:
		return "calibration: both arms are the same"
	case p.Baseline != "":
		return "check of baseline " + p.Baseline
	}
	return ""
}

// calls remembers the words of verdicts, each of which is read from many files.
type calls struct {
	mu   sync.Mutex // guards known
	last map[string]known
}

type known struct {
	runs string // what the word rests on
	call string
}

// of is the word for a plan with these runs: what `lab compare` says now.
func (c *calls) of(db *store.DB, p lab.Plan, runs []*row) string {
	key := fmt.Sprint(p.Cut)
	for _, r := range runs {
		if r.Outcome == lab.Live {
			return "live"
		}
		key += " " + r.ID + string(r.Outcome) + strconv.FormatBool(r.Valid)
	}
	c.mu.Lock()
	k, ok := c.last[p.ID]
	c.mu.Unlock()
	if ok && k.runs == key {
		return k.call
	}
	call := judged(db, p)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last[p.ID] = known{key, call}
	return call
}

func judged(db *store.DB, p lab.Plan) string {
	sealed, err := db.PlanRuns(p.ID)
	if err != nil {
		return "unreadable"
	}
	v := compare.Judge(p, sealed)
	if v.Look.Number == 0 && v.Call != lab.InvalidCall && v.Call != lab.Historical {
		return "not judged"
	}
	return string(v.Call)
}

// sweeps lists the sweeps.
func (s *Site) sweeps(w http.ResponseWriter, r *http.Request) {
	sweeps, err := s.DB.Sweeps()
	if err != nil {
		s.fail(w, r, err)
		return
	}
	rows, err := s.catalog.read()
	if err != nil {
		s.fail(w, r, err)
		return
	}
	slices.Reverse(sweeps)
	v := indexView{Heading: "Sweeps", Empty: "No sweep yet.", Command: "lab sweep",
		Head: []head{{"Sweep", ""}, {"Name", "grow"}, {"File", "wide"}, {"Cells", "number"}, {"Repeats", "number wide"}, {"Done", "number"}, {"", ""}}}
	for _, sw := range sweeps {
		done, live := map[lab.SweepPlace]bool{}, false
		for i := range rows {
			if e := &rows[i]; e.Sweep != nil && e.Sweep.ID == sw.ID {
				live = live || e.Outcome == lab.Live
				if e.Outcome == lab.Complete {
					done[*e.Sweep] = true
				}
			}
		}
		all := len(sw.Cells) * max(1, sw.Repeats)
		state := "complete"
		switch {
		case live:
			state = "live"
		case len(done) < all:
			state = "broken off"
		}
		v.Rows = append(v.Rows, []cell{
			{Text: sw.ID, More: began(sw.Made), Link: "/sweep/" + sw.ID, Class: "id"},
			{Text: sw.Name}, {Text: sw.File, Class: "wide path"},
			{Text: strconv.Itoa(len(sw.Cells)), Class: "number"}, {Text: strconv.Itoa(max(1, sw.Repeats)), Class: "number wide"},
			{Text: fmt.Sprintf("%d of %d", len(done), all), Class: "number"}, {State: state},
		})
	}
	s.index(w, r, "sweeps", v)
}

// baselines lists the names: of each the capture that stands, as its page has it, and what became of the last one.
func (s *Site) baselines(w http.ResponseWriter, r *http.Request) {
	captures, err := s.DB.Baselines()
	if err != nil {
		s.fail(w, r, err)
		return
	}
	plans, err := s.DB.Plans()
	if err != nil {
		s.fail(w, r, err)
		return
	}
	checks := map[string]int{}
	for _, p := range plans {
		checks[p.Baseline]++
	}
	v := indexView{Heading: "Baselines", Empty: "No baseline yet.", Command: "lab baseline set before a.yaml",
		Head: []head{{"Baseline", ""}, {"Experiment", "grow"}, {"Captured", "wide"}, {"Times captured", "number wide"}, {"Runs", "number"}, {"Checks", "number"}, {"", ""}}}
	times := map[string]int{}
	for _, b := range captures {
		times[b.Name]++
	}
	seen := map[string]bool{}
	for _, newest := range slices.Backward(captures) {
		if seen[newest.Name] {
			continue
		}
		seen[newest.Name] = true
		b, partial := store.Standing(captures, newest.Name)
		last := cell{State: "complete"}
		switch {
		case partial == nil:
		case partial.Going:
			last.State = "live"
		default:
			last.State = "broken off"
		}
		if partial != nil && partial.ID != b.ID {
			last.More = fmt.Sprintf("the last capture: %d of %d", len(partial.Valid()), partial.Capture.Runs)
		}
		v.Rows = append(v.Rows, []cell{
			{Text: b.Name, Link: "/baseline/" + url.PathEscape(b.Name), Class: "id"},
			{Text: b.Runs[0].Name, More: b.Runs[0].Model}, {Text: began(b.Runs[0].Started), Class: "wide"},
			{Text: strconv.Itoa(times[b.Name]), Class: "number wide"},
			{Text: fmt.Sprintf("%d of %d", len(b.Valid()), b.Capture.Runs), Class: "number"},
			{Text: strconv.Itoa(checks[b.Name]), Class: "number"}, last,
		})
	}
	s.index(w, r, "baselines", v)
}

// profiles lists the profiled runs with what became of their windows.
func (s *Site) profiles(w http.ResponseWriter, r *http.Request) {
	rows, err := s.catalog.read()
	if err != nil {
		s.fail(w, r, err)
		return
	}
	v := indexView{Heading: "Profiles", Empty: "No profiled run yet.", Command: "lab profile a.yaml",
		Pick: &pick{Action: "/profile-diff", Button: "Flame graph of the difference", Name: "run"},
		Head: []head{{"Run", ""}, {"Experiment", "grow"}, {"Window", "wide"}, {"Traces", "number"}, {"Overhead", "number"}, {"", ""}, {"", ""}}}
	for i := range rows {
		e := &rows[i]
		if !e.Profiled {
			continue
		}
		v.Rows = append(v.Rows, s.profileRow(e))
	}
	s.index(w, r, "profiles", v)
}

func (s *Site) profileRow(e *row) []cell {
	cells := []cell{{Text: e.ID, More: began(e.Started), Link: "/r/" + e.ID, Class: "id"}, {Text: e.Name, More: e.Model}}
	sealed, err := s.DB.Sealed(e.ID)
	p := sealed.Run.Profile
	if err != nil || p == nil {
		return append(cells, cell{Class: "wide"}, cell{}, cell{}, cell{}, cell{State: "unreadable"})
	}
	overhead := ""
	if p.Overhead != nil {
		overhead = fmt.Sprintf("%+.1f %%", p.Overhead.Share()*100)
	}
	look, state := cell{}, cell{State: "lost", More: p.Lost}
	if p.Lost == "" {
		state = cell{State: "complete"}
	}
	if len(p.Traces()) > 0 && p.Mechanism != lab.ProfileByServer {
		look = cell{Text: "flame graph", Link: "/profile/" + e.ID + "/"}
	}
	return append(cells, cell{Text: p.Condition, Class: "wide"}, cell{Text: strconv.Itoa(len(p.Traces())), Class: "number"},
		cell{Text: cmp.Or(overhead, "–"), Class: "number"}, look, state)
}

// nowPage is what is measured now, and the GPUs.
func (s *Site) nowPage(w http.ResponseWriter, r *http.Request) {
	s.render(w, r, shown{Name: "now", Title: "Now", Place: "now", Data: s.gpus.view()})
}
