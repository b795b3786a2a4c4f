// Package selftest proves lab's claims on the machine it runs on: that its verdicts err as rarely as they say, and that
// its client measures as exactly as it says.
package selftest
