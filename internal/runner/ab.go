package runner

import (
	"context"
	"fmt"
	"slices"
	"time"

	"lab/internal/compare"
	"lab/internal/lab"
)

// ServerFailedError is a server under test that did not start, died or hung; the run with the details is stored.
type ServerFailedError struct {
	Run lab.Run
}

func (e *ServerFailedError) Error() string {
	who := "server"
	if e.Run.Arm != "" {
		who = "server of arm " + e.Run.Arm
	}
	return fmt.Sprintf("%s failed (%s): %s", who, e.Run.Failure.Class, e.Run.Failure.Reason)
}

// AB makes the runs of a plan: each arm once unmeasured, so that compile caches fill and both arms meet the same
// machine, then the blocks in the plan's order, a fresh server each, until the plan is judged for good at one of its
// looks. A block with an invalid run is made again. What comes next follows from the stored runs alone, so a plan that
// was broken off goes on where it was. It returns nil when nothing more is to be measured. A server that failed ends it
// with a *ServerFailedError, the user's interrupt with its cause; every run made is stored.
func (l *Lab) AB(ctx context.Context, plan lab.Plan, a, b Ready, maxTime time.Duration) error {
	if err := l.DB.SavePlan(plan); err != nil {
		return fmt.Errorf("save plan: %w", err)
	}
	s := series{lab: l, plan: plan, arms: map[byte]Ready{'A': a, 'B': b}, began: time.Now(), limit: maxTime}
	estimate, err := l.Estimate(plan)
	if err != nil {
		return err
	}
	s.left.guess = estimate.Run
	for first := true; ; first = false {
		runs, err := l.DB.PlanRuns(plan.ID)
		if err != nil {
			return fmt.Errorf("read plan: %w", err)
		}
		step, more := compare.Next(s.plan, runs)
		s.show(runs)
		if !more {
			return nil
		}
		if first && plan.Fresh {
			if err := s.burnIn(ctx, step); err != nil {
				return err
			}
		}
		if s.late() {
			return s.cut(step)
		}
		if err := s.block(ctx, step, len(runs)); err != nil {
			return err
		}
	}
}

// series is an A/B while its runs are made.
type series struct {
	lab     *Lab
	plan    lab.Plan
	arms    map[byte]Ready
	began   time.Time
	limit   time.Duration // 0: none
	longest time.Duration // of the runs so far
	left    timeLeft
	pairs   lab.PlanStatus // as the last finished block left them
}

// show says how far the plan is, between two blocks.
func (s *series) show(runs []lab.Sealed) {
	s.pairs = planStatus(s.plan, runs)
	planned := s.pairs
	s.lab.Status(lab.Status{Plan: &planned})
}

// planStatus is how far a plan is by its stored runs.
func planStatus(plan lab.Plan, runs []lab.Sealed) lab.PlanStatus {
	p := lab.PlanStatus{ID: plan.ID, Name: plan.Name, A: plan.A.Name, B: plan.B.Name, Looks: plan.LookAt()}
	for i, block := range compare.Blocks(plan, runs) {
		pair := lab.PairStatus{Arms: plan.Order[2*i : 2*i+2], Spoilt: block.Spoilt}
		if block.Done {
			pair.State = lab.LegDone
		}
		p.Pairs = append(p.Pairs, pair)
	}
	return p
}

// under is the plan's status while a run of a block is made; block 0: while one is made that belongs to none.
func (s *series) under(block int, arm byte) *lab.PlanStatus {
	p := s.pairs
	p.Pairs = slices.Clone(p.Pairs)
	if block > 0 {
		p.Arm = string(arm)
		p.Pairs[block-1].State = lab.LegNow
	}
	return &p
}

func (s *series) burnIn(ctx context.Context, next compare.Step) error {
	for i, arm := range []byte("AB") {
		at := place{plan: &s.plan, arm: string(arm), burnIn: true,
			step: "burn-in " + string(arm), left: s.left.of(burnIns(s.plan) - i + runsFrom(s.plan, next)), planned: s.under(0, arm)}
		if err := s.lab.one(ctx, s.arms[arm], at); err != nil {
			return err
		}
	}
	return nil
}

// runsFrom counts the measured runs of a plan from a block on.
func runsFrom(plan lab.Plan, step compare.Step) int { return 2 * (plan.Pairs - step.Block + 1) }

// late says whether another block would not end in time: whole blocks only, and decided by time alone, not by what was
// seen.
func (s *series) late() bool {
	return s.limit > 0 && time.Since(s.began)+2*s.longest > s.limit
}

// cut writes down that the time limit ended the plan before a block.
func (s *series) cut(before compare.Step) error {
	s.plan.Cut = max(1, before.Block-1)
	if err := s.lab.DB.SavePlan(s.plan); err != nil {
		return fmt.Errorf("save plan: %w", err)
	}
	return nil
}

// block makes both runs of a block.
func (s *series) block(ctx context.Context, step compare.Step, slot int) error {
	for i, arm := range []byte(step.Arms) {
		at := place{plan: &s.plan, arm: string(arm), block: step.Block, try: step.Try, slot: slot + i,
			step: s.title(step), left: s.left.of(runsFrom(s.plan, step) - i), planned: s.under(step.Block, arm)}
		start := time.Now()
		if err := s.lab.one(ctx, s.arms[arm], at); err != nil {
			return err
		}
		s.longest = max(s.longest, time.Since(start))
		s.left.add(time.Since(start))
	}
	return nil
}

// title says which block is made, without a word on how the arms compare.
func (s *series) title(step compare.Step) string {
	text := fmt.Sprintf("pair %d of %d", step.Block, s.plan.Pairs)
	if len(s.plan.LookAt()) > 1 {
		text = fmt.Sprintf("pair %d of at most %d", step.Block, s.plan.Pairs)
	}
	if step.Try > 0 {
		text += ", once more"
	}
	return text
}

func (l *Lab) one(ctx context.Context, r Ready, at place) error {
	if ctx.Err() != nil { // stopped while the run before was being wound up
		return context.Cause(ctx)
	}
	sealed, err := l.run(ctx, r, at)
	if err != nil {
		return err
	}
	switch sealed.Run.Outcome {
	case lab.Failed:
		return &ServerFailedError{sealed.Run}
	case lab.Interrupted:
		return context.Cause(ctx)
	}
	return nil
}
