package profiling

import (
	"context"
	"errors"
	"fmt"
	"io"
)

const (
	windowSize = 256 << 10 // larger ones fall out of a core's cache
	// maxWindow bounds what one event, or one member beside the events, may take in memory.
	maxWindow = 16 << 20
)

// window is the part of a stream that is in memory.
type window struct {
	ctx  context.Context
	r    io.Reader
	buf  []byte
	pos  int // first byte that is not used yet
	end  int
	eof  bool
	err  error // what ended the stream, where that was not its end
	read int64
}

func newWindow(ctx context.Context, r io.Reader) *window {
	return &window{ctx: ctx, r: r, buf: make([]byte, windowSize)}
}

// rest is what is in memory and not used yet; it holds until the next fill.
func (w *window) rest() []byte { return w.buf[w.pos:w.end] }

// fill reads on. It answers false at the end of the stream, whatever ended it.
func (w *window) fill() bool {
	if w.eof {
		return false
	}
	if w.pos > 0 {
		copy(w.buf, w.buf[w.pos:w.end])
		w.end -= w.pos
		w.pos = 0
	}
	if w.end == len(w.buf) {
		w.buf = append(w.buf, make([]byte, len(w.buf))...)
	}
	for {
		if err := w.ctx.Err(); err != nil {
			w.eof, w.err = true, err
			return false
		}
		n, err := w.r.Read(w.buf[w.end:])
		w.end += n
		w.read += int64(n)
		if err != nil { // the first error is kept: later ones only say that nothing comes any more
			w.eof = true
			if !errors.Is(err, io.EOF) {
				w.err = err
			}
		}
		if n > 0 || w.eof {
			return n > 0
		}
	}
}

// full says that what is in memory may not grow further.
func (w *window) full() bool { return w.end-w.pos >= maxWindow }

// next gives the next byte that is no blank, without using it.
func (w *window) next() (byte, bool) {
	for {
		for w.pos < w.end {
			if c := w.buf[w.pos]; c > ' ' {
				return c, true
			}
			w.pos++
		}
		if !w.fill() {
			return 0, false
		}
	}
}

// cut says why a stream ended before the document did.
func (w *window) cut() string {
	if w.err != nil {
		return fmt.Sprintf("after %d bytes of JSON: %v", w.read, w.err)
	}
	return fmt.Sprintf("the file ends after %d bytes of JSON, in the middle of the document", w.read)
}
