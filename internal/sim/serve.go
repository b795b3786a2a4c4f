package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a server process under way.
type process struct {
	c       *command
	t       traits
	out     io.Writer
	err     io.Writer
	signals chan os.Signal
	lost    bool // a SIGTERM came while the engine started
	loop    *loop
	family  *family
}

// serve plays the life of a server process: imports, port bound, engine started, listening, stopped.
func (c *command) serve(args []string, stdout, stderr io.Writer) int {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(signals)
	signal.Ignore(syscall.SIGXFSZ) // as Python does: a file that may not grow is an error of the write
	p := &process{c: c, t: c.t, out: stdout, err: stderr, signals: signals, loop: newLoop(c.physics, c.faults)}
	p.family = newFamily(c.self, p.loop)
	defer p.family.end()
	if code, ended := p.pause(c.delay/4, false); ended { // Python imports: silent
		return code
	}
	var socket *os.File
	if c.listens {
		var err error
		if socket, err = bind(c.host, c.port); err != nil {
			fmt.Fprintf(stderr, "Traceback (most recent call last):\n    sock.bind(addr)\n%s\n", pythonError(err))
			return 1
		}
		defer socket.Close()
	}
	if code, ended := p.start(); ended {
		return code
	}
	if !c.listens {
		return p.standBy(args)
	}
	return p.run(socket)
}

// pause lets time pass and plays what a signal does meanwhile. While modules are imported it kills at once. While the
// engine starts, newer versions lose the first SIGTERM and end with the second; older ones end with the first.
func (p *process) pause(d time.Duration, engine bool) (code int, ended bool) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			return 0, false
		case <-p.family.died:
			return p.bereaved(), true
		case s := <-p.signals:
			if p.c.faults.ignoreTerm {
				continue
			}
			if engine && p.t.loses && !p.lost {
				p.lost = true
				continue
			}
			return p.die(s.(syscall.Signal), engine), true
		}
	}
}

// bereaved is what happens when the engine's process ends before it is ready. Where the whole group was told to end, a
// new server never learns of it: it neither comes up nor ends.
func (p *process) bereaved() int {
	const together = 100 * time.Millisecond // between the signals of one kill of a group
	if !p.lost {
		select {
		case s := <-p.signals:
			if !p.t.loses {
				return p.die(s.(syscall.Signal), true)
			}
			p.lost = true
		case <-time.After(together):
			return p.startFailed("RuntimeError: the engine's process ended")
		}
	}
	for range p.signals { // nothing but SIGKILL ends it
	}
	return 1
}

// die ends this process by a signal, as an interpreter does that has not caught it.
func (p *process) die(s syscall.Signal, engine bool) int {
	p.family.end()
	if engine { // Python raises KeyboardInterrupt, and the interpreter ends itself by it
		fmt.Fprintln(p.err, "KeyboardInterrupt: terminated")
		s = syscall.SIGINT
	}
	signal.Reset(s)
	if err := syscall.Kill(os.Getpid(), s); err == nil {
		time.Sleep(time.Second)
	}
	return 1
}

// startFailed is how a server ends whose engine did not come up: the cause on stdout, a general error on stderr.
func (p *process) startFailed(cause string) int {
	p.log(p.t.engineLabel, "ERROR", "EngineCore failed to start.")
	p.log(p.t.engineLabel, "ERROR", "%s", cause)
	if p.t.minor < 10 {
		fmt.Fprintln(p.err, "RuntimeError: Engine process failed to start. See stack trace for the root cause.")
	} else {
		fmt.Fprintln(p.err, "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}")
	}
	return 1
}

// run serves until a signal or the engine's death ends it.
func (p *process) run(socket *os.File) int {
	p.loop.lock(func() {
		p.loop.ready = time.Now()
		p.loop.told = func(spec string) { p.log(p.t.engineLabel, "WARNING", "[sim] %s", spec) }
	})
	s, err := newServer(p.c, p.loop)
	if err != nil {
		fmt.Fprintln(p.err, err)
		return 1
	}
	listener, err := listen(socket)
	if err != nil {
		fmt.Fprintln(p.err, err)
		return 1
	}
	stop := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		p.loop.run(stop)
		close(ended)
	}()
	web := &http.Server{Handler: s, IdleTimeout: keepAlive()}
	served := make(chan error, 1)
	go func() { served <- web.Serve(listener) }()
	p.uvicorn("Started server process [" + strconv.Itoa(os.Getpid()) + "]")
	p.uvicorn("Waiting for application startup.")
	p.uvicorn("Application startup complete.")
	code := p.wait(s, web)
	close(stop)
	s.profiler.end() // before the loop, which may be writing
	<-ended
	if err := errors.Join(web.Close(), <-served); err != nil && !errors.Is(err, http.ErrServerClosed) {
		fmt.Fprintln(p.err, err)
	}
	if s.truth != nil {
		if err := s.truth.file.Close(); err != nil {
			fmt.Fprintln(p.err, err)
		}
	}
	return code
}

// keepAlive is uvicorn's idle limit, which vLLM lets the environment set.
func keepAlive() time.Duration {
	if n, err := strconv.Atoi(strings.TrimSpace(os.Getenv("VLLM_HTTP_TIMEOUT_KEEP_ALIVE"))); err == nil && n > 0 {
		return time.Duration(n) * time.Second
	}
	return 5 * time.Second
}

const (
	watchdog  = time.Second            // after which a dead engine is noticed; the real one looks every 5 s
	lastWrite = 500 * time.Millisecond // for the ends of answers to get out
)

// wait returns the exit code when the server has to end. An engine that died ends it with code 0, as in the real one.
func (p *process) wait(s *server, web *http.Server) int {
	for {
		select {
		case <-p.loop.dead:
			p.log(p.t.engineLabel, "ERROR", "EngineCore encountered a fatal error.")
			p.log("APIServer", "ERROR", "Engine core proc %s died unexpectedly, shutting down client.", p.t.engineLabel)
			time.Sleep(watchdog)
			p.uvicorn("Shutting down")
			p.uvicorn("Application shutdown complete.")
			return 0
		case sig := <-p.signals:
			if !p.c.faults.ignoreTerm {
				return p.stop(s, web, sig)
			}
		}
	}
}

// stop ends the server in order.
func (p *process) stop(s *server, web *http.Server, first os.Signal) int {
	if p.t.minor >= 18 {
		p.log("APIServer", "INFO", "[shutdown] API server: shutdown triggered")
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	closed := make(chan error, 1)
	go func() { closed <- web.Shutdown(ctx) }() // refuses new connections at once
	p.uvicorn("Shutting down")
	if p.t.waits {
		p.family.end() // the engine ends at once; streams stall
		p.loop.freeze(true)
		p.uvicorn("Waiting for connections to close. (CTRL+C to force quit)")
	} else {
		if p.t.drains {
			p.idle(s, first, time.After(p.c.drain))
		}
		close(s.abort)
	}
	p.idle(s, first, nil)
	select {
	case <-closed:
	case <-time.After(lastWrite):
		cancel()
		<-closed
	}
	p.uvicorn("Application shutdown complete.")
	return 0
}

// idle waits until no request is open, the limit is over, or a second Ctrl-C forces the end.
func (p *process) idle(s *server, first os.Signal, limit <-chan time.Time) {
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for s.open.Load() > 0 {
		select {
		case <-look.C:
		case <-limit:
			return
		case sig := <-p.signals:
			if sig == syscall.SIGINT && first == syscall.SIGINT {
				return
			}
		}
	}
}

// standBy plays a server on whose port somebody else answers: a process of another session, which nobody here started
// as far as can be seen.
func (p *process) standBy(args []string) int {
	end, err := p.family.adopt(args)
	if err != nil {
		fmt.Fprintln(p.err, err)
		return 1
	}
	defer end.Close()
	<-p.signals
	return 0
}

// pythonError is a system error as Python words it.
func pythonError(err error) string {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return "OSError: " + err.Error()
	}
	text := errno.Error()
	return fmt.Sprintf("OSError: [Errno %d] %s", int(errno), strings.ToUpper(text[:1])+text[1:])
}

// bind takes the port without listening on it, as vLLM does: a used port fails before the engine starts, and connections
// are refused until the server is ready.
func bind(host string, port int) (*os.File, error) {
	ip := net.ParseIP(host).To4()
	switch {
	case host == "localhost":
		ip = net.IPv4(127, 0, 0, 1).To4()
	case ip == nil:
		ip = net.IPv4zero.To4()
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open socket: %w", err)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Port: port, Addr: [4]byte(ip)}); err != nil {
		syscall.Close(fd)
		return nil, fmt.Errorf("bind port %d: %w", port, err)
	}
	return os.NewFile(uintptr(fd), "socket"), nil
}

// listen lets connections in, and takes the socket over: when the listener is closed, they are refused again.
func listen(socket *os.File) (net.Listener, error) {
	defer socket.Close()
	if err := syscall.Listen(int(socket.Fd()), 4096); err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	return net.FileListener(socket)
}
