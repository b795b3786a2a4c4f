package profiling

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"

	"lab/internal/lab"
)

// Room is how much disk a window may need: for each worker the JSON and, beside it, its packed form, which the writer makes
// from it. Measured steps of a large model take up to 8 MB of JSON, with Python stacks ten times that.
func Room(w lab.ProfileWindow, workers int) lab.Bytes {
	const step = 8 << 20
	size := lab.Bytes(step * w.Iterations * workers)
	if w.Stacks {
		size *= 10
	}
	return size + size/10
}

// Folder watches the place where a server's profiler writes.
type Folder struct {
	dir   string
	seen  map[string]mark        // as of the last look
	known map[mark]lab.TraceFile // what was found out about a file that has not changed since
}

// mark is a state of a file.
type mark struct {
	path  string
	size  int64
	wrote time.Time
}

// OpenFolder looks at a folder that belongs to one window alone; it need not be there yet.
func OpenFolder(dir string) *Folder { return &Folder{dir: dir, known: map[mark]lab.TraceFile{}} }

// Look lists the profiler's files and says how much there is and whether anything changed since the last look.
func (f *Folder) Look() (size int64, changed bool, err error) {
	now := map[string]mark{}
	err = filepath.WalkDir(f.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return nil // renamed or removed since it was listed; the next look sees what became of it
		}
		rel, err := filepath.Rel(f.dir, path)
		if err != nil {
			return err
		}
		m := mark{rel, info.Size(), info.ModTime()}
		size += m.size
		changed = changed || f.seen[rel] != m
		now[rel] = m
		return nil
	})
	if err != nil && !os.IsNotExist(err) {
		return 0, false, fmt.Errorf("look for traces: %w", err)
	}
	changed = changed || len(now) != len(f.seen)
	f.seen = now
	return size, changed, nil
}

// Files says of every file what it is and whether it is whole. A file is read again only where it changed.
func (f *Folder) Files(ctx context.Context) ([]lab.TraceFile, error) {
	if _, _, err := f.Look(); err != nil {
		return nil, err
	}
	files := make([]lab.TraceFile, 0, len(f.seen))
	for _, m := range f.seen {
		known, ok := f.known[m]
		if !ok {
			var err error
			if known, err = examine(ctx, f.dir, m.path); err != nil {
				return nil, err
			}
			f.known[m] = known
		}
		files = append(files, known)
	}
	slices.SortFunc(files, func(a, b lab.TraceFile) int { return strings.Compare(a.Path, b.Path) })
	return files, nil
}

// Traces counts whole traces of workers and of the API server.
func Traces(files []lab.TraceFile) (workers, frontends int) {
	for _, f := range files {
		switch {
		case !f.Complete:
		case f.Kind == "worker":
			workers++
		case f.Kind == "frontend":
			frontends++
		}
	}
	return workers, frontends
}

var (
	traceName = regexp.MustCompile(`\.pt\.trace\.json(\.gz)?$`)
	rankName  = regexp.MustCompile(`(?:^|[_-])rank-?([0-9]+)\.`)
)

// nameOf tells from a file's name what wrote it. What is still being written has another ending.
func nameOf(path string) (kind string, rank *int, finished bool) {
	base := filepath.Base(path)
	if m := rankName.FindStringSubmatch(base); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil {
			rank = &n
		}
	}
	switch {
	case strings.HasSuffix(base, ".txt"):
		return "table", rank, true
	case strings.HasPrefix(path, "capture_traces"+string(filepath.Separator)):
		return "capture", rank, traceName.MatchString(base)
	case strings.Contains(base, ".async_llm."):
		return "frontend", nil, traceName.MatchString(base)
	}
	return "worker", rank, traceName.MatchString(base)
}

// examine reads a file to its end: its hash, and whether it is whole. A trace is whole where its checksum holds and its JSON
// closes.
func examine(ctx context.Context, dir, path string) (lab.TraceFile, error) {
	kind, rank, finished := nameOf(path)
	file := lab.TraceFile{Path: path, Kind: kind, Rank: rank}
	f, err := os.Open(filepath.Join(dir, path))
	if err != nil {
		return file, fmt.Errorf("check trace: %w", err)
	}
	defer f.Close()
	hash, size := sha256.New(), &counter{}
	raw := bufio.NewReaderSize(io.TeeReader(f, io.MultiWriter(hash, size)), windowSize)
	if kind == "table" {
		file.Complete = true
	} else {
		file.Damage = damageOf(ctx, raw)
		if file.Damage == "" && !finished {
			file.Damage = "its name is that of a file that is still being written"
		}
		file.Complete = file.Damage == ""
	}
	if _, err := io.Copy(io.Discard, raw); err != nil { // what is behind the damage
		return file, fmt.Errorf("check trace %s: %w", path, err)
	}
	if err := ctx.Err(); err != nil {
		return file, fmt.Errorf("check trace %s: %w", path, err)
	}
	file.Size, file.SHA256 = lab.Bytes(size.n), hex.EncodeToString(hash.Sum(nil))
	return file, nil
}

type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}

// damageOf says why a trace is not whole; empty: it is.
func damageOf(ctx context.Context, raw *bufio.Reader) string {
	magic, _ := raw.Peek(2)
	if len(magic) == 0 {
		return "it is empty"
	}
	var stream io.Reader = raw
	if len(magic) == 2 && magic[0] == 0x1f && magic[1] == 0x8b {
		unpacked, err := gzip.NewReader(raw)
		if err != nil {
			return "its gzip header is damaged: " + err.Error()
		}
		defer unpacked.Close()
		stream = unpacked
	}
	s := newScanner(ctx, stream, windowSize)
	s.run()
	switch {
	case !s.closed:
		return s.damage
	case !s.found:
		return "it is JSON without a traceEvents list"
	}
	return ""
}
