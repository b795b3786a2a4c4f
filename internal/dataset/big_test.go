package dataset

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"

	"lab/internal/lab"
)

// spaced counts a token for every four bytes, as real tokenizers do on English.
type spaced struct{ toy }

func (spaced) EncodeSpecial(text string) []int32 { return make([]int32, 1+len(text)/4) }

// BenchmarkShareGPT94000 samples 1 000 prompts from a file of the real one's size: 94 000 conversations, 670 MB.
func BenchmarkShareGPT94000(b *testing.B) {
	file := filepath.Join(b.TempDir(), "sharegpt.json")
	size := writeShareGPT(b, file, 94_000, 670e6)
	l := lab.Load{API: "completions", Seed: 1, Requests: 1000, Dataset: lab.Dataset{Kind: "sharegpt", File: file}}
	debug.FreeOSMemory()
	resetPeak(b)
	for b.Loop() {
		p, err := Open(b.Context(), l, Env{Tokenizer: spaced{}})
		if err != nil || p.Distinct() != 1000 {
			b.Fatal(p, err)
		}
	}
	b.ReportMetric(float64(size)*float64(b.N)/1e6/b.Elapsed().Seconds(), "MB/s")
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/1000-prompts")
	b.ReportMetric(peak(b), "MB-peak-RSS")
}

// writeShareGPT makes a file of conversations of many lengths, with the escapes that real text has.
func writeShareGPT(b *testing.B, name string, conversations int, size float64) int64 {
	f, err := os.Create(name)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	random := rand.New(rand.NewPCG(1, 2))
	const sentence = `The \"quick\" brown fox, caf\u00e9 in hand, jumps over the lazy dog: C:\\temp\\[1]{2},\n`
	text := strings.Repeat(sentence, 4000)
	mean := size / float64(conversations)
	for i := range conversations {
		fmt.Fprintf(w, "%s{\n  \"id\": \"QWJhYvA_%d\",\n  \"conversations\": [", map[bool]string{true: "[", false: ",\n"}[i == 0], i)
		turns := 1 + random.IntN(10)
		for k := range turns {
			whole := int(random.ExpFloat64() * (mean/5.5 - 60) / float64(len(sentence)))
			fmt.Fprintf(w, "%s{\"from\": \"human\", \"value\": \"%s\"}", map[bool]string{true: "", false: ", "}[k == 0], text[:min(whole+1, 4000)*len(sentence)])
		}
		w.WriteString("]}")
	}
	w.WriteString("]")
	if err := w.Flush(); err != nil {
		b.Fatal(err)
	}
	info, err := f.Stat()
	if err != nil {
		b.Fatal(err)
	}
	return info.Size()
}

// resetPeak makes the kernel forget the highest memory so far.
func resetPeak(b *testing.B) {
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		b.Fatal(err)
	}
}

// peak is the highest resident memory of this process since resetPeak, in MB.
func peak(b *testing.B) float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	kilobytes, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		b.Fatal(err)
	}
	return float64(kilobytes) * 1024 / 1e6
}
