package profiling

import (
	"bytes"
	"context"
	"io"
)

// notJSON is the damage of a file that is something else.
const notJSON = "its first character is neither { nor ["

// scanner reads a trace in one pass and constant memory: the members of the document, and each event of traceEvents.
// It passes over what is damaged and counts it.
type scanner struct {
	w      *window
	event  func(*event)
	member func(key string, raw []byte) // a member beside traceEvents, before or behind it

	found   bool // there was an array of events
	blank   bool // there was nothing at all
	closed  bool // the document ended as it should
	damage  string
	events  int64
	resyncs int64 // stretches that made no sense; reading went on with the next event
	unread  int64 // entries that are no event: no object, or without phase or name
}

func newScanner(ctx context.Context, r io.Reader, size int) *scanner {
	return &scanner{w: newWindow(ctx, r, size), event: func(*event) {}, member: func(string, []byte) {}}
}

// run reads to the end. What the document has no room for is told by found, closed and damage.
func (s *scanner) run() {
	s.w.fill()
	if bytes.HasPrefix(s.w.rest(), []byte("\xef\xbb\xbf")) {
		s.w.pos += 3
	}
	c, ok := s.w.next()
	switch {
	case !ok:
		s.blank = true
	case c == '[':
		s.w.pos++
		s.found = true
		s.closed = s.array()
	case c == '{':
		s.w.pos++
		s.closed = s.document()
	default:
		s.damage = notJSON
		return
	}
	if !s.closed {
		if s.damage == "" {
			s.damage = s.w.cut()
		}
		return
	}
	s.drain()
}

// drain reads what is behind the document, for a checksum that may follow it.
func (s *scanner) drain() {
	for s.w.pos = s.w.end; s.w.fill(); s.w.pos = s.w.end {
	}
	if s.w.err != nil {
		s.closed, s.damage = false, s.w.cut()
	}
}

// document reads the members behind the first {. It answers whether it found the end.
func (s *scanner) document() bool {
	for {
		c, ok := s.w.next()
		if !ok {
			return false
		}
		if c == ',' {
			s.w.pos++
			continue
		}
		if c == '}' {
			s.w.pos++
			return true
		}
		key, ok := s.key()
		if !ok {
			return false
		}
		if c, ok = s.w.next(); !ok {
			return false
		}
		if key == "traceEvents" && c == '[' {
			s.w.pos++
			s.found = true
			if !s.array() {
				return false
			}
			continue
		}
		raw, ok := s.value()
		if !ok {
			return false
		}
		s.member(key, raw)
		s.w.pos += len(raw)
	}
}

// key reads "key": and leaves the window before the value.
func (s *scanner) key() (string, bool) {
	for {
		b := s.w.rest()
		key, value, next := member(b, 0)
		if next > 0 {
			name := string(key)
			s.w.pos += value
			return name, true
		}
		if next == broken {
			s.damage = "beside its events the document is no JSON"
			return "", false
		}
		if s.w.full() {
			s.damage = "beside its events the document is no JSON"
			return "", false
		}
		if !s.w.fill() {
			return "", false
		}
	}
}

// value finds the value at the start of the window; it stays there.
func (s *scanner) value() ([]byte, bool) {
	for {
		b := s.w.rest()
		end := valueEnd(b, 0)
		if end >= 0 {
			return b[:end], true
		}
		if end == broken {
			s.damage = "beside its events the document is no JSON"
			return nil, false
		}
		if s.w.full() {
			s.damage = "something that is no event takes more than 16 MiB"
			return nil, false
		}
		if !s.w.fill() {
			return nil, false
		}
	}
}

// array reads the events behind a [. It answers whether it found the end.
func (s *scanner) array() bool {
	var e event
	for {
		c, ok := s.w.next()
		switch {
		case !ok:
			return false
		case c == ',':
			s.w.pos++
		case c == ']':
			s.w.pos++
			return true
		case c == '{':
			if !s.entry(&e) {
				return false
			}
		default:
			raw, ok := s.value()
			if ok {
				s.unread++
				s.w.pos += len(raw)
			} else {
				s.damage = ""
				if !s.resync() {
					return false
				}
			}
		}
	}
}

// entry reads the event at the start of the window. Where the window ends before it does, it is read again from its start
// once there is more: no state outlives a fill.
func (s *scanner) entry(e *event) bool {
	for {
		n := e.parse(s.w.rest())
		switch {
		case n > 0:
			if e.phase == 0 || e.name == nil && e.phase != 'f' && e.phase != 's' {
				s.unread++
			} else {
				s.events++
				s.event(e)
			}
			s.w.pos += n
			return true
		case n == broken || s.w.full():
			return s.resync()
		}
		if !s.w.fill() {
			return false
		}
	}
}

// resync looks for the next event behind damage: a { that opens no value of a member and is followed by a key of an event.
func (s *scanner) resync() bool {
	s.resyncs++
	s.w.pos++
	for {
		b := s.w.rest()
		i := 0
		for {
			n := bytes.IndexByte(b[i:], '{')
			if n < 0 {
				i = len(b)
				break
			}
			i += n
			is, known := s.beginsEvent(i)
			if !known {
				break
			}
			if is {
				s.w.pos += i
				return true
			}
			i++
		}
		s.w.pos += i
		if !s.w.fill() {
			if s.w.err == nil {
				s.damage = "no event follows the last damaged stretch"
			}
			return false
		}
	}
}

// beginsEvent looks at the { at b[i] of the window; known is false where more bytes are needed.
func (s *scanner) beginsEvent(i int) (is, known bool) {
	b := s.w.rest()
	after := blanks(b, i+1)
	if len(b)-after < 8 && !s.w.eof {
		return false, false
	}
	before := s.w.buf[max(0, s.w.pos+i-lookBack) : s.w.pos+i]
	if bytes.HasSuffix(bytes.TrimRight(before, " \t\r\n"), []byte(":")) {
		return false, true
	}
	for _, key := range []string{`"ph"`, `"name"`, `"cat"`, `"pid"`, `"ts"`} {
		if bytes.HasPrefix(b[after:], []byte(key)) {
			return true, true
		}
	}
	return false, true
}
