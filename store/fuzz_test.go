package store

import (
	"math/rand/v2"
	"os"
	"strings"
	"testing"
)

func FuzzTables(f *testing.F) {
	for seed := range uint64(3) {
		b, err := encode(anyTables(rand.New(rand.NewPCG(seed, 1))))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b["requests"], b["chunks"], b["samples"])
	}
	f.Add([]byte("PAR1"), []byte("PAR1\x00\x00\x00\x00PAR1"), []byte{})
	f.Fuzz(func(t *testing.T, requests, chunks, samples []byte) {
		tables, err := batch{"requests": requests, "chunks": chunks, "samples": samples}.decode()
		if err != nil {
			return
		}
		b, err := encode(tables)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.decode(); err != nil {
			t.Error(err)
		}
	})
}

func FuzzReference(f *testing.F) {
	for _, ref := range []string{"", "@last", "@last~1", "@last~18446744073709551615", "@last~-1", "2026", "20261123-140512-k3f9"} {
		f.Add(ref)
	}
	ids := []string{"20261123-140512-k3f9", "20261123-140513-a000", "20261124-140513-a000"}
	f.Fuzz(func(t *testing.T, ref string) {
		id, err := resolve(ref, "run", ids)
		if err == nil && !strings.HasPrefix(id, ref) && !strings.HasPrefix(ref, "@last") {
			t.Errorf("%q is %q", ref, id)
		}
	})
}

func FuzzStartTime(f *testing.F) {
	own, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		f.Fatal(err)
	}
	if parseStartTime(own) != startTime(os.Getpid()) || parseStartTime(own) == "" {
		f.Fatalf("own start time: %q", parseStartTime(own))
	}
	f.Add(own)
	f.Add([]byte("7 (a) Z 1 2) S 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 99 1"))
	f.Add([]byte("7 (gone) Z 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 99 1"))
	f.Fuzz(func(t *testing.T, stat []byte) {
		if got := parseStartTime(stat); strings.ContainsAny(got, " \n") {
			t.Errorf("%q", got)
		}
	})
}

func TestAPidThatIsUsedAgainIsNotTheOwner(t *testing.T) {
	o := self()
	if !o.alive() {
		t.Fatal("this process counts as gone")
	}
	for _, other := range []owner{
		{},
		{PID: o.PID, Start: "1", Boot: o.Boot},
		{PID: o.PID, Start: o.Start, Boot: "another boot"},
	} {
		if other.alive() {
			t.Errorf("%+v counts as alive", other)
		}
	}
	if got := parseStartTime([]byte("7 (a) Z 1 2) S 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 99 1")); got != "99" {
		t.Errorf("start time %q beside a name with a parenthesis", got)
	}
}
