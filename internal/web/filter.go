package web

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"lab/internal/lab"
	"lab/internal/report"
	"lab/store"
)

// filter decides which runs a list shows. All of its terms must hold.
type filter struct {
	terms  []term
	faults []string // of terms that cannot be understood (yet): they are left out
}

// term says whether a run is meant.
type term func(r *row) bool

// row is a run of the list with what a filter looks at.
type row struct {
	store.Entry
	Shown report.Line
	text  string // lower case: everything that a bare word is looked for in
}

func rowOf(e store.Entry) row {
	r := row{Entry: e, Shown: report.LineOf(e)}
	words := []string{r.Shown.ID, r.Shown.Name, e.Model, r.Shown.Outcome, r.Shown.Place, e.PlanID}
	words = append(words, e.Tags...)
	if e.Sweep != nil {
		words = append(words, e.Sweep.ID, e.Sweep.Name, e.Sweep.Cell)
	}
	if e.Baseline != nil {
		words = append(words, e.Baseline.Name)
	}
	r.text = strings.ToLower(strings.Join(words, "\n"))
	return r
}

// parseFilter reads what stands in the filter box:
//
//	seqs qwen           words that the id, name, model, outcome, A/B, sweep, baseline or a tag contains
//	-failed             what must not be there
//	"a b"               a word with a space
//	outcome:failed      a word in one place: id, name, model, outcome, tag, plan, sweep, cell, baseline, arm
//	ttft<100ms tpot>5ms output>1000 took>2m     a mean of the run, or how long it took
//	since:2026-11-20 until:7d                   a day, or how long ago
//
// A term that makes no sense is a fault and filters nothing, since it may be half typed.
func parseFilter(text string, now time.Time) filter {
	var f filter
	for _, word := range words(text) {
		t, err := parseTerm(word, now)
		if err != nil {
			f.faults = append(f.faults, err.Error())
		} else if t != nil {
			f.terms = append(f.terms, t)
		}
	}
	return f
}

func (f filter) match(r *row) bool {
	for _, t := range f.terms {
		if !t(r) {
			return false
		}
	}
	return true
}

// words splits at spaces outside of quotes; a quote that is not closed goes to the end.
func words(text string) []string {
	var all []string
	var b strings.Builder
	quoted := false
	end := func() {
		if b.Len() > 0 {
			all = append(all, b.String())
			b.Reset()
		}
	}
	for _, c := range text {
		switch {
		case c == '"':
			quoted = !quoted
		case unicode.IsSpace(c) && !quoted:
			end()
		default:
			b.WriteRune(c)
		}
	}
	end()
	return all
}

func parseTerm(word string, now time.Time) (term, error) {
	if rest, not := strings.CutPrefix(word, "-"); not {
		if rest == "" {
			return nil, nil
		}
		t, err := parseTerm(rest, now)
		if t == nil || err != nil {
			return nil, err
		}
		return func(r *row) bool { return !t(r) }, nil
	}
	if i := strings.IndexAny(word, "<>"); i > 0 {
		if t, known, err := limitTerm(word[:i], word[i:]); known {
			return t, err
		}
	}
	if key, value, ok := strings.Cut(word, ":"); ok {
		switch strings.ToLower(key) {
		case "since", "until":
			return dayTerm(strings.ToLower(key), value, now)
		}
		if place, known := placeOf(strings.ToLower(key)); known {
			value = strings.ToLower(value)
			return func(r *row) bool { return strings.Contains(strings.ToLower(place(r)), value) }, nil
		}
	}
	word = strings.ToLower(word)
	return func(r *row) bool { return strings.Contains(r.text, word) }, nil
}

// placeOf names the places in which a word can be looked for.
func placeOf(key string) (func(*row) string, bool) {
	switch key {
	case "id":
		return func(r *row) string { return r.Shown.ID }, true
	case "name":
		return func(r *row) string { return r.Shown.Name }, true
	case "model":
		return func(r *row) string { return r.Model }, true
	case "outcome":
		return func(r *row) string { return r.Shown.Outcome }, true
	case "arm":
		return func(r *row) string { return r.Arm }, true
	case "plan", "ab":
		return func(r *row) string { return r.PlanID }, true
	case "tag":
		return func(r *row) string { return strings.Join(r.Tags, "\n") }, true
	case "baseline":
		return func(r *row) string {
			if r.Baseline == nil {
				return ""
			}
			return r.Baseline.Name
		}, true
	case "sweep", "cell":
		return func(r *row) string {
			switch {
			case r.Sweep == nil:
				return ""
			case key == "cell":
				return r.Sweep.Cell
			}
			return r.Sweep.ID + "\n" + r.Sweep.Name
		}, true
	}
	return nil, false
}

// limitTerm compares a figure of a run; a run without it is not meant.
func limitTerm(key, limit string) (t term, known bool, err error) {
	above := limit[0] == '>'
	text, orEqual := strings.CutPrefix(limit[1:], "=")
	var value func(*row) (float64, bool)
	seconds := true
	switch strings.ToLower(key) {
	case "ttft":
		value = figureOf("ttft.mean")
	case "tpot":
		value = figureOf("tpot.mean")
	case "output":
		value, seconds = figureOf("output_throughput"), false
	case "took":
		value = func(r *row) (float64, bool) { return r.Took.Seconds(), r.Took > 0 }
	default:
		return nil, false, nil
	}
	bound, err := strconv.ParseFloat(text, 64)
	if seconds {
		d, err := lab.ParseDuration(text)
		if err != nil {
			return nil, true, fmt.Errorf("%s%s: write a time with its unit, such as %s<100ms", key, limit, key)
		}
		bound = time.Duration(d).Seconds()
	} else if err != nil {
		return nil, true, fmt.Errorf("%s%s: write tokens a second as a number, such as %s>1000", key, limit, key)
	}
	return func(r *row) bool {
		v, ok := value(r)
		return ok && (above && v > bound || !above && v < bound || orEqual && v == bound)
	}, true, nil
}

// figureOf finds a figure of the first judged phase that has it.
func figureOf(metric string) func(*row) (float64, bool) {
	return func(r *row) (float64, bool) {
		if r.Profiled { // slowed by what watches it
			return 0, false
		}
		for _, f := range r.Headline {
			if f.Metric == metric {
				return f.Value, true
			}
		}
		return 0, false
	}
}

// dayTerm compares when a run began.
func dayTerm(key, text string, now time.Time) (term, error) {
	at, err := time.ParseInLocation(time.DateOnly, text, now.Location())
	switch {
	case err == nil:
		if key == "until" { // the day itself belongs to it
			at = at.AddDate(0, 0, 1)
		}
	case strings.HasSuffix(text, "d"):
		days, err := strconv.ParseFloat(strings.TrimSuffix(text, "d"), 64)
		if err != nil || days < 0 || days > 1e5 {
			return nil, fmt.Errorf("%s:%s: write a day, such as 2026-11-20, or how long ago, such as 7d or 12h", key, text)
		}
		at = now.Add(-time.Duration(days * 24 * float64(time.Hour)))
	default:
		d, err := lab.ParseDuration(text)
		if err != nil {
			return nil, fmt.Errorf("%s:%s: write a day, such as 2026-11-20, or how long ago, such as 7d or 12h", key, text)
		}
		at = now.Add(-time.Duration(d))
	}
	if key == "since" {
		return func(r *row) bool { return !r.Started.IsZero() && !r.Started.Before(at) }, nil
	}
	return func(r *row) bool { return !r.Started.IsZero() && r.Started.Before(at) }, nil
}
