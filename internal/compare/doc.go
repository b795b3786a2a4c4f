// Package compare judges: pure arithmetic on stored run summaries. docs/statistics.md explains what it does and why.
package compare
