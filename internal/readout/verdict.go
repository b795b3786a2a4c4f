package readout

import (
	"lab/internal/compare"
	"lab/internal/correlate"
	"lab/internal/lab"
	"lab/internal/report"
	"lab/internal/runner"
	"lab/store"
)

// Verdict judges a plan, tests rules on it, and says how the hardware of the arms differs. Before the first look nothing
// of B against A is computed.
func Verdict(db *store.DB, plan lab.Plan, rules []compare.Rule) (report.Gate, error) {
	plan, err := db.ResolvePlan(plan.ID) // a time limit may have cut it since
	if err != nil {
		return report.Gate{}, err
	}
	runs, err := db.PlanRuns(plan.ID)
	if err != nil {
		return report.Gate{}, err
	}
	if plan.Baseline != "" {
		rules = append([]compare.Rule{compare.Harm(plan)}, rules...)
	}
	gate := report.Gate{Verdict: compare.Judge(plan, runs), Rulings: compare.Rules(plan, runs, rules)}
	if c, known := runner.Calibration(db, plan); known {
		if warning, below := c.Floor(gate.Verdict); below {
			gate.Verdict.Warnings = append(gate.Verdict.Warnings, warning)
		}
	}
	if gate.Verdict.Look.Number > 0 {
		arms, err := Arms(db, gate.Verdict)
		if err != nil {
			return gate, err
		}
		gate.Hardware = Between(gate.Verdict, arms)
		if err := addAnswers(db, &gate.Verdict); err != nil {
			return gate, err
		}
	}
	return gate, nil
}

// Arms is the hardware beside each run that the verdict on an A/B rests on, pair by pair.
func Arms(db *store.DB, v lab.Verdict) ([]report.ArmHardware, error) {
	var all []report.ArmHardware
	for _, r := range v.Runs {
		if !r.Judged {
			continue
		}
		h, err := Hardware(db, r.ID)
		if err != nil {
			return nil, err
		}
		all = append(all, report.ArmHardware{Arm: r.Arm, Block: r.Block, Hardware: h})
	}
	return all, nil
}

// Between is how the hardware of the two arms differs from run to run, over the runs that a verdict rests on: before the
// first look, and between looks, nothing new of B against A is told.
func Between(v lab.Verdict, arms []report.ArmHardware) []correlate.Difference {
	judged := map[string]bool{}
	for _, r := range v.Runs {
		judged[r.ID] = r.Judged
	}
	sides := map[string][]correlate.Hardware{}
	for _, r := range arms {
		if judged[r.Run] {
			sides[r.Arm] = append(sides[r.Arm], r.Hardware)
		}
	}
	return correlate.Between(sides["A"], sides["B"])
}

// addAnswers compares what the servers of a verdict's runs answered, and adds it to the verdict. The records are
// read run by run, because many have millions of chunks.
func addAnswers(db *store.DB, v *lab.Verdict) error {
	if !compare.AnswersAlike(v.Plan) {
		return nil
	}
	var said []compare.Said
	for _, r := range v.Runs {
		if !r.Judged {
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
