package tokenizer

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// scanner reads a JSON text from left to right without building anything: a tokenizer.json has half a million strings,
// and a tree of them takes a general decoder seconds.
type scanner struct {
	text string
	pos  int
}

func (s *scanner) fault(want string) error {
	at := "the end"
	if s.pos < len(s.text) {
		at = fmt.Sprintf("byte %d", s.pos)
	}
	return fmt.Errorf("damaged JSON at %s: want %s", at, want)
}

// peek gives the next byte that is no space, 0 at the end.
func (s *scanner) peek() byte {
	for ; s.pos < len(s.text); s.pos++ {
		switch c := s.text[s.pos]; c {
		case ' ', '\n', '\t', '\r':
		default:
			return c
		}
	}
	return 0
}

// take steps over a byte if it is the next.
func (s *scanner) take(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.pos++
	return true
}

// object calls member for each key; member must read the value.
func (s *scanner) object(member func(key string) error) error {
	if !s.take('{') {
		return s.fault("an object")
	}
	if s.take('}') {
		return nil
	}
	for {
		key, err := s.string()
		if err != nil {
			return err
		}
		if !s.take(':') {
			return s.fault("a colon")
		}
		if err := member(key); err != nil {
			return err
		}
		if s.take('}') {
			return nil
		}
		if !s.take(',') {
			return s.fault("a comma or the end of the object")
		}
	}
}

// array calls element before each element; element must read it.
func (s *scanner) array(element func() error) error {
	if !s.take('[') {
		return s.fault("an array")
	}
	if s.take(']') {
		return nil
	}
	for {
		if err := element(); err != nil {
			return err
		}
		if s.take(']') {
			return nil
		}
		if !s.take(',') {
			return s.fault("a comma or the end of the array")
		}
	}
}

// string reads a string; without escapes it is a part of the text, not a copy.
func (s *scanner) string() (string, error) {
	raw, escaped, err := s.quoted()
	if err != nil {
		return "", err
	}
	if !escaped {
		return raw[1 : len(raw)-1], nil
	}
	var text string
	if err := json.Unmarshal([]byte(raw), &text); err != nil {
		s.pos -= len(raw)
		return "", s.fault("a string")
	}
	return text, nil
}

// quoted steps over a string and gives it with its quotes.
func (s *scanner) quoted() (raw string, escaped bool, err error) {
	if s.peek() != '"' {
		return "", false, s.fault("a string")
	}
	start := s.pos
	for i := start + 1; i < len(s.text); i++ {
		switch c := s.text[i]; {
		case c == '"':
			s.pos = i + 1
			return s.text[start:s.pos], escaped, nil
		case c == '\\':
			escaped = true
			i++
		case c < ' ':
			s.pos = i
			return "", false, s.fault("the end of a string")
		}
	}
	s.pos = len(s.text)
	return "", false, s.fault("the end of a string")
}

// integer reads a number that is not negative and has no fraction.
func (s *scanner) integer() (int, error) {
	s.peek()
	digits := len(s.text) - s.pos - len(strings.TrimLeft(s.text[s.pos:], "0123456789"))
	n, err := strconv.Atoi(s.text[s.pos : s.pos+digits])
	if err != nil {
		return 0, s.fault("a whole number")
	}
	s.pos += digits
	return n, nil
}

// raw steps over any value and gives its text. What is inside is checked by whoever decodes it.
func (s *scanner) raw() (string, error) {
	s.peek()
	start, depth := s.pos, 0
	for {
		switch s.peek() {
		case 0:
			return "", s.fault("a value")
		case '"':
			if _, _, err := s.quoted(); err != nil {
				return "", err
			}
		case '{', '[':
			depth++
			s.pos++
		case '}', ']':
			if depth == 0 {
				return "", s.fault("a value")
			}
			depth--
			s.pos++
		case ',', ':':
			if depth == 0 {
				return "", s.fault("a value")
			}
			s.pos++
		default:
			const ends = " \n\t\r,:{}[]\""
			for s.pos++; s.pos < len(s.text) && strings.IndexByte(ends, s.text[s.pos]) < 0; s.pos++ { // a number, true, false, null
			}
		}
		if depth == 0 {
			return s.text[start:s.pos], nil
		}
	}
}
