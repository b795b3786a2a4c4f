// Package box knows the machine: its fingerprint for the record, what `lab doctor` finds on it, and the lock that keeps
// two measurements from disturbing each other.
package box
