package report

import (
	"cmp"
	"fmt"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"

	"lab/internal/report/chart"
)

// shape is what the requests of a run were like; -1 where the table does not say.
type shape struct {
	model, backend, rate string
	in, out              float64
}

// cell is one configuration: a shape at a concurrency, with all its repeats.
type cell struct {
	shape
	concurrency float64 // -1: not limited, or not known
	rows        []aggregateRow
}

// spread is a mean over repeats. sd is 0 where there are fewer than two.
type spread struct {
	mean, sd float64
	n        int
}

// cells groups the rows by configuration, small ones first.
func (a *Aggregate) cells() []cell {
	var cells []cell
	for _, r := range a.rows {
		number := func(column string) float64 {
			if v, ok := r.number(column); ok {
				return v
			}
			return -1
		}
		c := cell{shape: shape{r["model_id"], r["backend"], rate(r), number("input_len"), number("output_len")}, concurrency: number("max_concurrency")}
		i := slices.IndexFunc(cells, func(o cell) bool { return o.shape == c.shape && o.concurrency == c.concurrency })
		if i < 0 {
			i = len(cells)
			cells = append(cells, c)
		}
		cells[i].rows = append(cells[i].rows, r)
	}
	slices.SortStableFunc(cells, func(a, b cell) int {
		return cmp.Or(a.shape.compare(b.shape), cmp.Compare(a.concurrency, b.concurrency))
	})
	return cells
}

func (s shape) compare(o shape) int {
	return cmp.Or(cmp.Compare(s.model, o.model), cmp.Compare(s.backend, o.backend), cmp.Compare(s.in, o.in), cmp.Compare(s.out, o.out), cmp.Compare(s.rate, o.rate))
}

// rate is written alike, whether the table says 4 or 4.0; all at once is the usual case and has no name.
func rate(r aggregateRow) string {
	if v, ok := r.number("request_rate"); ok {
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	return ""
}

func spreadOf(rows []aggregateRow, column string) (spread, bool) {
	var values []float64
	for _, r := range rows {
		if v, ok := r.number(column); ok {
			values = append(values, v)
		}
	}
	return spreadOfValues(values)
}

func spreadOfValues(values []float64) (spread, bool) {
	s := spread{n: len(values)}
	if s.n == 0 {
		return s, false
	}
	for _, v := range values {
		s.mean += v / float64(s.n)
	}
	if s.n > 1 {
		squares := 0.0
		for _, v := range values {
			squares += (v - s.mean) * (v - s.mean)
		}
		s.sd = math.Sqrt(squares / float64(s.n-1))
	}
	return s, true
}

// times scales a mean and its spread.
func (s spread) times(by float64) spread { return spread{s.mean * by, s.sd * by, s.n} }

// plain writes the mean, and the spread where it is known. What varies is not written finer than a hundredth of itself.
func (s spread) plain() string {
	if s.n < 2 || s.sd == 0 {
		return chart.Format(s.mean)
	}
	unit := math.Pow(10, math.Floor(math.Log10(s.sd))-1)
	round := func(v float64) string { return chart.Format(math.Round(v/unit) * unit) }
	return round(s.mean) + " ± " + round(s.sd)
}

func (s spread) text(unit string) string { return fmt.Sprintf("%s %s (n = %d)", s.plain(), unit, s.n) }

// names gives shapes and cells the shortest names that tell them apart.
type names struct{ models, backends, rates bool }

func namesFor(cells []cell) names {
	var n names
	for _, c := range cells[1:] {
		n.models = n.models || c.model != cells[0].model
		n.backends = n.backends || c.backend != cells[0].backend
		n.rates = n.rates || c.rate != cells[0].rate
	}
	return n
}

func (n names) shape(s shape) string {
	name := "io" + known(s.in) + "x" + known(s.out)
	if n.rates {
		name += " " + cmp.Or(s.rate, "inf") + " req/s"
	}
	if n.backends && s.backend != "" {
		name = s.backend + " " + name
	}
	if n.models && s.model != "" {
		name = shortModel(s.model) + " " + name
	}
	return name
}

func (n names) cell(c cell) string {
	if c.concurrency < 0 {
		return n.shape(c.shape)
	}
	return n.shape(c.shape) + "_mc" + known(c.concurrency)
}

// shortModel is the last part of a model's name, which may be a path.
func shortModel(name string) string { return path.Base(strings.TrimRight(name, "/")) }

func known(v float64) string {
	if v < 0 {
		return "?"
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}
