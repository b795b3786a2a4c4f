// Package profiling reads and makes profiles: it sums up the traces that torch's profiler writes of vLLM, and it profiles
// lab itself, which has to prove that it was not the bottleneck of what it measured.
package profiling

import (
	"bytes"
	"fmt"
	"os"
	"runtime/pprof"
	"slices"
	"strings"
	"time"

	"github.com/google/pprof/profile"
)

// Self is a CPU profile of this process while it runs.
type Self struct {
	name string
	buf  bytes.Buffer
}

// StartSelf begins a CPU profile of this process that Stop writes to name.
func StartSelf(name string) (*Self, error) {
	s := &Self{name: name}
	f, err := os.Create(name) // a path that cannot be written is told before anything is measured
	if err != nil {
		return nil, fmt.Errorf("profile lab: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("profile lab: %w", err)
	}
	if err := pprof.StartCPUProfile(&s.buf); err != nil {
		return nil, fmt.Errorf("profile lab: %w", err)
	}
	return s, nil
}

// Usage says where the CPU of this process went.
type Usage struct {
	File string
	CPU  time.Duration // sum over all samples
	Wall time.Duration
	Top  []Function // by time spent in the function itself, at most five
}

// Function is one function's own share.
type Function struct {
	Name string
	CPU  time.Duration
}

// Stop ends the profile, writes it where `go tool pprof` reads it, and sums it up. comment goes into the file.
func (s *Self) Stop(comment string) (Usage, error) {
	pprof.StopCPUProfile()
	p, err := profile.ParseData(s.buf.Bytes())
	if err != nil {
		return Usage{}, fmt.Errorf("read lab's own profile: %w", err)
	}
	p.Comments = append(p.Comments, comment)
	if err := write(p, s.name); err != nil {
		return Usage{}, fmt.Errorf("write lab's own profile: %w", err)
	}
	return sum(p, s.name), nil
}

func write(p *profile.Profile, name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	if err := p.Write(f); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

func sum(p *profile.Profile, name string) Usage {
	u := Usage{File: name, Wall: time.Duration(p.DurationNanos)}
	own := map[string]time.Duration{}
	for _, s := range p.Sample {
		cpu := time.Duration(s.Value[len(s.Value)-1]) // sample types of a CPU profile: count, then nanoseconds
		u.CPU += cpu
		if len(s.Location) > 0 && len(s.Location[0].Line) > 0 && s.Location[0].Line[0].Function != nil {
			own[s.Location[0].Line[0].Function.Name] += cpu
		}
	}
	for name, cpu := range own {
		u.Top = append(u.Top, Function{name, cpu})
	}
	slices.SortFunc(u.Top, func(a, b Function) int {
		if a.CPU != b.CPU {
			return int(b.CPU - a.CPU)
		}
		return strings.Compare(a.Name, b.Name)
	})
	u.Top = u.Top[:min(5, len(u.Top))]
	return u
}
