package profiling

import (
	"os"
	"path/filepath"
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
	u, err := s.Stop("run 20261125-000000-test")
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p, err := profile.Parse(f)
	if err != nil {
		t.Fatal(err)
	}
	var total int64
	for _, sample := range p.Sample {
		total += sample.Value[1]
	}
	if int64(u.CPU) != total || total == 0 {
		t.Errorf("summed %v, the file holds %d ns", u.CPU, total)
	}
	if len(p.Comments) == 0 || p.Comments[len(p.Comments)-1] != "run 20261125-000000-test" {
		t.Errorf("comments %q", p.Comments)
	}
}

func burn() float64 {
	x := 1.0
	for range 200_000_000 {
		x = x*1.0000001 + 1e-9
	}
	return x
}
