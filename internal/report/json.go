package report

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"lab/internal/compare"
	"lab/internal/correlate"
	"lab/internal/lab"
	"lab/store"
)

// Every document begins with the name and version of its form, so that a program can tell what it reads.

func document(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("write document: %w", err)
	}
	return nil
}

// list writes an empty list as [], not as null.
func list[T any](all []T) []T {
	if all == nil {
		return []T{}
	}
	return all
}

// RunJSON writes one run as a document. Its moments are what the records hold: whole nanoseconds since the run's epoch.
func RunJSON(w io.Writer, s lab.Sealed) error { return runDocument(w, s, nil) }

// ShowJSON writes the same document with what the pictures of a run show.
func ShowJSON(w io.Writer, s lab.Sealed, plots Plots) error { return runDocument(w, s, &plots) }

func runDocument(w io.Writer, s lab.Sealed, plots *Plots) error {
	if s.Run.Server.Stop != nil {
		stop := *s.Run.Server.Stop
		stop.Signals = list(stop.Signals)
		s.Run.Server.Stop = &stop
	}
	s.Summary.Figures, s.Summary.Phases = list(s.Summary.Figures), list(s.Summary.Phases)
	return document(w, struct {
		Schema  string `json:"schema"`
		TimesIn string `json:"times_in"`
		Valid   bool   `json:"valid"`
		lab.Sealed
		*Plots
	}{"lab.run/v1", "nanoseconds since run.epoch", s.Run.Valid(), s, plots})
}

// VerdictJSON writes the answer to an A/B as a document, with what became of the rules of a gate.
func VerdictJSON(w io.Writer, g Gate) error {
	v := g.Verdict
	v.Rows, v.Different, v.Runs = list(v.Rows), list(v.Different), list(v.Runs)
	return document(w, struct {
		Schema string `json:"schema"`
		lab.Verdict
		Rulings  []compare.Ruling       `json:"rules,omitempty"`
		Hardware []correlate.Difference `json:"hardware"`
		Profiles *profilesDocument      `json:"profiles,omitempty"`
	}{"lab.verdict/v1", v, g.Rulings, list(g.Hardware), g.Profiles.document()})
}

// entry is a line of the list of runs.
type entry struct {
	ID       string       `json:"id"`
	Name     string       `json:"name"`
	Model    string       `json:"model"`
	Arm      string       `json:"arm,omitempty"`
	Plan     string       `json:"plan,omitempty"`
	Block    int          `json:"block,omitempty"`
	Outcome  lab.Outcome  `json:"outcome"`
	Valid    bool         `json:"valid"`
	Profiled bool         `json:"profiled,omitempty"` // its figures are of a slowed server: there is no headline
	Started  *time.Time   `json:"started,omitempty"`  // RFC 3339, UTC
	Took     *float64     `json:"took_s,omitempty"`   // absent while it lives
	Headline []lab.Figure `json:"headline"`
	Key      string       `json:"key"`
	Tags     []string     `json:"tags,omitempty"`
	Imported bool         `json:"imported,omitempty"`
	Problem  string       `json:"problem,omitempty"`
}

// ListJSON writes the runs of the store as a document.
func ListJSON(w io.Writer, entries []store.Entry) error {
	runs := make([]entry, len(entries))
	for i, e := range entries {
		runs[i] = entry{ID: e.ID, Name: e.Name, Model: e.Model, Arm: e.Arm, Plan: e.PlanID, Block: e.Block,
			Outcome: e.Outcome, Valid: e.Valid, Profiled: e.Profiled, Headline: list(telling(e)), Key: e.Key, Tags: e.Tags, Imported: e.Imported != "", Problem: e.Problem}
		if !e.Started.IsZero() {
			started := e.Started.UTC()
			runs[i].Started = &started
		}
		if e.Took > 0 {
			took := e.Took.Seconds()
			runs[i].Took = &took
		}
	}
	return document(w, struct {
		Schema string  `json:"schema"`
		Runs   []entry `json:"runs"`
	}{"lab.list/v1", runs})
}

// ComparisonJSON writes two single results side by side as a document.
func ComparisonJSON(w io.Writer, a, b string, rows []lab.Row, why string) error {
	return document(w, struct {
		Schema string    `json:"schema"`
		A      string    `json:"a"`
		B      string    `json:"b"`
		Rows   []lab.Row `json:"rows"`
		Why    string    `json:"no_verdict_because"`
	}{"lab.comparison/v1", a, b, list(rows), why})
}

// PlanJSON writes what an A/B would do as a document.
func PlanJSON(w io.Writer, plan lab.Plan, e Estimate) error {
	return document(w, struct {
		Schema  string   `json:"schema"`
		Plan    lab.Plan `json:"plan"`
		Made    int      `json:"pairs_made"` // the costs are of what is left
		Starts  int      `json:"server_starts"`
		Extra   int      `json:"starts_not_measured"` // of server_starts
		Run     float64  `json:"run_s"`
		Total   float64  `json:"total_s"`
		Basis   string   `json:"time_basis"`
		CV      float64  `json:"run_cv"`
		CVBasis string   `json:"run_cv_basis"`
		MDE     float64  `json:"mde"`
	}{"lab.plan/v1", plan, e.Made, e.Starts, e.Extra, e.Run.Seconds(), e.Total.Seconds(), e.Basis, e.CV, e.CVBasis, e.MDE})
}
