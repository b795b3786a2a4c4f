package sim

import (
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

// serve plays the life of a server process: arguments parsed, port bound, engine started, listening, stopped.
func (c *command) serve(stdout, stderr io.Writer) int {
	t, err := traitsOf(c.as)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 2
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(signals)
	p := &process{c: c, t: t, out: stdout, signals: signals}
	if code, ended := p.pause(c.delay/4, false); ended { // Python imports: silent
		return code
	}
	socket, err := bind(c.host, c.port)
	if err != nil {
		fmt.Fprintf(stderr, "Traceback (most recent call last):\n    sock.bind(addr)\nOSError: [Errno 98] Address already in use\n")
		return 1
	}
	defer syscall.Close(socket)
	if code, ended := p.start(stderr); ended {
		return code
	}
	return p.run(socket, stderr)
}

// process is a server process under way.
type process struct {
	c       *command
	t       traits
	out     io.Writer
	signals chan os.Signal
	lost    bool // a SIGTERM came while the engine started
}

// log writes a line as vLLM does.
func (p *process) log(who, format string, args ...any) {
	line := "INFO " + time.Now().Format("01-02 15:04:05") + " [sim.py:1] " + fmt.Sprintf(format, args...)
	if p.t.prefix {
		line = fmt.Sprintf("(%s pid=%d) %s", who, os.Getpid(), line)
	}
	fmt.Fprintln(p.out, line)
}

// start is the part between the arguments and the listening socket.
func (p *process) start(stderr io.Writer) (code int, ended bool) {
	c := p.c
	p.log("APIServer", "vLLM server version %s, serving model %s", c.as, c.model)
	p.log("APIServer", "non-default args: %s", c.nonDefault())
	p.log("APIServer", "Using max model len %d", c.maxLen)
	if code, ended := p.pause(c.delay/4, true); ended {
		return code, true
	}
	p.log(p.t.engineLabel, "Initializing a V1 LLM engine (v%s) with config: model='%s'", c.as, c.model)
	if c.faults.exitAtStart != 0 {
		p.log(p.t.engineLabel, "Starting to load model %s...", c.model)
		fmt.Fprintf(p.out, "(%s pid=%d) ERROR %s [core.py:1] EngineCore failed to start.\n", p.t.engineLabel, os.Getpid(), time.Now().Format("01-02 15:04:05"))
		fmt.Fprintf(p.out, "(%s pid=%d) ERROR %s [core.py:1] RuntimeError: told to exit at the start\n", p.t.engineLabel, os.Getpid(), time.Now().Format("01-02 15:04:05"))
		fmt.Fprintln(stderr, "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}")
		return c.faults.exitAtStart, true
	}
	p.log(p.t.engineLabel, "Starting to load model %s...", c.model)
	if code, ended := p.pause(c.delay/4, true); ended {
		return code, true
	}
	p.log(p.t.engineLabel, "Model loading took 1.00 GiB memory and %.2f seconds", (c.delay / 4).Seconds())
	p.log(p.t.engineLabel, "GPU KV cache size: %d tokens", c.physics.KVTokens)
	if code, ended := p.pause(c.delay/4+c.faults.lateStart, true); ended {
		return code, true
	}
	if c.faults.noStart {
		return p.pause(24*time.Hour, true)
	}
	p.log(p.t.engineLabel, "init engine (profile, create kv cache, warmup model) took %.2f seconds", (c.delay / 4).Seconds())
	return 0, false
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
		case s := <-p.signals:
			if p.c.faults.ignoreTerm {
				continue
			}
			if engine && p.t.loses && !p.lost {
				p.lost = true
				continue
			}
			return die(s.(syscall.Signal), engine), true
		}
	}
}

// die ends this process by a signal, as an interpreter does that has not caught it.
func die(s syscall.Signal, engine bool) int {
	if engine {
		s = syscall.SIGINT // Python raises KeyboardInterrupt, and the interpreter ends itself by it
	}
	signal.Reset(s)
	syscall.Kill(os.Getpid(), s)
	time.Sleep(time.Second)
	return 1
}

// bind takes the port without listening on it, as vLLM does: a used port fails before the engine starts, and connections
// are refused until the server is ready.
func bind(host string, port int) (int, error) {
	ip := net.ParseIP(host).To4()
	if ip == nil {
		ip = net.IPv4zero.To4()
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Port: port, Addr: [4]byte(ip)}); err != nil {
		syscall.Close(fd)
		return 0, err
	}
	return fd, nil
}

func listen(fd int) (net.Listener, error) {
	if err := syscall.Listen(fd, 4096); err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "listener")
	defer f.Close() // the listener has a copy of its own
	return net.FileListener(f)
}

// run serves until a signal or a planned crash ends it.
func (p *process) run(socket int, stderr io.Writer) int {
	loop := newLoop(p.c.physics, p.c.faults)
	loop.ready = time.Now()
	s, err := newServer(p.c, p.t, loop)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	if key := os.Getenv("VLLM_API_KEY"); key != "" && p.c.apiKey == "" {
		p.c.apiKey = key
	}
	stop := make(chan struct{})
	go loop.run(stop)
	listener, err := listen(socket)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	p.log("APIServer", "Starting vLLM server on http://%s", net.JoinHostPort(p.c.host, strconv.Itoa(p.c.port)))
	fmt.Fprintln(stderr, "INFO:     Application startup complete.")
	web := &http.Server{Handler: s.handler(), IdleTimeout: keepAlive(), ErrorLog: nil}
	served := make(chan error, 1)
	go func() { served <- web.Serve(listener) }()
	code := p.wait(s, loop, stderr)
	close(stop)
	web.Close()
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		fmt.Fprintln(stderr, err)
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

// wait returns the exit code when the server has to end. An engine that died ends it with code 0, as in the real one.
func (p *process) wait(s *server, l *loop, stderr io.Writer) int {
	for {
		select {
		case <-l.dead:
			fmt.Fprintf(p.out, "(%s pid=%d) ERROR %s [core.py:1] EngineCore encountered a fatal error.\n", p.t.engineLabel, os.Getpid(), time.Now().Format("01-02 15:04:05"))
			fmt.Fprintf(p.out, "(APIServer pid=%d) ERROR %s [core_client.py:1] Engine core proc EngineCore died unexpectedly, shutting down client.\n", os.Getpid(), time.Now().Format("01-02 15:04:05"))
			time.Sleep(time.Second) // the watchdog of the real one polls every 5 s
			return 0
		case <-p.signals:
			if p.c.faults.ignoreTerm {
				continue
			}
			p.log("APIServer", "[shutdown] API server: shutdown triggered")
			if p.t.waits {
				fmt.Fprintln(stderr, "INFO:     Waiting for connections to close. (CTRL+C to force quit)")
			} else {
				close(s.abort)
			}
			s.streams.Wait()
			fmt.Fprintln(stderr, "INFO:     Application shutdown complete.")
			return 0
		}
	}
}
