package loadgen

import (
	"bytes"
	"errors"
)

// events splits a byte stream into server-sent events as the HTML standard says (section "Server-sent events"): lines end with
// CR, LF or CRLF, a leading byte-order mark is dropped, lines that start with a colon are comments, "data" lines of one
// event are joined by LF, a blank line ends an event, an event without data is none, and what the stream's end leaves
// unfinished is dropped. Other fields are of no use here and ignored.
type events struct {
	line    []byte // the beginning of a line that is not complete yet
	data    []byte // of the event so far, each line followed by LF
	hasData bool
	skipLF  bool // the last byte was CR: an LF now belongs to it
	begun   bool // the byte-order mark can no longer come
}

// maxEvent bounds an event, so that a server that never ends a line cannot fill the memory.
const maxEvent = 64 << 20

var errEventSize = errors.New("an event is larger than 64 MiB")

// reset begins a new stream and keeps the buffers.
func (e *events) reset() { *e = events{line: e.line[:0], data: e.data[:0]} }

// feed takes the next bytes of the stream and calls emit with the data of every event that they complete. The slice
// is good until emit returns.
func (e *events) feed(p []byte, emit func(data []byte)) error {
	for len(p) > 0 {
		if e.skipLF {
			e.skipLF = false
			if p[0] == '\n' {
				p = p[1:]
				continue
			}
		}
		end := lineEnd(p)
		if end < 0 {
			e.line = append(e.line, p...)
			break
		}
		line := p[:end]
		if len(e.line) > 0 {
			e.line = append(e.line, line...)
			line = e.line
		}
		e.skipLF = p[end] == '\r'
		p = p[end+1:]
		e.take(line, emit)
		e.line = e.line[:0]
	}
	if len(e.line)+len(e.data) > maxEvent {
		return errEventSize
	}
	return nil
}

func lineEnd(p []byte) int {
	lf := bytes.IndexByte(p, '\n')
	before := p
	if lf >= 0 {
		before = p[:lf]
	}
	if cr := bytes.IndexByte(before, '\r'); cr >= 0 {
		return cr
	}
	return lf
}

// take handles one complete line.
func (e *events) take(line []byte, emit func([]byte)) {
	if !e.begun {
		e.begun = true
		line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
	}
	if len(line) == 0 {
		if e.hasData {
			emit(e.data[:len(e.data)-1])
		}
		e.data, e.hasData = e.data[:0], false
		return
	}
	name, value, _ := bytes.Cut(line, []byte{':'}) // a comment has an empty name
	if string(name) != "data" {
		return
	}
	value = bytes.TrimPrefix(value, []byte{' '})
	e.data = append(append(e.data, value...), '\n')
	e.hasData = true
}
