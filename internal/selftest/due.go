package selftest

import (
	"os"
	"syscall"
	"unsafe"
)

// soonest is the queue whose head is due first; nil: nothing waits.
func (s *server) soonest() *queue {
	first, next := s.first.head(), s.next.head()
	switch {
	case first == nil && next == nil:
		return nil
	case next == nil || first != nil && first.due <= next.due:
		return &s.first
	}
	return &s.next
}

// arm sets the timer to the next token's moment.
func (s *server) arm() error {
	q := s.soonest()
	if q == nil || q.head().due == s.armed {
		return nil
	}
	s.armed = q.head().due
	return setTimer(s.timer, s.armed)
}

// queue is a first-in first-out of answers.
type queue struct {
	all  []*answer
	from int
}

func (q *queue) head() *answer {
	if q.from == len(q.all) {
		return nil
	}
	return q.all[q.from]
}

func (q *queue) push(a *answer) {
	if len(q.all) == cap(q.all) && q.from > len(q.all)/2 {
		q.all, q.from = q.all[:copy(q.all, q.all[q.from:])], 0
	}
	q.all = append(q.all, a)
}

func (q *queue) pop() *answer {
	a := q.all[q.from]
	q.from++
	return a
}

// newTimer opens a timer that a poll can wait for. Unlike a poll's own time limit it is exact to the clock's resolution.
func newTimer() (int, error) {
	const clockMonotonic, nonBlock, closeOnExec = 1, syscall.O_NONBLOCK, syscall.O_CLOEXEC
	fd, _, errno := syscall.Syscall(syscall.SYS_TIMERFD_CREATE, clockMonotonic, nonBlock|closeOnExec, 0)
	if errno != 0 {
		return 0, os.NewSyscallError("timerfd_create", errno)
	}
	return int(fd), nil
}

func setTimer(fd int, at int64) error {
	const absolute = 1
	spec := struct{ interval, value syscall.Timespec }{value: syscall.NsecToTimespec(at)}
	_, _, errno := syscall.Syscall6(syscall.SYS_TIMERFD_SETTIME, uintptr(fd), absolute, uintptr(unsafe.Pointer(&spec)), 0, 0, 0)
	if errno != 0 {
		return os.NewSyscallError("timerfd_settime", errno)
	}
	return nil
}
