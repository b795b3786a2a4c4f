package report

import (
	"fmt"

	"lab/internal/lab"
)

// answers says how alike the arms answered.
func answers(a lab.Answers) string {
	return fmt.Sprintf("of at least %d requests that two runs share, a run of A and one of B answered %.1f %% differently, two runs of one arm %.1f %% (n = %d and %d runs; %s)",
		a.Requests, 100*a.Between, 100*a.Within, a.RunsA, a.RunsB, probability(a.P))
}
