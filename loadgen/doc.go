// Package loadgen drives the load: a schedule that is fixed before the run, prompts, the HTTP and SSE client, and a
// record of every request. It also measures its own lateness, so that a run can say when the client was the limit.
package loadgen
