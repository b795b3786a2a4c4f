package profiling

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
)

// BenchmarkRead reads generated traces from files: MB of JSON a second by the clock and by CPU time, and the most memory that
// was resident. The large ones need 2.2 GB of disk.
func BenchmarkRead(b *testing.B) {
	benchmarks(b, func(name string, written, events int64) error {
		s, err := Read(context.Background(), name)
		if err == nil && (!s.Complete || s.Events != events || s.JSONBytes != written) {
			err = fmt.Errorf("complete %t, %d of %d events, %d of %d bytes", s.Complete, s.Events, events, s.JSONBytes, written)
		}
		return err
	})
}

// BenchmarkStacks makes profiles of the same traces.
func BenchmarkStacks(b *testing.B) {
	benchmarks(b, func(name string, _, _ int64) error {
		s, err := ReadStacks(context.Background(), name)
		if err == nil && s.Damage != "" {
			err = errors.New(s.Damage)
		}
		return err
	})
}

func benchmarks(b *testing.B, read func(name string, written, events int64) error) {
	for _, size := range []int64{314e6, 2147e6} {
		for _, ext := range []string{".json", ".json.gz"} {
			b.Run(fmt.Sprintf("%dMB%s", size/1e6, ext), func(b *testing.B) { benchmark(b, size, ext, read) })
		}
	}
}

func benchmark(b *testing.B, size int64, ext string, read func(name string, written, events int64) error) {
	name := filepath.Join(b.TempDir(), "trace"+ext)
	f, err := os.Create(name)
	if err != nil {
		b.Fatal(err)
	}
	var out io.Writer = f
	if ext == ".json.gz" {
		out, _ = gzip.NewWriterLevel(f, gzip.BestSpeed)
	}
	written, events := generate(out, size)
	if c, ok := out.(*gzip.Writer); ok {
		c.Close()
	}
	f.Close()
	debug.FreeOSMemory()
	os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) // resets the peak; without the right it holds the generator's too
	before := resources(b)
	b.ResetTimer()
	for range b.N {
		if err := read(name, written, events); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	mega := float64(written) * float64(b.N) / 1e6
	b.ReportMetric(mega/b.Elapsed().Seconds(), "MB/s")
	b.ReportMetric(mega/(resources(b)-before).Seconds(), "MB/cpu-s")
	b.ReportMetric(peak(b), "peak-MB")
	b.ReportMetric(0, "ns/op")
}

func resources(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// peak is the most memory that was resident.
func peak(b *testing.B) float64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var kB float64
		if n, _ := fmt.Sscanf(line, "VmHWM: %f kB", &kB); n == 1 {
			return kB * 1024 / 1e6
		}
	}
	b.Fatal("no VmHWM in /proc/self/status")
	return 0
}
