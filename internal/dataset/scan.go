package dataset

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// span is where one element of a JSON list lies in its file.
type span struct {
	offset int64
	size   int
	talk   bool // an object whose "conversations" are a list of two or more
}

// scanList finds the elements of a JSON list without decoding them: a file of hundreds of megabytes is read once, at the
// speed of memory, and only what is sampled is decoded later. Of JSON it checks just what it needs: strings, brackets
// and the list around.
func scanList(r io.Reader) ([]span, error) {
	var s scanner
	buffer := make([]byte, 1<<20)
	for {
		n, err := r.Read(buffer)
		if problem := s.feed(buffer[:n]); problem != nil {
			return nil, problem
		}
		s.base += int64(n)
		if err == io.EOF {
			return s.spans, s.end()
		}
		if err != nil {
			return nil, err
		}
	}
}

type scanner struct {
	base  int64  // offset of the chunk that is fed
	open  []byte // the brackets that are open
	spans []span

	inString bool
	escaped  bool // the next byte of the string is taken as it is
	isKey    bool // a string that begins now is a key of an element
	inKey    bool
	key      []byte // the key so far, as it is written

	start   int64 // of the element that is open; its brackets only, scalars are no entries
	talk    bool
	named   bool // the value that follows is that of "conversations"
	inTalks bool // a comma two levels down separates conversations
	done    bool
}

const (
	inList  = 1 // brackets open between elements
	inEntry = 2 // in an element
	inValue = 3 // in a list or object of an element
)

// longestKey bounds what is kept of a key: "conversations" with every letter escaped is shorter.
const longestKey = 128

func (s *scanner) feed(chunk []byte) error {
	for i := 0; i < len(chunk); {
		if s.inString {
			i = s.text(chunk, i)
			continue
		}
		if err := s.mark(chunk[i], s.base+int64(i)); err != nil {
			return err
		}
		i++
	}
	return nil
}

// text goes through a string up to its closing quote, or to the end of the chunk.
func (s *scanner) text(chunk []byte, i int) (next int) {
	from := i
	if s.escaped {
		s.escaped = false
		i++
	}
	for {
		quote := bytes.IndexByte(chunk[i:], '"')
		end := i + quote
		if quote < 0 {
			end = len(chunk)
		}
		odd := oddBackslashes(chunk[i:end])
		if quote >= 0 && odd { // an escaped quote
			i = end + 1
			continue
		}
		if s.inKey && len(s.key) <= longestKey {
			s.key = append(s.key, chunk[from:end]...)
		}
		if quote < 0 {
			s.escaped = odd
			return end
		}
		s.inString, s.inKey = false, false
		return end + 1
	}
}

// oddBackslashes says whether the byte after the text is escaped. The text begins where nothing is escaped.
func oddBackslashes(text []byte) bool {
	n := len(text) - len(bytes.TrimRight(text, `\`))
	return n%2 == 1
}

// mark takes a byte outside strings.
func (s *scanner) mark(c byte, at int64) error {
	switch c {
	case ' ', '\t', '\n', '\r':
		return nil
	}
	if s.done {
		return fmt.Errorf("byte %d: something follows the list", at)
	}
	if len(s.open) == 0 && c != '[' {
		return fmt.Errorf("byte %d: is not a JSON list: it begins with %q", at, c)
	}
	switch c {
	case '"':
		s.inString = true
		if s.inKey = s.isKey; s.isKey {
			s.key, s.isKey = s.key[:0], false
		}
	case '{', '[':
		return s.down(c, at)
	case '}', ']':
		return s.up(c, at)
	case ',':
		s.isKey = s.entry()
		s.talk = s.talk || s.inTalks && len(s.open) == inValue
	case ':':
		if s.entry() {
			if s.named = isConversations(s.key); s.named {
				s.talk = false // of a key that comes twice, the last one holds
			}
		}
	}
	return nil
}

// entry says whether this is the level of an element's own keys.
func (s *scanner) entry() bool { return len(s.open) == inEntry && s.open[1] == '{' }

func (s *scanner) down(c byte, at int64) error {
	const deepest = 10_000 // as encoding/json
	if len(s.open) == deepest {
		return fmt.Errorf("byte %d: is nested too deeply", at)
	}
	if len(s.open) == inList {
		s.start, s.talk, s.named = at, false, false
	}
	if len(s.open) == inEntry {
		s.inTalks = s.named && c == '['
		s.named = false
	}
	s.open = append(s.open, c)
	s.isKey = s.entry()
	return nil
}

func (s *scanner) up(c byte, at int64) error {
	if s.open[len(s.open)-1] != c-2 { // in ASCII each closing bracket is two after its opening one
		return fmt.Errorf("byte %d: %q closes what %q opened", at, c, s.open[len(s.open)-1])
	}
	s.open = s.open[:len(s.open)-1]
	s.isKey = false
	switch len(s.open) {
	case 0:
		s.done = true
	case inList:
		if c == '}' {
			s.spans = append(s.spans, span{offset: s.start, size: int(at + 1 - s.start), talk: s.talk})
		}
	case inEntry:
		s.inTalks = false
	}
	return nil
}

func (s *scanner) end() error {
	if !s.done {
		return fmt.Errorf("byte %d: ends in the middle of the list: was it copied whole?", s.base)
	}
	return nil
}

func isConversations(key []byte) bool {
	const name = "conversations"
	if bytes.IndexByte(key, '\\') < 0 {
		return string(key) == name
	}
	var plain string
	err := json.Unmarshal(append(append([]byte{'"'}, key...), '"'), &plain)
	return err == nil && plain == name
}
