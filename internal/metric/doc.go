// Package metric turns the records of a run into numbers: the catalogue of metrics with their formulas, the summary of
// a run, and what makes a run's numbers wrong or doubtful. docs/metrics.md is the same for people.
package metric
