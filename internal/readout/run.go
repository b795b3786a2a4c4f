// Package readout asks the records: a run with its figures, what the hardware did beside it, the verdict on an A/B, the
// cells of a sweep, the history of a baseline.
// Everything is computed anew from what is stored; nothing is kept.
package readout

import (
	"lab/internal/correlate"
	"lab/internal/lab"
	"lab/internal/metric"
	"lab/store"
)

// Run reads a run with its numbers. One that was never sealed, because it still goes on or lab was killed, gets those of
// what it has recorded.
func Run(db *store.DB, id string) (lab.Sealed, error) {
	sealed, err := db.Sealed(id)
	if err != nil || len(sealed.Summary.Phases) > 0 {
		return sealed, err
	}
	tables, err := db.Tables(id)
	if err != nil {
		return sealed, err
	}
	sealed.Summary = metric.Summarise(sealed.Run, tables)
	return sealed, nil
}

// Hardware computes what the hardware did beside a run.
func Hardware(db *store.DB, id string) (correlate.Hardware, error) {
	sealed, err := db.Sealed(id)
	if err != nil {
		return correlate.Hardware{}, err
	}
	tables, err := db.Tables(id)
	if err != nil {
		return correlate.Hardware{}, err
	}
	return correlate.Explain(sealed.Run, tables), nil
}
