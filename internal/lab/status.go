package lab

import "time"

// Status is what a measurement is doing right now: for the live line, never for a figure. It says nothing of how the
// arms of an A/B compare, so that nobody stops a plan because of what they saw.
type Status struct {
	Run   string        // run ID
	Title string        // "A seqs-4", or the experiment's name
	Step  string        // "burn-in A", "pair 2 of 4", …; empty for a single run
	Stage string        // "starting", "loading weights", "warm-up", "load", "stopping" …
	Phase string        // of the load
	Doing string        // more of the stage, such as how much of a trace is written
	Since time.Duration // since the stage began
	Whole time.Duration // how long the stage will take, 0 = unknown

	Sent, OK, Errors, InFlight, Want int           // requests of the phase; Want 0 = bounded by time
	Tokens                           int           // output tokens so far
	TTFT                             time.Duration // recent median, 0 = none yet
	ITL                              time.Duration
	GPU                              string // one line, empty without a GPU
}
