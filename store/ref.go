package store

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"lab/internal/lab"
)

// RefError is a reference that names no run, A/B or sweep, or more than one.
type RefError struct {
	Ref        string
	What       string   // "run", "A/B", "sweep", "baseline", or several of these
	Candidates []string // of an ambiguous prefix
}

func (e *RefError) Error() string {
	if n := len(e.Candidates); n > 0 {
		const most = 5
		shown := strings.Join(e.Candidates[:min(most, n)], ", ")
		if n > most {
			shown += " …"
		}
		return fmt.Sprintf("%q begins the ids of %d %ss (%s): type more of it", e.Ref, n, e.What, shown)
	}
	where := "`lab list` shows what there is"
	switch e.What {
	case "sweep", "A/B":
		where = "`lab show` of one of its runs names it"
	case "baseline":
		where = "`lab baseline list` shows what there is"
	}
	return fmt.Sprintf("no %s %q in the store; %s", e.What, e.Ref, where)
}

// Resolve finds the one run that a reference means: its id, a unique prefix of it, @last, or @last~N for the Nth before
// the last.
func (db *DB) Resolve(ref string) (string, error) {
	if !strings.HasPrefix(ref, "@") {
		ids, err := db.runIDs()
		if err != nil {
			return "", err
		}
		return resolve(ref, "run", ids)
	}
	entries, err := db.List() // names alone do not order two runs of one second
	if err != nil {
		return "", err
	}
	ids := make([]string, len(entries))
	for i, e := range entries {
		ids[i] = e.ID
	}
	return resolve(ref, "run", ids)
}

// ResolvePlan finds the one A/B that a reference means, as Resolve does for runs.
func (db *DB) ResolvePlan(ref string) (lab.Plan, error) {
	plans, err := db.Plans()
	if err != nil {
		return lab.Plan{}, err
	}
	ids := make([]string, len(plans))
	for i, p := range plans {
		ids[i] = p.ID
	}
	id, err := resolve(ref, "A/B", ids)
	if err != nil {
		return lab.Plan{}, err
	}
	return plans[slices.Index(ids, id)], nil
}

// resolve finds the one of ids, which are in order of time, that ref means.
func resolve(ref, what string, ids []string) (string, error) {
	if back, ok := strings.CutPrefix(ref, "@last"); ok {
		n := uint64(0)
		if number, ok := strings.CutPrefix(back, "~"); ok {
			var err error
			if n, err = strconv.ParseUint(number, 10, 31); err != nil {
				return "", &RefError{Ref: ref, What: what}
			}
		} else if back != "" {
			return "", &RefError{Ref: ref, What: what}
		}
		if n >= uint64(len(ids)) {
			return "", &RefError{Ref: ref, What: what}
		}
		return ids[len(ids)-1-int(n)], nil
	}
	var found []string
	for _, id := range ids {
		if id == ref {
			return id, nil
		}
		if ref != "" && strings.HasPrefix(id, ref) {
			found = append(found, id)
		}
	}
	if len(found) != 1 {
		return "", &RefError{Ref: ref, What: what, Candidates: found}
	}
	return found[0], nil
}

// ResolveRuns finds the runs that references mean; an A/B stands for all its measured runs, a sweep for those that came to
// their end. None comes twice.
func (db *DB) ResolveRuns(refs []string) ([]string, error) {
	var ids []string
	seen := map[string]bool{}
	add := func(id string) {
		if !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	for _, ref := range refs {
		id, err := db.Resolve(ref)
		if err == nil {
			add(id)
			continue
		}
		if !errors.As(err, new(*RefError)) {
			return nil, err
		}
		more, err := db.runsOf(ref, err)
		if err != nil {
			return nil, err
		}
		for _, id := range more {
			add(id)
		}
	}
	return ids, nil
}

// runsOf gives the runs of an A/B or of a sweep; noRun is the error where ref is neither.
func (db *DB) runsOf(ref string, noRun error) (ids []string, err error) {
	if plan, err := db.ResolvePlan(ref); err == nil {
		runs, err := db.PlanRuns(plan.ID)
		for _, s := range runs {
			ids = append(ids, s.Run.ID)
		}
		return ids, err
	} else if !errors.As(err, new(*RefError)) {
		return nil, err
	}
	if sweep, err := db.ResolveSweep(ref); err == nil {
		done, err := db.SweepDone(sweep.ID)
		for _, e := range done {
			ids = append(ids, e.ID)
		}
		return ids, err
	} else if !errors.As(err, new(*RefError)) {
		return nil, err
	}
	return nil, noRun
}
