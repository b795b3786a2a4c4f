package selftest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Patience with a child that was told to end.
const endLimit = 10 * time.Second

// truthProcess is a truth server in a process of its own.
type truthProcess struct {
	cmd    *exec.Cmd
	url    string
	stdin  io.WriteCloser
	stdout *bufio.Reader
	stderr bytes.Buffer
}

// startTruth starts a truth server; self is the command of lab's own that plays one.
func startTruth(ctx context.Context, self []string, core int, timing Timing) (*truthProcess, error) {
	p := &truthProcess{cmd: exec.CommandContext(ctx, self[0], self[1:]...)}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C in the terminal is lab's to handle
	p.cmd.Stderr = &p.stderr
	p.cmd.WaitDelay = endLimit
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start truth server: %w", err)
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start truth server: %w", err)
	}
	p.stdout = bufio.NewReaderSize(stdout, 1<<20)
	if err := startOn(core, p.cmd); err != nil {
		return nil, fmt.Errorf("start truth server: %w", err)
	}
	var where address
	err = json.NewEncoder(p.stdin).Encode(timing)
	line, readErr := p.stdout.ReadBytes('\n')
	if err = errors.Join(err, readErr); err == nil {
		err = json.Unmarshal(line, &where)
	}
	if err != nil {
		p.stdin.Close()
		waited := p.cmd.Wait()
		return nil, fmt.Errorf("start truth server: %w", errors.Join(err, waited, errors.New(p.stderr.String())))
	}
	p.url = where.URL
	return p, nil
}

// end stops the server and gives what it knows, by request.
func (p *truthProcess) end() (map[string]Truth, error) {
	p.stdin.Close()
	known := map[string]Truth{}
	var bad error
	for dec := json.NewDecoder(p.stdout); ; {
		var t Truth
		if err := dec.Decode(&t); err == io.EOF {
			break
		} else if err != nil {
			bad = err
			break
		}
		known[t.ID] = t
	}
	if err := p.cmd.Wait(); err != nil {
		bad = errors.Join(bad, err, errors.New(p.stderr.String()))
	}
	if bad != nil {
		return nil, fmt.Errorf("read the truth: %w", bad)
	}
	return known, nil
}

// child is a client process that has ended.
type child struct {
	stdout, stderr []byte
	code           int
	began          int64         // CLOCK_MONOTONIC
	cpu            time.Duration // user and system, of all its processes that it waited for
	resident       int64         // bytes; the peak of its first process; 0: it was gone before it could be read
}

// runClient runs a client to its end on one core.
func runClient(ctx context.Context, core int, argv, env []string, stdin []byte) (child, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = endLimit
	var out, errOut bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &out, &errOut
	cmd.Env = slices.Concat(os.Environ(), env)
	c := child{began: newMonotonic().now()}
	if err := startOn(core, cmd); err != nil {
		return c, fmt.Errorf("start %s: %w", argv[0], err)
	}
	ended, peak := make(chan struct{}), make(chan int64)
	go func() { peak <- watchPeak(cmd.Process.Pid, ended) }()
	err := cmd.Wait()
	close(ended)
	c.resident = <-peak
	c.stdout, c.stderr = out.Bytes(), errOut.Bytes()
	if cause := context.Cause(ctx); cause != nil {
		return c, cause
	}
	if cmd.ProcessState == nil {
		return c, fmt.Errorf("run %s: %w", argv[0], err)
	}
	c.code = cmd.ProcessState.ExitCode()
	c.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return c, nil
}

// failed says what a client said before it ended badly.
func (c child) failed(name string) error {
	text := strings.TrimSpace(string(c.stderr))
	const tail = 2000
	return fmt.Errorf("run %s: it ended with exit code %d: %s", name, c.code, text[max(0, len(text)-tail):])
}

// watchPeak reads the largest resident set of a process until it has ended. The kernel's account at its end would do,
// were it not that it begins with the memory of the process that made it.
func watchPeak(pid int, ended <-chan struct{}) int64 {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	var peak int64
	for {
		peak = max(peak, highWater(pid))
		select {
		case <-ended:
			return peak
		case <-tick.C:
		}
	}
}

func highWater(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	line, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(line), "kB")), 10, 64)
	if err != nil {
		return 0
	}
	return n << 10
}
