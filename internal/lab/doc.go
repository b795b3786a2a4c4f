// Package lab holds the nouns that the rooms of the program hand to each other: what is asked (Experiment), what was
// recorded (Run, RequestRecord, Sample, Event, LogLine, Summary) and what follows from it (Verdict).
//
// It imports the standard library only and does nothing but describe, validate and do arithmetic on its own fields.
// A type stands here only if two packages name it.
//
// Time: everything in a record is a time.Duration since the run's Epoch on CLOCK_MONOTONIC. The epoch is read before
// anything happens, so every recorded moment is above zero and zero means "absent".
package lab
