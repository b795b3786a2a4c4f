//go:build amd64 || arm64

package loadgen

import (
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"
)

// stamped reads a TCP socket with recvmsg, which gives beside the bytes the moment at which the kernel took in the last
// segment among them (SO_TIMESTAMPNS). What a read needs is kept here, so that none allocates.
type stamped struct {
	on      bool
	raw     syscall.RawConn
	call    func(fd uintptr) bool
	into    []byte
	n       int
	stamp   int64
	err     error
	row     int // reads since one found nothing
	message syscall.Msghdr
	piece   syscall.Iovec
	control struct { // one control message, as the kernel lays it out
		head syscall.Cmsghdr
		at   syscall.Timespec
	}
}

// start asks for stamps. Where they are refused the connection is read as any other.
func (s *stamped) start(c net.Conn) {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return
	}
	var refused error
	err = raw.Control(func(fd uintptr) {
		refused = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_TIMESTAMPNS, 1)
	})
	s.raw, s.call, s.on = raw, s.try, err == nil && refused == nil
}

// unread is how many bytes the kernel holds for the client; 0 where it does not say.
func (s *stamped) unread() int {
	if s.raw == nil {
		return 0
	}
	var n int32
	err := s.raw.Control(func(fd uintptr) {
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TIOCINQ, uintptr(unsafe.Pointer(&n))); errno != 0 {
			n = 0
		}
	})
	if err != nil { // it was closed just now
		return 0
	}
	return int(n)
}

// receive waits for bytes. The stamp is in nanoseconds of CLOCK_REALTIME; 0: there was none.
func (s *stamped) receive(p []byte) (n int, stamp int64, err error) {
	s.into = p
	err = s.raw.Read(s.call)
	s.into = nil
	switch {
	case err != nil:
		return 0, 0, err
	case s.err != nil:
		return 0, 0, &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("recvmsg", s.err)}
	case s.n == 0:
		return 0, 0, io.EOF
	}
	return s.n, s.stamp, nil
}

// straight is how many reads in a row may go past Go's scheduler: a server that sends without end would keep the others from
// the core, for the watchdog alone takes a core away.
const straight = 64

// try reads once, and is false where nothing is there yet.
func (s *stamped) try(fd uintptr) bool {
	s.control.head = syscall.Cmsghdr{}
	s.piece = syscall.Iovec{Base: unsafe.SliceData(s.into), Len: uint64(len(s.into))}
	for {
		s.message = syscall.Msghdr{Iov: &s.piece, Iovlen: 1, Control: (*byte)(unsafe.Pointer(&s.control)), Controllen: uint64(unsafe.Sizeof(s.control))}
		n, errno := s.recvmsg(fd)
		switch errno {
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			s.row = 0
			return false
		}
		s.n, s.stamp, s.err = n, 0, nil
		if errno != 0 {
			s.n, s.err = 0, errno
			return true
		}
		head := s.control.head
		if s.message.Controllen >= uint64(unsafe.Sizeof(s.control)) && head.Level == syscall.SOL_SOCKET && head.Type == syscall.SCM_TIMESTAMPNS {
			s.stamp = s.control.at.Nano()
		}
		return true
	}
}

// recvmsg calls the kernel past Go's scheduler, which it may because the socket does not block. A call that the scheduler knows
// of wakes the runtime's watchdog, a thread of its own, whenever the program was idle before: at nearly each chunk of a small
// load.
func (s *stamped) recvmsg(fd uintptr) (n int, errno syscall.Errno) {
	var got uintptr
	if s.row++; s.row%straight == 0 {
		got, _, errno = syscall.Syscall(syscall.SYS_RECVMSG, fd, uintptr(unsafe.Pointer(&s.message)), syscall.MSG_DONTWAIT)
	} else {
		got, _, errno = syscall.RawSyscall(syscall.SYS_RECVMSG, fd, uintptr(unsafe.Pointer(&s.message)), syscall.MSG_DONTWAIT)
	}
	return int(got), errno
}
