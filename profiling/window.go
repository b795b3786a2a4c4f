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
	// lookBack is how much stays in memory of what was used.
	lookBack = 64
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

func newWindow(ctx context.Context, r io.Reader, size int) *window {
	return &window{ctx: ctx, r: r, buf: make([]byte, size)}
}

// rest is what is in memory and not used yet; it holds until the next fill.
func (w *window) rest() []byte { return w.buf[w.pos:w.end] }

// fill reads on. It answers false at the end of the stream, whatever ended it.
func (w *window) fill() bool {
	if w.eof {
		return false
	}
	if from := w.pos - lookBack; from > 0 {
		copy(w.buf, w.buf[from:w.end])
		w.end -= from
		w.pos -= from
	}
	if w.end == len(w.buf) {
		w.buf = append(w.buf, make([]byte, len(w.buf))...)
	}
	if err := w.ctx.Err(); err != nil {
		w.eof, w.err = true, err
		return false
	}
	// A window is filled whole: gzip gives little at a time, and an event that is not all there is read again from its start.
	before := w.end
	for w.end < len(w.buf) && !w.eof {
		n, err := w.r.Read(w.buf[w.end:])
		w.end += n
		if err != nil { // it is kept: later ones only say that nothing comes any more
			w.eof = true
			if !errors.Is(err, io.EOF) {
				w.err = err
			}
		}
	}
	w.read += int64(w.end - before)
	return w.end > before
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
