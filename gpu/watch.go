package gpu

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"syscall"
	"time"

	"lab/internal/lab"
)

// How a sampler that is in trouble is treated: silent for so long means that it is stuck; a new one is started so many
// times. A driver that does not answer for as long hangs: that is said by the sampler, which goes on with the rest.
const (
	silence  = 2 * time.Second
	restarts = 3
)

// Watch runs lab's own sampler as a child process until ctx ends and hands on what it says. A sampler that dies or falls
// silent is an event, not an error: it costs samples only. Watch returns when the child is gone, or has been killed and
// does not go (a driver can hold a process).
func Watch(ctx context.Context, self []string, cfg Config, sample func(lab.Sample), event func(lab.EventKind, string)) error {
	cfg.Began = cfg.Epoch.Clock().Now()
	for try := 0; ; try++ {
		err := watchOne(ctx, self, cfg, sample, event)
		if ctx.Err() != nil {
			return nil
		}
		if err == nil {
			err = errors.New("it ended")
		}
		event(lab.SamplerLost, err.Error())
		if try == restarts {
			return fmt.Errorf("sample hardware: given up after %d starts: %w", try+1, err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
	}
}

// child is the sampler process with its pipes and what it says.
type child struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stderr bytes.Buffer
	lines  chan message // closed when it has said all
}

func startChild(self []string, cfg Config) (*child, error) {
	argv := slices.Concat(self, []string{"sampler"})
	c := &child{cmd: exec.Command(argv[0], argv[1:]...), lines: make(chan message, 1024)}
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C in the terminal is lab's to handle
	c.cmd.Stderr = &c.stderr
	c.cmd.WaitDelay = time.Second
	var err error
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(c.lines)
		decoder := json.NewDecoder(bufio.NewReaderSize(stdout, 64<<10))
		for {
			var m message
			if decoder.Decode(&m) != nil {
				return
			}
			c.lines <- m
		}
	}()
	json.NewEncoder(c.stdin).Encode(cfg) // a child that has gone already tells why when it is waited for
	return c, nil
}

// wait takes the rest of what the child says and gives its end.
func (c *child) wait() <-chan error {
	ended := make(chan error, 1)
	go func() {
		for range c.lines {
		}
		ended <- c.cmd.Wait()
	}()
	return ended
}

// watchOne runs one sampler until ctx ends (nil) or the sampler is lost (why).
func watchOne(ctx context.Context, self []string, cfg Config, sample func(lab.Sample), event func(lab.EventKind, string)) error {
	c, err := startChild(self, cfg)
	if err != nil {
		return fmt.Errorf("start sampler: %w", err)
	}
	err = c.relay(ctx, sample, event)
	c.stdin.Close() // the sampler takes its last readings and ends
	if err != nil || !c.drain(sample) {
		c.cmd.Process.Kill()
	}
	ended := c.wait()
	select {
	case waited := <-ended:
		if err == nil && waited != nil {
			err = fmt.Errorf("%w: %s", waited, bytes.TrimSpace(c.stderr.Bytes()))
		}
		return err
	case <-time.After(silence):
	}
	c.cmd.Process.Kill()
	select {
	case <-ended:
		return err
	case <-time.After(silence): // held by the driver: nothing more can be done, and nobody waits for it
		return errors.New("the sampler hangs in the driver and cannot be killed")
	}
}

// drain hands on what a sampler says after its end was asked for, and says whether it ended in time.
func (c *child) drain(sample func(lab.Sample)) bool {
	limit := time.After(silence)
	for {
		select {
		case m, ok := <-c.lines:
			if !ok {
				return true
			}
			if m.Sample != nil {
				sample(*m.Sample)
			}
		case <-limit:
			return false
		}
	}
}

// relay hands samples on until ctx ends, the sampler ends, or it falls silent.
func (c *child) relay(ctx context.Context, sample func(lab.Sample), event func(lab.EventKind, string)) error {
	quiet := time.NewTimer(silence)
	defer quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-quiet.C:
			return fmt.Errorf("nothing heard for %s: the sampler is stuck", silence)
		case m, ok := <-c.lines:
			if !ok {
				return nil
			}
			quiet.Reset(silence)
			if m.Kind != "" {
				event(m.Kind, m.Detail)
			}
			if m.Sample != nil {
				sample(*m.Sample)
			}
		}
	}
}
