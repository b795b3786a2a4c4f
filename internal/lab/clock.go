package lab

import (
	"syscall"
	"time"
	"unsafe"
)

// Clock turns moments into offsets from a run's Epoch. Every process that records for the run has its own Clock on the
// same CLOCK_MONOTONIC.
type Clock struct{ base time.Time }

// NewEpoch reads both clocks once.
func NewEpoch() Epoch {
	return Epoch{Wall: time.Now().UTC().Round(0), Monotonic: monotonic()}
}

// Clock anchors this process to the epoch, whichever process read it.
func (e Epoch) Clock() Clock {
	now, mono := time.Now(), monotonic()
	return Clock{base: now.Add(time.Duration(e.Monotonic - mono))}
}

// Now is the present moment as an offset from the epoch.
func (c Clock) Now() time.Duration { return time.Since(c.base) }

// At turns a reading of time.Now into an offset from the epoch.
func (c Clock) At(t time.Time) time.Duration { return t.Sub(c.base) }

// Time is the inverse of At: the local time of an offset, for timers.
func (c Clock) Time(at time.Duration) time.Time { return c.base.Add(at) }

// monotonic reads CLOCK_MONOTONIC, which all processes of one boot share; package time keeps its own reading private.
func monotonic() int64 {
	var now syscall.Timespec
	const clockMonotonic = 1 // linux/time.h
	if _, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clockMonotonic, uintptr(unsafe.Pointer(&now)), 0); errno != 0 {
		panic("read CLOCK_MONOTONIC: " + errno.Error())
	}
	return now.Nano()
}
