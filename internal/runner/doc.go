// Package runner knows the order of things: what happens in one run, and in which order the runs of an A/B or a sweep are made.
// It joins the rooms (supervisor, loadgen, gpu, store, metric) by plain values and measures nothing itself.
package runner
