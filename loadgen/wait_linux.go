package loadgen

import (
	"context"
	"os"
	"syscall"
	"time"
	"unsafe"
)

// waiter wakes at a moment to within the kernel's own precision. A timer of Go's runtime comes up to a millisecond late in a
// program that has nothing else to do: it then waits in epoll, which counts in milliseconds. A timerfd among what epoll
// waits for ends that at the moment itself, and takes no thread.
type waiter struct {
	file *os.File
	raw  syscall.RawConn
	set  func(fd uintptr) // arms it for the next wait
	due  timerSpec
	bad  error
	stop func() bool
}

// timerSpec is the kernel's struct itimerspec.
type timerSpec struct{ interval, value syscall.Timespec }

const clockMonotonic = 1 // linux/time.h

// newWaiter makes a waiter whose waits end with ctx. Where the kernel gives none it waits as any timer does.
func newWaiter(ctx context.Context) *waiter {
	w := &waiter{stop: func() bool { return true }}
	fd, _, errno := syscall.Syscall(syscall.SYS_TIMERFD_CREATE, clockMonotonic, syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if errno != 0 {
		return w
	}
	file := os.NewFile(fd, "timerfd") // not blocking, so the runtime's poller waits for it
	raw, err := file.SyscallConn()
	if err != nil || file.SetReadDeadline(time.Time{}) != nil {
		file.Close()
		return w
	}
	w.file, w.raw = file, raw
	w.set = func(fd uintptr) {
		_, _, errno := syscall.Syscall6(syscall.SYS_TIMERFD_SETTIME, fd, 0, uintptr(unsafe.Pointer(&w.due)), 0, 0, 0)
		w.bad = nil
		if errno != 0 {
			w.bad = errno
		}
	}
	w.stop = context.AfterFunc(ctx, func() { file.SetReadDeadline(time.Unix(1, 0)) })
	return w
}

func (w *waiter) close() {
	w.stop()
	if w.file != nil {
		w.file.Close()
	}
}

// until is false where ctx ends first.
func (w *waiter) until(ctx context.Context, when time.Time) bool {
	wait := time.Until(when)
	if wait <= 0 {
		return ctx.Err() == nil
	}
	if w.file == nil {
		return sleepUntil(ctx, when)
	}
	w.due.value = syscall.NsecToTimespec(int64(wait))
	if err := w.raw.Control(w.set); err != nil || w.bad != nil {
		return sleepUntil(ctx, when)
	}
	var expired [8]byte
	if _, err := w.file.Read(expired[:]); err != nil && ctx.Err() == nil {
		return sleepUntil(ctx, when)
	}
	return ctx.Err() == nil
}
