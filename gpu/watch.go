package gpu

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
	"syscall"
	"time"

	"lab/internal/lab"
)

// How a sampler that is in trouble is treated: silent for so long means that the driver hangs; a new one is started so
// many times.
const (
	silence  = 2 * time.Second
	restarts = 3
)

// Watch runs lab's own sampler as a child process until ctx ends and hands on what it says. A sampler that dies or falls
// silent is an event, not an error: it costs samples only. Watch returns when the child is gone, or has been killed and
// does not go (a driver can hold a process).
func Watch(ctx context.Context, self []string, cfg Config, sample func(lab.Sample), event func(lab.EventKind, string)) error {
	for try := 0; ; try++ {
		err := watchOne(ctx, self, cfg, sample)
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

// child is the sampler process with its pipes.
type child struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout io.ReadCloser
	stderr bytes.Buffer
}

func startChild(self []string, cfg Config) (*child, error) {
	c := &child{cmd: exec.Command(self[0], append(self[1:], "sampler")...)}
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C in the terminal is lab's to handle
	c.cmd.Stderr = &c.stderr
	c.cmd.WaitDelay = time.Second
	var err error
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if c.stdout, err = c.cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	return c, json.NewEncoder(c.stdin).Encode(cfg)
}

func watchOne(ctx context.Context, self []string, cfg Config, sample func(lab.Sample)) error {
	c, err := startChild(self, cfg)
	if err != nil {
		return fmt.Errorf("start sampler: %w", err)
	}
	lines := make(chan message, 1024)
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer close(lines)
		decoder := json.NewDecoder(bufio.NewReaderSize(c.stdout, 64<<10))
		for {
			var m message
			if decoder.Decode(&m) != nil {
				return
			}
			lines <- m
		}
	}()
	err = relay(ctx, lines, sample)
	c.stdin.Close() // the sampler takes its last readings and ends
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for m := range lines {
			if m.Sample != nil && err == nil {
				sample(*m.Sample)
			}
		}
		<-read
		if waited := c.cmd.Wait(); waited != nil && err == nil && ctx.Err() == nil {
			err = fmt.Errorf("%w: %s", waited, bytes.TrimSpace(c.stderr.Bytes()))
		}
	}()
	if err == nil && waitFor(ended, silence) {
		return err
	}
	c.cmd.Process.Kill()
	if !waitFor(ended, silence) { // held by the driver: nothing more can be done, and nobody waits for it
		return errors.New("the sampler hangs in the driver and cannot be killed")
	}
	return err
}

func waitFor(done <-chan struct{}, limit time.Duration) bool {
	select {
	case <-done:
		return true
	case <-time.After(limit):
		return false
	}
}

// relay hands samples on until ctx ends, the sampler ends, or it falls silent.
func relay(ctx context.Context, lines <-chan message, sample func(lab.Sample)) error {
	quiet := time.NewTimer(silence)
	defer quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-quiet.C:
			return fmt.Errorf("no sample for %s: the driver hangs", silence)
		case m, ok := <-lines:
			if !ok {
				return nil
			}
			quiet.Reset(silence)
			if m.Sample != nil {
				sample(*m.Sample)
			}
		}
	}
}

// probeLimit is how long a driver may take to say which GPUs there are.
const probeLimit = 20 * time.Second

// Probe asks for the GPUs in a child process, because a broken driver can end the process that asks. No GPU is no
// error: Found.Note then says why.
func Probe(ctx context.Context, self []string, t lab.Telemetry, simURL string) (Found, error) {
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, self[0], append(self[1:], "sampler", "--probe")...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = time.Second
	cfg, err := json.Marshal(Config{Telemetry: t, SimURL: simURL, NVMLLib: os.Getenv("LAB_NVML_LIB")})
	if err != nil {
		return Found{}, fmt.Errorf("probe GPUs: %w", err)
	}
	var out, errOut bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(cfg), &out, &errOut
	if err := cmd.Run(); err != nil {
		return Found{}, fmt.Errorf("probe GPUs: %w: %s", err, bytes.TrimSpace(errOut.Bytes()))
	}
	var found Found
	if err := json.Unmarshal(out.Bytes(), &found); err != nil {
		return Found{}, fmt.Errorf("probe GPUs: %w", err)
	}
	return found, nil
}
