package store

import (
	"fmt"
	"slices"

	"go.etcd.io/bbolt"

	"lab/internal/lab"
)

// SavePlan keeps the plan of an A/B before its first run.
func (db *DB) SavePlan(p lab.Plan) error {
	if err := db.changeCatalog(func(tx *bbolt.Tx) error { return put(tx, "plans", p.ID, p) }); err != nil {
		return fmt.Errorf("save plan %s: %w", p.ID, err)
	}
	return nil
}

// Plans lists the plans, oldest first, those of run files that were copied in from another box too.
func (db *DB) Plans() ([]lab.Plan, error) {
	if _, err := db.List(); err != nil { // mends the catalog
		return nil, err
	}
	var plans []lab.Plan
	err := db.viewCatalog(func(tx *bbolt.Tx) (err error) {
		plans, err = all[lab.Plan](tx, "plans")
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list plans: %w", err)
	}
	slices.SortFunc(plans, func(a, b lab.Plan) int { return byTime(a.ID, b.ID, a.Made, b.Made) })
	return plans, nil
}

// PlanRuns are the measured runs of a plan in the order in which they were made. Its burn-in runs, which have no block,
// are left out.
func (db *DB) PlanRuns(planID string) ([]lab.Sealed, error) {
	entries, err := db.List()
	if err != nil {
		return nil, err
	}
	var runs []lab.Sealed
	for _, e := range entries {
		if e.PlanID != planID || e.Block == 0 {
			continue
		}
		sealed, err := db.Sealed(e.ID)
		if err != nil {
			return nil, fmt.Errorf("read plan %s: %w", planID, err)
		}
		runs = append(runs, sealed)
	}
	return runs, nil
}
