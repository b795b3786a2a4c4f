package selftest

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// server is one thread's epoll loop over plain sockets: no goroutine has to be woken between a token's moment and its
// write.
type server struct {
	timing Timing
	clock  monotonic
	frames *frames

	poll, listener, timer, input int
	port                         int
	armed                        int64 // what the timer is set to
	conns                        map[int]*conn
	buf                          [64 << 10]byte

	// All first tokens wait equally long, and so do all others: each queue is in order without sorting.
	first, next queue
	running     int // answers under way
	log         []*Truth
	ended       bool
}

// conn is one connection; it serves one request at a time.
type conn struct {
	fd     int
	in     []byte // of a request that is not complete
	out    []byte // what the socket has not taken yet
	busy   bool
	last   bool // the client wants it closed after the answer
	closed bool
}

// answer is one stream under way.
type answer struct {
	conn   *conn
	tokens int
	truth  *Truth
	due    int64
}

func newServer(timing Timing, input int) (*server, error) {
	s := &server{timing: timing, clock: newMonotonic(), frames: newFrames(timing.Input), input: input, conns: map[int]*conn{}}
	var err error
	if s.poll, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if s.timer, err = newTimer(); err != nil {
		return nil, err
	}
	if s.listener, s.port, err = listen(); err != nil {
		return nil, err
	}
	for _, fd := range []int{s.timer, s.listener, input} {
		if err := s.watch(fd, syscall.EPOLL_CTL_ADD, syscall.EPOLLIN); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// listen opens a port of the loopback with room for a burst of connections.
func listen() (fd, port int, err error) {
	fd, err = syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, 0, os.NewSyscallError("socket", err)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return 0, 0, os.NewSyscallError("bind", err)
	}
	if err := syscall.Listen(fd, 4096); err != nil {
		return 0, 0, os.NewSyscallError("listen", err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		return 0, 0, os.NewSyscallError("getsockname", err)
	}
	return fd, name.(*syscall.SockaddrInet4).Port, nil
}

func (s *server) url() string { return fmt.Sprintf("http://127.0.0.1:%d", s.port) }

func (s *server) close() {
	for fd := range s.conns {
		syscall.Close(fd)
	}
	for _, fd := range []int{s.listener, s.timer, s.poll} {
		syscall.Close(fd)
	}
}

func (s *server) watch(fd, op int, events uint32) error {
	err := syscall.EpollCtl(s.poll, op, fd, &syscall.EpollEvent{Events: events, Fd: int32(fd)})
	return os.NewSyscallError("epoll_ctl", err)
}

// burst is how many tokens are written before the sockets are looked at again: a request that waits to be read is late too.
const burst = 16

// loop serves until the input ends.
func (s *server) loop() error {
	events := make([]syscall.EpollEvent, 128)
	for !s.ended {
		wait := -1
		if s.writeDue() {
			wait = 0
		} else if err := s.arm(); err != nil {
			return err
		}
		n, err := syscall.EpollWait(s.poll, events, wait)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return os.NewSyscallError("epoll_wait", err)
		}
		for _, e := range events[:n] {
			if err := s.event(int(e.Fd), e.Events); err != nil {
				return err
			}
			s.writeDue()
		}
	}
	return nil
}

func (s *server) event(fd int, events uint32) error {
	switch fd {
	case s.input:
		s.ended = true
		return nil
	case s.timer:
		var expired [8]byte
		syscall.Read(fd, expired[:])
		s.armed = 0
		return nil
	case s.listener:
		return s.accept()
	}
	c := s.conns[fd]
	if c == nil {
		return nil // closed by an event before this one
	}
	if events&syscall.EPOLLOUT != 0 {
		s.flush(c)
	}
	if events&^uint32(syscall.EPOLLOUT) != 0 && !c.closed {
		s.read(c)
	}
	return nil
}

func (s *server) accept() error {
	for {
		fd, _, err := syscall.Accept4(s.listener, syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
		switch err {
		case nil:
		case syscall.EINTR, syscall.ECONNABORTED:
			continue
		case syscall.EAGAIN:
			return nil
		default:
			return os.NewSyscallError("accept4", err)
		}
		if err := syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
		if err := s.watch(fd, syscall.EPOLL_CTL_ADD, syscall.EPOLLIN); err != nil {
			return err
		}
		s.conns[fd] = &conn{fd: fd}
	}
}

func (s *server) drop(c *conn) {
	c.closed = true
	delete(s.conns, c.fd)
	syscall.Close(c.fd) // which also takes it out of the poll
}

// read takes what came. A request is answered once all of it is there; that moment is taken before anything is parsed.
func (s *server) read(c *conn) {
	n, err := syscall.Read(c.fd, s.buf[:])
	at := s.clock.now()
	if err == syscall.EAGAIN || err == syscall.EINTR {
		return
	}
	if err != nil || n == 0 || c.busy { // nobody who keeps to HTTP sends while an answer is under way
		s.drop(c)
		return
	}
	text := s.buf[:n]
	if len(c.in) > 0 {
		c.in = append(c.in, text...)
		text = c.in
	}
	r, err := parseRequest(text)
	if errors.Is(err, errIncomplete) {
		if len(c.in) == 0 {
			c.in = append(c.in, text...)
		}
		return
	}
	if err != nil {
		s.reply(c, 400, "text/plain", err.Error()+"\n", true)
		return
	}
	s.serve(c, r, at)
	c.in = c.in[:0]
}

// serve answers one request: a stream is put in the queue, all else is answered at once.
func (s *server) serve(c *conn, r request, at int64) {
	switch {
	case r.method == "POST" && r.path == "/v1/completions" && r.stream:
		t := &Truth{ID: r.id, Received: at, Before: make([]int64, 0, r.tokens), After: make([]int64, 0, r.tokens)}
		s.frames.upTo(r.tokens)
		s.log = append(s.log, t)
		c.busy, c.last = true, r.close
		s.running++
		s.first.push(&answer{conn: c, tokens: r.tokens, truth: t, due: t.Due(0, s.timing)})
	case r.method == "POST" && r.path == "/v1/completions":
		s.reply(c, 200, "application/json", s.frames.whole(r.tokens), r.close)
	case r.method == "GET" && r.path == "/health":
		s.reply(c, 200, "text/plain", "", r.close)
	case r.method == "GET" && r.path == "/version":
		s.reply(c, 200, "application/json", `{"version":"0.0.0+truth"}`, r.close)
	case r.method == "GET" && r.path == "/v1/models":
		s.reply(c, 200, "application/json", `{"object":"list","data":[{"id":"`+truthModel+`","object":"model"}]}`, r.close)
	case r.method == "GET" && r.path == "/metrics":
		s.reply(c, 200, "text/plain; version=0.0.4", fmt.Sprintf("# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running %d\n", s.running), r.close)
	default:
		s.reply(c, 404, "text/plain", "no such page\n", r.close)
	}
}

func (s *server) reply(c *conn, status int, kind, body string, last bool) {
	c.last = last
	s.send(c, plainAnswer(status, kind, body))
	s.settle(c)
}

// send writes, and says whether the socket took all of it; the rest follows when it can.
func (s *server) send(c *conn, text []byte) bool {
	n := 0
	if len(c.out) == 0 {
		var err error
		if n, err = syscall.Write(c.fd, text); err != nil && err != syscall.EAGAIN && err != syscall.EINTR {
			s.drop(c)
			return true
		}
		if n = max(n, 0); n == len(text) {
			return true
		}
		if err := s.watch(c.fd, syscall.EPOLL_CTL_MOD, syscall.EPOLLIN|syscall.EPOLLOUT); err != nil {
			s.drop(c)
			return true
		}
	}
	c.out = append(c.out, text[n:]...)
	return false
}

// flush sends what a full socket had left.
func (s *server) flush(c *conn) {
	rest := c.out
	c.out = nil
	if s.send(c, rest) && !c.closed {
		if err := s.watch(c.fd, syscall.EPOLL_CTL_MOD, syscall.EPOLLIN); err != nil {
			s.drop(c)
			return
		}
		s.settle(c)
	}
}

// settle closes a connection that the client wanted closed, once all is sent.
func (s *server) settle(c *conn) {
	if c.last && !c.busy && !c.closed && len(c.out) == 0 {
		s.drop(c)
	}
}

// writeDue writes the tokens whose moment has come, a burst at most, and says whether more of them wait.
func (s *server) writeDue() bool {
	for range burst {
		q := s.soonest()
		if q == nil || q.head().due > s.clock.now() {
			return false
		}
		s.write(q.pop())
	}
	q := s.soonest()
	return q != nil && q.head().due <= s.clock.now()
}

// write writes one token; the answer's end follows its last.
func (s *server) write(a *answer) {
	c, t := a.conn, a.truth
	if c.closed {
		s.running--
		return
	}
	i := len(t.Before)
	frame := s.frames.token(i, a.tokens)
	t.Before = append(t.Before, s.clock.now())
	if !s.send(c, frame) {
		t.Blocked++
	}
	t.After = append(t.After, s.clock.now())
	if i+1 < a.tokens {
		a.due += int64(s.timing.Gap)
		s.next.push(a)
		return
	}
	s.running--
	if c.busy = false; !c.closed {
		s.send(c, s.frames.end(a.tokens))
		s.settle(c)
	}
}
