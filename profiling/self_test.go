package profiling

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/google/pprof/profile"
)

func TestLabsOwnProfileIsReadableByPprofAndAddsUp(t *testing.T) {
	name := filepath.Join(t.TempDir(), "self.pb.gz")
	s, err := StartSelf(name)
	if err != nil {
		t.Fatal(err)
	}
	burn()
	held := make([]byte, 16<<20)
	u, err := s.Stop("run 20261125-000000-test")
	if err != nil {
		t.Fatal(err)
	}
	runtime.KeepAlive(held)
	if total := sumOfType(t, name, 1); int64(u.CPU) != total || total == 0 {
		t.Errorf("summed %v, the file holds %d ns", u.CPU, total)
	}
	if u.Heap != filepath.Join(filepath.Dir(name), "self.heap.pb.gz") {
		t.Errorf("the heap is in %s", u.Heap)
	}
	if total := sumOfType(t, u.Heap, 3); u.Held != total || total < 16<<20 {
		t.Errorf("%d bytes in use, the file holds %d", u.Held, total)
	}
}

// sumOfType is the sum of one sample type of a profile of lab.
func sumOfType(t *testing.T, name string, kind int) int64 {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p, err := profile.Parse(f)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Comments) == 0 || p.Comments[len(p.Comments)-1] != "run 20261125-000000-test" {
		t.Errorf("comments %q", p.Comments)
	}
	total := int64(0)
	for _, sample := range p.Sample {
		total += sample.Value[kind]
	}
	return total
}

func burn() float64 {
	x := 1.0
	for range 200_000_000 {
		x = x*1.0000001 + 1e-9
	}
	return x
}
