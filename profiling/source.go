package profiling

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/gzip"
)

// NotTraceError is a file in which there is no trace.
type NotTraceError struct {
	File string
	Why  string
}

func (e *NotTraceError) Error() string {
	return fmt.Sprintf("read trace %s: %s; it takes what torch.profiler writes: *.pt.trace.json or *.pt.trace.json.gz", e.File, e.Why)
}

// Read reads the trace in a file, plain or gzipped whatever it is called, and sums it up. A trace that breaks off gives a
// summary that says so; a file without a trace gives a NotTraceError.
func Read(ctx context.Context, name string) (Summary, error) {
	f, err := openTrace(name)
	if err != nil {
		return Summary{}, err
	}
	defer f.close()
	return summarise(ctx, f.stream, name, f.size)
}

// traceFile is an open trace, unpacked while it is read.
type traceFile struct {
	stream io.Reader
	size   int64 // of the file
	close  func()
}

func openTrace(name string) (*traceFile, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, &NotTraceError{name, plainCause(err)}
	}
	t := &traceFile{close: func() { f.Close() }}
	if err := t.unpack(f, name); err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

func (t *traceFile) unpack(f *os.File, name string) error {
	info, err := f.Stat()
	switch {
	case err != nil:
		return fmt.Errorf("read trace %s: %w", name, err)
	case info.IsDir():
		return &NotTraceError{name, "it is a folder; name one of the files in it"}
	case info.Size() == 0 && info.Mode().IsRegular():
		return &NotTraceError{name, "it is empty; the profiler may still be writing"}
	}
	t.size = info.Size()
	in := bufio.NewReaderSize(f, windowSize)
	t.stream = in
	magic, _ := in.Peek(4)
	switch {
	case len(magic) >= 2 && magic[0] == 0x1f && magic[1] == 0x8b:
		unpacked, err := gzip.NewReader(in)
		if err != nil {
			return &NotTraceError{name, "it begins like a gzip file but is none: " + err.Error()}
		}
		t.stream = unpacked
		t.close = func() { unpacked.Close(); f.Close() }
	case string(magic) == "PK\x03\x04":
		return &NotTraceError{name, "it is a zip archive; unpack it first"}
	}
	return nil
}

// plainCause is what the system says, without the path, which the message has already.
func plainCause(err error) string {
	var at *os.PathError
	if errors.As(err, &at) {
		return at.Err.Error()
	}
	return err.Error()
}

func summarise(ctx context.Context, r io.Reader, name string, size int64) (Summary, error) {
	c := newCollector()
	s := newScanner(ctx, r, windowSize)
	s.event, s.member = c.event, c.member
	s.run()
	if err := ctx.Err(); err != nil {
		return Summary{}, fmt.Errorf("read trace %s: %w", name, err)
	}
	if !s.found {
		return Summary{}, &NotTraceError{name, missing(s)}
	}
	sum := c.summary()
	sum.File, sum.FileBytes, sum.JSONBytes = name, size, s.w.read
	sum.Complete, sum.Damage = s.closed, s.damage
	sum.Events, sum.Resyncs, sum.Unread = s.events, s.resyncs, s.unread
	return sum, nil
}

// missing says what a file is that has no events.
func missing(s *scanner) string {
	switch {
	case s.blank && s.w.err == nil:
		return "there is nothing in it"
	case s.w.err != nil:
		return "no traceEvents list was found " + s.w.cut()
	case s.closed:
		return "it is JSON without a traceEvents list"
	case s.damage == notJSON:
		return "it is no JSON: " + s.damage
	}
	return "no traceEvents list was found: " + s.damage
}
