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
	ring func(fd uintptr) bool // rung, as a value of its own, so that no wait allocates
	when time.Time
	set  bool
	bad  bool // it could not be set
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
	w.file, w.raw, w.ring = file, raw, w.rung
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
	if !time.Now().Before(when) {
		return ctx.Err() == nil
	}
	if w.file == nil {
		return sleepUntil(ctx, when)
	}
	var err error
	for w.bad = false; err == nil && !w.bad && time.Now().Before(when); { // again where something else woke it
		w.when, w.set = when, false
		err = w.raw.Read(w.ring)
	}
	if (err != nil || w.bad) && ctx.Err() == nil {
		return sleepUntil(ctx, when)
	}
	return ctx.Err() == nil
}

// rung sets the timer when it is called first, and is true when it is called again, which is when something woke it. Setting
// it takes back that it has rung before, so nobody has to read that. The call cannot block and goes past Go's scheduler, as
// stamped's does.
func (w *waiter) rung(fd uintptr) bool {
	if w.set {
		return true
	}
	w.set = true
	due := timerSpec{value: syscall.NsecToTimespec(max(1, int64(time.Until(w.when))))} // 0 would take it down
	_, _, errno := syscall.RawSyscall6(syscall.SYS_TIMERFD_SETTIME, fd, 0, uintptr(unsafe.Pointer(&due)), 0, 0, 0)
	w.bad = errno != 0
	return w.bad
}
