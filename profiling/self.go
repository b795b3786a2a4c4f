// Package profiling reads and makes profiles: it sums up the traces that torch's profiler writes of vLLM, and it profiles
// lab itself, which has to prove that it was not the bottleneck of what it measured.
package profiling

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"time"

	"github.com/google/pprof/profile"
)

// Self is a profile of this process while it runs: of its CPU, and at the end of its heap.
type Self struct {
	name, heap string
	buf        bytes.Buffer
}

// StartSelf begins a profile of this process. Stop writes that of the CPU to name, and that of the heap beside it.
func StartSelf(name string) (*Self, error) {
	s := &Self{name: name, heap: heapName(name)}
	for _, name := range []string{s.name, s.heap} {
		f, err := os.Create(name) // a path that cannot be written is told before anything is measured
		if err != nil {
			return nil, fmt.Errorf("profile lab: %w", err)
		}
		if err := f.Close(); err != nil {
			return nil, fmt.Errorf("profile lab: %w", err)
		}
	}
	if err := pprof.StartCPUProfile(&s.buf); err != nil {
		return nil, fmt.Errorf("profile lab: %w", err)
	}
	return s, nil
}

// heapName puts .heap before the ending of a file's name.
func heapName(name string) string {
	end := filepath.Ext(name)
	if strings.HasSuffix(name, ".pb.gz") {
		end = ".pb.gz"
	}
	return strings.TrimSuffix(name, end) + ".heap" + end
}

// Usage says where the CPU of this process went, and how much memory it took.
type Usage struct {
	File string
	Heap string        // file of the heap profile: what is in use at the end, and all that was allocated
	Held int64         // bytes of it in use at the end, as the profile samples them
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
	u := sum(p, s.name)
	u.Heap = s.heap
	if u.Held, err = writeHeap(s.heap, comment); err != nil {
		return Usage{}, fmt.Errorf("write lab's own heap profile: %w", err)
	}
	return u, nil
}

// writeHeap writes the heap profile. It answers how many bytes are in use.
func writeHeap(name, comment string) (int64, error) {
	runtime.GC() // the profile is as of the last collection
	var buf bytes.Buffer
	if err := pprof.WriteHeapProfile(&buf); err != nil {
		return 0, err
	}
	p, err := profile.ParseData(buf.Bytes())
	if err != nil {
		return 0, err
	}
	p.Comments = append(p.Comments, comment)
	held := int64(0)
	for _, s := range p.Sample {
		held += s.Value[len(s.Value)-1] // the last type is inuse_space
	}
	return held, write(p, name)
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
