package web

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// pageSize is how many runs a page of the list shows.
const pageSize = 100

// listState is what the address of the list says.
type listState struct {
	Query    string   // of the filter box
	Sort     string   // one of sorts, with "-" before it for the largest first; empty: newest first
	Page     int      // from 1
	Selected []string // IDs
}

// order is a column by which the list can be sorted.
type order struct {
	name  string
	value func(*row) (float64, bool)
}

func sorts() []order {
	return []order{
		{"ttft", figureOf("ttft.mean")}, {"tpot", figureOf("tpot.mean")}, {"output", figureOf("output_throughput")},
		{"took", func(r *row) (float64, bool) { return r.Took.Seconds(), r.Took > 0 }},
		{"started", func(r *row) (float64, bool) { return float64(r.Started.UnixNano()), !r.Started.IsZero() }},
	}
}

// readListState takes what makes sense of an address and leaves the rest out: old links must lead somewhere.
func readListState(q url.Values) listState {
	s := listState{Query: strings.TrimSpace(q.Get("q")), Page: 1}
	name := q.Get("sort")
	for _, o := range sorts() {
		if strings.TrimPrefix(name, "-") == o.name {
			s.Sort = name
		}
	}
	if n, err := strconv.Atoi(q.Get("page")); err == nil && n > 1 {
		s.Page = n
	}
	for _, id := range q["run"] {
		if id != "" && !slices.Contains(s.Selected, id) {
			s.Selected = append(s.Selected, id)
		}
	}
	return s
}

// address is the list as the state says.
func (s listState) address() string {
	q := url.Values{}
	if s.Query != "" {
		q.Set("q", s.Query)
	}
	if s.Sort != "" {
		q.Set("sort", s.Sort)
	}
	if s.Page > 1 {
		q.Set("page", strconv.Itoa(s.Page))
	}
	if len(s.Selected) > 0 {
		q["run"] = s.Selected
	}
	if len(q) == 0 {
		return "/"
	}
	return "/?" + q.Encode()
}

// listView is the list as the page shows it.
type listView struct {
	listState
	Rows        []listRow
	Total       int // of the store
	Matching    int
	First, Last int // shown, from 1
	Previous    string
	Next        string
	Faults      []string
	Elsewhere   []string // selected, on another page or filtered out
	Columns     []column
	Clear       string
}

type listRow struct {
	*row
	Selected bool
	Began    string
	Lasted   string
}

// column is a head of the table.
type column struct {
	Title, Name, Address, Sorted string // Sorted: "ascending", "descending" or empty
	Class                        string
}

// list is the page of all runs.
func (s *Site) list(w http.ResponseWriter, r *http.Request) {
	rows, err := s.catalog.read()
	if err != nil {
		s.fail(w, r, err)
		return
	}
	v := arrange(rows, readListState(r.URL.Query()), time.Now().UTC())
	s.render(w, r, shown{Name: "list", Title: "Runs", Place: "runs", Renew: "#list", Data: v})
}

// arrange filters, sorts and cuts the rows, which are newest first.
func arrange(rows []row, state listState, now time.Time) listView {
	f := parseFilter(state.Query, now)
	var found []*row
	for i := range rows {
		if f.match(&rows[i]) {
			found = append(found, &rows[i])
		}
	}
	sortRows(found, state.Sort)
	v := listView{listState: state, Total: len(rows), Matching: len(found), Faults: f.faults, Columns: columns(state)}
	state.Page = min(state.Page, max(1, (len(found)+pageSize-1)/pageSize))
	v.Page = state.Page
	from := (state.Page - 1) * pageSize
	to := min(from+pageSize, len(found))
	onPage := map[string]bool{}
	for _, r := range found[from:to] {
		onPage[r.ID] = true
		v.Rows = append(v.Rows, listRow{row: r, Selected: slices.Contains(state.Selected, r.ID), Began: began(r.Started), Lasted: lasted(r.Took)})
	}
	for _, id := range state.Selected {
		if !onPage[id] {
			v.Elsewhere = append(v.Elsewhere, id)
		}
	}
	v.First, v.Last = from+1, to
	at := func(page int) string { s := state; s.Page = page; return s.address() }
	if from > 0 {
		v.Previous = at(state.Page - 1)
	}
	if to < len(found) {
		v.Next = at(state.Page + 1)
	}
	v.Clear = listState{Sort: state.Sort, Selected: state.Selected}.address()
	return v
}

// sortRows orders by a figure; runs without it come last either way.
func sortRows(rows []*row, name string) {
	for _, o := range sorts() {
		if o.name != strings.TrimPrefix(name, "-") {
			continue
		}
		sign := 1
		if strings.HasPrefix(name, "-") {
			sign = -1
		}
		slices.SortStableFunc(rows, func(a, b *row) int {
			x, okX := o.value(a)
			y, okY := o.value(b)
			if okX != okY {
				if okX {
					return -1
				}
				return 1
			}
			return sign * cmp.Compare(x, y)
		})
	}
}

// columns are the heads, each with the address that sorts by it: what is best first, then the other way, then newest first.
func columns(state listState) []column {
	all := []column{{Title: "Run", Name: "started"}, {Title: "Experiment", Class: "grow"}, {Title: "In", Class: "wide"}, {Title: "Outcome"},
		{Title: "TTFT", Name: "ttft", Class: "number"}, {Title: "TPOT", Name: "tpot", Class: "number"},
		{Title: "Output", Name: "output", Class: "number"}, {Title: "Took", Name: "took", Class: "number wide"}}
	for i := range all {
		c := &all[i]
		if c.Name == "" {
			continue
		}
		first, second := c.Name, "-"+c.Name
		if c.Name == "output" {
			first, second = second, first
		}
		next := state
		next.Page = 1
		switch state.Sort {
		case first:
			next.Sort = second
		case second:
			next.Sort = ""
		default:
			next.Sort = first
		}
		switch state.Sort {
		case c.Name:
			c.Sorted = "ascending"
		case "-" + c.Name:
			c.Sorted = "descending"
		case "":
			if c.Name == "started" {
				c.Sorted = "descending"
			}
		}
		c.Address = next.address()
	}
	return all
}

// began writes when a run began, in UTC, as its ID and the documents do.
func began(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format("2006-01-02 15:04 UTC")
}

func lasted(d time.Duration) string {
	switch d = d.Round(time.Second); {
	case d <= 0:
		return ""
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min %02d s", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d h %02d min", int(d.Hours()), int(d.Minutes())%60)
}
