package sim

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
)

// family are the child processes of a server: real ones of the same binary, in the same process group, that hold
// nothing but their place. The first is the engine's: the engine stops when it is stopped and dies when it dies. As
// with vLLM they outlive a server that is killed.
type family struct {
	self []string // how to start this program
	loop *loop
	died chan struct{} // closed when the engine's process has ended by itself

	mu       sync.Mutex
	children []int
	ending   bool
	watchers sync.WaitGroup
}

// The words by which this program knows that it is to play a child.
const (
	playEngine   = "--play-engine-core"
	playLauncher = "--play-launcher"
	playOutsider = "--play-outsider"
)

func newFamily(self []string, l *loop) *family {
	return &family{self: self, loop: l, died: make(chan struct{})}
}

// playChild runs a child's part if the arguments ask for one.
func playChild(self, args []string, stdout, stderr io.Writer) (code int, played bool) {
	switch args[0] {
	case playEngine:
		return beChild(), true
	case playLauncher: // ends at once, so that nobody can see whose child the outsider is
		args[0] = playOutsider
		if _, err := newFamily(self, nil).launch(args, os.Stdin, &syscall.SysProcAttr{Setsid: true}); err != nil {
			fmt.Fprintln(stderr, err)
			return 1, true
		}
		return 0, true
	case playOutsider:
		go func() { // the end of the pipe is the end of who holds it, and of this process
			io.Copy(io.Discard, os.Stdin)
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}()
		return play(self, args[1:], true, stdout, stderr), true
	}
	return 0, false
}

// orphanLife is how long a child stays after its server was killed: long enough to be found, not for ever.
const orphanLife = 5 * time.Minute

// beChild holds the place of an engine process.
func beChild() int {
	if err := os.WriteFile("/proc/self/comm", []byte(os.Getenv(titleVariable)), 0); err != nil {
		return 1
	}
	parent := os.Getppid()
	for end := time.Now().Add(orphanLife); time.Now().Before(end); time.Sleep(time.Second) {
		if os.Getppid() == parent {
			end = time.Now().Add(orphanLife)
		}
	}
	return 0
}

// titleVariable carries a child's name to it.
const titleVariable = "LAB_SIM_TITLE"

// launch starts this program again.
func (f *family) launch(args []string, stdin *os.File, attr *syscall.SysProcAttr, env ...string) (*os.Process, error) {
	argv := append(append([]string{}, f.self...), args...)
	p, err := os.StartProcess("/proc/self/exe", argv, &os.ProcAttr{
		Files: []*os.File{stdin, os.Stdout, os.Stderr}, Env: append(os.Environ(), env...), Sys: attr,
	})
	if err != nil {
		return nil, fmt.Errorf("start child: %w", err)
	}
	return p, nil
}

// start starts n children.
func (f *family) start(n int) error {
	for i := range n {
		title := "VLLM::EngineCore"
		if i > 0 {
			title = "VLLM::Worker"
		}
		p, err := f.launch([]string{playEngine}, nil, nil, titleVariable+"="+title)
		if err != nil {
			return err
		}
		pid := p.Pid
		if err := p.Release(); err != nil { // wait4 below wants to hear of stops too, which os.Process cannot tell
			return fmt.Errorf("start child: %w", err)
		}
		f.mu.Lock()
		f.children = append(f.children, pid)
		f.mu.Unlock()
		f.watchers.Add(1)
		go f.watch(pid)
	}
	return nil
}

func (f *family) pids() []int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.children)
}

// watch follows one child until it has ended.
func (f *family) watch(pid int) {
	defer f.watchers.Done()
	for {
		var status syscall.WaitStatus
		_, err := syscall.Wait4(pid, &status, syscall.WUNTRACED|syscall.WCONTINUED, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err == nil && status.Stopped():
			f.loop.freeze(true)
		case err == nil && status.Continued():
			f.loop.freeze(false)
		default:
			f.gone(pid)
			return
		}
	}
}

// gone enters the end of a child; one that ends by itself takes the engine along.
func (f *family) gone(pid int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.children = slices.DeleteFunc(f.children, func(other int) bool { return other == pid })
	if !f.ending {
		f.ending = true
		close(f.died)
		f.loop.crash()
	}
}

// end kills the children and waits for them.
func (f *family) end() {
	f.mu.Lock()
	f.ending = true
	for _, pid := range f.children {
		syscall.Kill(pid, syscall.SIGKILL) // it is ours until it has been waited for
	}
	f.mu.Unlock()
	f.watchers.Wait()
}

// adopt lets a process of another session serve with the same arguments. It ends when the returned file is closed, if
// only by the end of this process.
func (f *family) adopt(args []string) (io.Closer, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start outsider: %w", err)
	}
	defer r.Close()
	p, err := f.launch(append([]string{playLauncher}, args...), r, nil)
	if err == nil {
		_, err = p.Wait()
	}
	if err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}
