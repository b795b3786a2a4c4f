package selftest

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"lab/internal/lab"
)

// Timing is what the truth server does with every request: the first token comes First after the request was read, each
// further one Gap after the one before, by the clock and not by when the last write happened.
type Timing struct {
	First time.Duration `json:"first"`
	Gap   time.Duration `json:"gap"`
	Input int           `json:"input"` // tokens that it counts for each prompt
}

// Truth is what the server knows of one streamed answer. Moments are nanoseconds of CLOCK_MONOTONIC, which all processes
// of one boot share.
type Truth struct {
	ID       string  `json:"id"`                // X-Request-Id
	Received int64   `json:"received"`          // its head and body were read
	Before   []int64 `json:"before"`            // of each token: the moment before the write call
	After    []int64 `json:"after"`             // and when it was back
	Blocked  int     `json:"blocked,omitempty"` // tokens that the socket did not take at once
}

// Due is when a token was to be written.
func (t Truth) Due(token int, timing Timing) int64 {
	return t.Received + int64(timing.First) + int64(token)*int64(timing.Gap)
}

// TTFT is the time from reading the request to the first token's write.
func (t Truth) TTFT() time.Duration { return time.Duration(t.Before[0] - t.Received) }

// address is the first line that the server prints.
type address struct {
	URL string `json:"url"`
}

// ServeTruth is the life of a truth server: it reads its Timing from in, prints where it listens, answers until in ends, and
// then prints what it knows of every streamed answer, a line each. It is written for one thread that has a core to itself:
// one loop waits for sockets and for the next token, and every frame is built before it is due.
func ServeTruth(in *os.File, out io.Writer) error {
	var timing Timing
	err := json.NewDecoder(in).Decode(&timing)
	if err != nil {
		return fmt.Errorf("read the truth server's timing: %w", err)
	}
	if timing.First <= 0 || timing.Gap <= 0 {
		return errors.New("read the truth server's timing: both times must be above zero")
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	debug.SetGCPercent(-1) // it lives for seconds and keeps nothing but stamps
	s, err := newServer(timing, int(in.Fd()))
	if err != nil {
		return fmt.Errorf("start truth server: %w", err)
	}
	defer s.close()
	w := bufio.NewWriter(out)
	enc := json.NewEncoder(w)
	if err := errors.Join(enc.Encode(address{s.url()}), w.Flush()); err != nil {
		return fmt.Errorf("print the truth server's address: %w", err)
	}
	if err := s.loop(); err != nil {
		return fmt.Errorf("run truth server: %w", err)
	}
	for _, t := range s.log {
		if err := enc.Encode(t); err != nil {
			return fmt.Errorf("print the truth: %w", err)
		}
	}
	return w.Flush()
}

// monotonic reads CLOCK_MONOTONIC by way of the run's clock, which costs no system call.
type monotonic struct {
	epoch lab.Epoch
	clock lab.Clock
}

func newMonotonic() monotonic {
	epoch := lab.NewEpoch()
	return monotonic{epoch, epoch.Clock()}
}

func (m monotonic) now() int64 { return m.epoch.Monotonic + int64(m.clock.Now()) }

// at turns a moment of this process into the shared clock.
func (m monotonic) at(t time.Time) int64 { return m.epoch.Monotonic + int64(m.clock.At(t)) }
