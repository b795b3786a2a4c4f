package main

import (
	"lab/internal/compare"
	"lab/internal/lab"
	"lab/store"
)

// addAnswers compares what the servers of a verdict's valid runs answered, and adds it to the verdict. The records are
// read run by run, because many have millions of chunks.
func addAnswers(db *store.DB, v *lab.Verdict) error {
	if !compare.AnswersAlike(v.Plan) {
		return nil
	}
	var said []compare.Said
	for _, r := range v.Runs {
		if !r.Valid {
			continue
		}
		sealed, err := db.Sealed(r.ID)
		if err != nil {
			return err
		}
		tables, err := db.Tables(r.ID)
		if err != nil {
			return err
		}
		said = append(said, compare.Answered(sealed.Run, tables.Requests))
	}
	answers, known := compare.Answers(v.Plan, said)
	if !known {
		return nil
	}
	v.Answers = &answers
	if warning, apart := compare.AnswersWarning(answers); apart {
		v.Warnings = append(v.Warnings, warning)
	}
	return nil
}
