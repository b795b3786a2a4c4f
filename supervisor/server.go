package supervisor

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"lab/internal/lab"
)

// Options are what a run gives its server. Log and Event are called from the server's own goroutines, one call at a
// time each, and must not call back into it.
type Options struct {
	Dir      string // scratch directory of this run: the server's temporary files and its log
	StateDir string // where lab notes which servers it runs, for the hunt after a killed lab
	RunID    string
	Clock    lab.Clock
	Log      func(lab.LogLine)           // gets every line of the server's log; may be nil
	Event    func(lab.EventKind, string) // gets what happens to the server; may be nil

	StartTimeout time.Duration // until ready; 0: 10 minutes
	StopTimeout  time.Duration // from the first signal to the kill; 0: 15 s
}

const (
	defaultStartTimeout = 10 * time.Minute
	defaultStopTimeout  = 15 * time.Second
	ownReadyTimeout     = 10 * time.Minute // after which newer versions give up on their engine by themselves
)

// Server is one vllm server process and everything that belongs to it. Whoever starts one must stop it.
type Server struct {
	launch Launch
	o      Options
	cmd    *exec.Cmd
	root   process // the process that was started: leader of its group
	temp   string
	state  string // file that names this server for the orphan hunt
	shm    map[string]bool
	log    *logbook
	api    client

	exited chan struct{} // closed when the root process has ended
	down   chan struct{} // closed when the server ended or its engine died, unasked
	quit   chan struct{} // closed when a stop was asked for
	closed chan struct{} // closed when the log need not be followed any more
	work   sync.WaitGroup

	noting sync.Mutex // held while the state file is written or removed

	mu       sync.Mutex
	exit     Exit
	ready    bool
	stopping bool
	sick     string // what the server itself said when its engine was dead
	isDown   bool
	members  map[int]process // ever seen, by pid

	failOnce sync.Once
	failure  *lab.Failure
	stopOnce sync.Once
	stopped  lab.Stop
}

// Start starts the server in a process group of its own, but in lab's session, and returns at once: a session is a
// scheduling group of its own to the kernel (docs/decisions/002-session.md), and the client would starve beside the server.
//
// The child gets no parent-death signal: Linux ties it to the thread that forked, which the Go runtime may end at any
// time, it would reach the API process only (whose engine then lives on with the GPU), and a SIGTERM is lost while the
// engine starts. What a killed lab leaves is found by Orphans from the state file instead.
func Start(launch Launch, o Options) (*Server, error) {
	if err := PortFree(launch.Port); err != nil {
		return nil, err
	}
	if o.StartTimeout <= 0 {
		o.StartTimeout = defaultStartTimeout
	}
	if o.StopTimeout <= 0 {
		o.StopTimeout = defaultStopTimeout
	}
	s := &Server{
		launch: launch, o: o, shm: listShm(), members: map[int]process{},
		api:    newClient(Access{URL: "http://127.0.0.1:" + strconv.Itoa(launch.Port), APIKey: launch.APIKey}),
		exited: make(chan struct{}), down: make(chan struct{}), quit: make(chan struct{}), closed: make(chan struct{}),
	}
	if err := s.spawn(); err != nil {
		os.RemoveAll(s.temp)
		return nil, fmt.Errorf("start server: %w", err)
	}
	s.event(lab.ServerStart, fmt.Sprintf("pid %d, port %d", s.root.PID, launch.Port))
	s.work.Go(s.wait)
	s.work.Go(func() { s.log.follow(s.closed) })
	return s, nil
}

// The files that the server writes to, in its folder.
const (
	stdoutLog = "server.stdout.log"
	stderrLog = "server.stderr.log"
)

func (s *Server) spawn() error {
	var err error
	if s.temp, err = tempDir(s.o.Dir); err != nil {
		return err
	}
	names := [2]string{filepath.Join(s.o.Dir, stdoutLog), filepath.Join(s.o.Dir, stderrLog)}
	var out [2]*os.File
	for i, name := range names {
		if out[i], err = os.Create(name); err != nil {
			return fmt.Errorf("create server log: %w", err)
		}
		defer out[i].Close()
	}
	if s.log, err = openLog(s.o.Clock, s.o.Log, names[0], names[1]); err != nil {
		return err
	}
	s.cmd = exec.Command(s.launch.Argv[0], s.launch.Argv[1:]...)
	// Real files: with a writer, Wait would not return before the last orphan has closed the pipe.
	s.cmd.Stdout, s.cmd.Stderr = out[0], out[1]
	s.cmd.Env = s.environment()
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C in the terminal is lab's to handle
	s.log.startup.begin(s.o.Clock.Now())
	withdraw, err := s.announce()
	if err != nil {
		s.log.close()
		return err
	}
	defer withdraw()
	if err := s.cmd.Start(); err != nil {
		s.log.close()
		return err
	}
	pid := s.cmd.Process.Pid
	if s.root, err = readProcess(pid); err != nil {
		s.root = process{PID: pid}
	}
	if err := s.note(); err != nil {
		// Without a note a killed lab could not be cleaned up after.
		syscall.Kill(-pid, syscall.SIGKILL)
		s.cmd.Wait()
		s.log.close()
		return err
	}
	return nil
}

// longestTemp bounds the path of the temporary directory: vllm's sockets live there under names of 36 characters and
// more, and a socket's path may have 107.
const longestTemp = 50

// tempDir makes the server's temporary directory. A scratch directory with a long path is left for a short one, and so
// is a long TMPDIR.
func tempDir(dir string) (string, error) {
	temp := filepath.Join(dir, "tmp")
	if len(temp) > longestTemp {
		base := os.TempDir()
		if len(base)+len("/lab-0123456789") > longestTemp {
			base = "/tmp"
		}
		short, err := os.MkdirTemp(base, "lab-")
		if err != nil {
			return "", fmt.Errorf("make temporary directory: %w", err)
		}
		return short, os.MkdirAll(dir, 0o755)
	}
	if err := os.MkdirAll(temp, 0o755); err != nil {
		return "", fmt.Errorf("make temporary directory: %w", err)
	}
	return temp, nil
}

// set is what lab sets for the server, secrets left out.
func (s *Server) set() map[string]string {
	env := map[string]string{"TMPDIR": s.temp}
	// torch keeps its compiled code in the temporary directory; a fresh one per run would make every run compile again.
	if os.Getenv("TORCHINDUCTOR_CACHE_DIR") == "" {
		env["TORCHINDUCTOR_CACHE_DIR"] = filepath.Join(os.TempDir(), "torchinductor_"+userName())
	}
	if s.o.StartTimeout > ownReadyTimeout && atLeast(s.launch.Version, 14, 0) {
		env["VLLM_ENGINE_READY_TIMEOUT_S"] = strconv.Itoa(int(s.o.StartTimeout.Seconds()))
	}
	maps.Copy(env, s.launch.Env)
	return env
}

func userName() string {
	if u, err := user.Current(); err == nil {
		return strings.ReplaceAll(u.Username, "/", "_")
	}
	return strconv.Itoa(os.Getuid())
}

func (s *Server) environment() []string {
	set := s.set()
	env := slices.DeleteFunc(os.Environ(), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		_, replaced := set[name]
		return replaced || slices.Contains(s.launch.Unset, name)
	})
	for name, value := range set {
		env = append(env, name+"="+value)
	}
	if s.launch.APIKey != "" {
		env = append(env, "VLLM_API_KEY="+s.launch.APIKey)
	}
	return env
}

// wait collects the end of the root process.
func (s *Server) wait() {
	s.cmd.Wait() // its error says again what the state says
	s.mu.Lock()
	if status, ok := s.cmd.ProcessState.Sys().(syscall.WaitStatus); ok {
		s.exit = exitOf(status)
	}
	s.mu.Unlock()
	close(s.exited)
	s.event(lab.ServerExit, s.ended().String())
	s.goDown("")
}

// goDown marks the server as lost unless its end was asked for.
func (s *Server) goDown(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping || s.isDown {
		return
	}
	s.isDown, s.sick = true, why
	close(s.down)
}

func (s *Server) event(kind lab.EventKind, detail string) {
	if s.o.Event != nil {
		s.o.Event(kind, detail)
	}
}

func (s *Server) ended() Exit {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.exit
}

// URL is where the server answers.
func (s *Server) URL() string { return s.api.base }

// PID is the root process.
func (s *Server) PID() int { return s.root.PID }

// Group lists the living processes of the server: its group and their descendants.
func (s *Server) Group() []int {
	var pids []int
	for _, p := range s.look() {
		pids = append(pids, p.PID)
	}
	return pids
}

// look reads who belongs to the server now and remembers them.
func (s *Server) look() []process {
	now := family(processes(), s.root.PID, s.root.Start)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range now {
		s.members[p.PID] = p
	}
	return now
}

// Down is closed when the server ended or its engine died without lab having asked for it.
func (s *Server) Down() <-chan struct{} { return s.down }

// dyingTime is how long a server whose engine is dead may take to end: vllm looks every 5 s whether it should.
const dyingTime = 10 * time.Second

// Failure says why the server is down. Call it after Down is closed: it waits a little for the process to end, so
// that its exit and its last words are known, and returns nil if the end was asked for.
func (s *Server) Failure() *lab.Failure {
	select {
	case <-s.down:
	default:
		return nil
	}
	s.failOnce.Do(func() {
		select {
		case <-s.exited:
		case <-s.quit:
		case <-time.After(dyingTime):
		}
		s.log.read()
		s.failure = Classify(s.log.tail(-1), s.ended(), false, s.Phase())
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.sick != "" && s.failure.Class == lab.FailExit {
			// The server said itself that its engine is dead, though its log does not.
			s.failure.Class, s.failure.Reason = lab.FailEngine, "the engine died: "+s.sick
		}
	})
	return s.failure
}

// Phase names the part of the start-up that the server is in, by its log, or "serving".
func (s *Server) Phase() string {
	s.mu.Lock()
	ready := s.ready
	s.mu.Unlock()
	if ready {
		return serving
	}
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	return stages[s.log.startup.now].name
}

// Hung builds the failure of a server that gives no token while requests are in flight. /health does not show that,
// but processes that stand still do.
func (s *Server) Hung(detail string) *lab.Failure {
	s.log.read()
	reason := detail
	for _, p := range s.look() {
		switch p.state {
		case 'T', 't':
			reason += fmt.Sprintf("; %s is stopped by a signal", p)
		case 'D':
			reason += fmt.Sprintf("; %s waits for a device or disk", p)
		}
	}
	s.event(lab.ServerHang, reason)
	return &lab.Failure{
		Class: lab.FailHang, Reason: reason, Quote: lastWords(s.log.tail(quoteLines*4), quoteLines),
		Exit: s.ended().String(), Phase: s.Phase(),
	}
}
