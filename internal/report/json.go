package report

import (
	"encoding/json"
	"io"

	"lab/internal/lab"
	"lab/store"
)

// Every document begins with the name and version of its form. Times in records are nanoseconds since the run's epoch;
// figures carry their unit beside them.

func document(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// RunJSON writes one run as a document.
func RunJSON(w io.Writer, s lab.Sealed) error {
	return document(w, struct {
		Schema string `json:"schema"`
		Valid  bool   `json:"valid"`
		lab.Sealed
	}{"lab.run/v1", s.Run.Valid(), s})
}

// VerdictJSON writes the answer to an A/B as a document.
func VerdictJSON(w io.Writer, v lab.Verdict) error {
	return document(w, struct {
		Schema string `json:"schema"`
		lab.Verdict
	}{"lab.verdict/v1", v})
}

// ListJSON writes the runs of the store as a document.
func ListJSON(w io.Writer, entries []store.Entry) error {
	return document(w, struct {
		Schema string        `json:"schema"`
		Runs   []store.Entry `json:"runs"`
	}{"lab.list/v1", entries})
}

// ComparisonJSON writes two single results side by side as a document.
func ComparisonJSON(w io.Writer, a, b string, rows []lab.Row, why string) error {
	return document(w, struct {
		Schema string    `json:"schema"`
		A      string    `json:"a"`
		B      string    `json:"b"`
		Rows   []lab.Row `json:"rows"`
		Why    string    `json:"no_verdict_because"`
	}{"lab.comparison/v1", a, b, rows, why})
}

// PlanJSON writes what an A/B would do as a document.
func PlanJSON(w io.Writer, plan lab.Plan, e Estimate) error {
	return document(w, struct {
		Schema  string   `json:"schema"`
		Plan    lab.Plan `json:"plan"`
		Starts  int      `json:"server_starts"`
		Run     float64  `json:"run_s"`
		Total   float64  `json:"total_s"`
		Basis   string   `json:"time_basis"`
		CV      float64  `json:"run_cv"`
		CVBasis string   `json:"run_cv_basis"`
		MDE     float64  `json:"mde"`
	}{"lab.plan/v1", plan, e.Starts, e.Run.Seconds(), e.Total.Seconds(), e.Basis, e.CV, e.CVBasis, e.MDE})
}
