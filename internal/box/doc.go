// Package box knows what the machine would do to a measurement: what `lab doctor` finds on it, and the lock that keeps
// two measurements from disturbing each other.
package box
