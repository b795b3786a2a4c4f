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
// waits for ends that at the moment itself. Nobody reads it and the timer does the rest, for in a busy program the
// scheduler looks at its timers before every goroutine, but at the sockets only when none is left to run.
type waiter struct {
	file *os.File // nil: the kernel gives none
	raw  syscall.RawConn
	set  func(fd uintptr) // ring, as a value of its own, so that no wait allocates it
	when time.Time
}

// timerSpec is the kernel's struct itimerspec.
type timerSpec struct{ interval, value syscall.Timespec }

const clockMonotonic = 1 // linux/time.h

func newWaiter() *waiter {
	w := &waiter{}
	fd, _, errno := syscall.Syscall(syscall.SYS_TIMERFD_CREATE, clockMonotonic, syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if errno != 0 {
		return w
	}
	file := os.NewFile(fd, "timerfd") // not blocking, so the runtime's poller waits for it
	raw, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return w
	}
	w.file, w.raw, w.set = file, raw, w.ring
	return w
}

func (w *waiter) close() {
	if w.file != nil {
		w.file.Close()
	}
}

// until is false where ctx ends first.
func (w *waiter) until(ctx context.Context, when time.Time) bool {
	if w.file != nil && time.Now().Before(when) {
		w.when = when
		_ = w.raw.Control(w.set) // where it fails, the timer alone wakes
	}
	return sleepUntil(ctx, when)
}

// ring has the timerfd ring just after the timer is due: before it, epoll would wait for the timer again. Setting it takes
// back that it has rung before. The call cannot block and goes past Go's scheduler, as stamped's does.
func (w *waiter) ring(fd uintptr) {
	const after = 5 * time.Microsecond
	due := timerSpec{value: syscall.NsecToTimespec(max(1, int64(time.Until(w.when)+after)))} // 0 would take it down
	syscall.RawSyscall6(syscall.SYS_TIMERFD_SETTIME, fd, 0, uintptr(unsafe.Pointer(&due)), 0, 0, 0)
}
