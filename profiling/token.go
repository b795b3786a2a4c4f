package profiling

import (
	"bytes"
	"encoding/json"
)

// Positions below are indexes into a slice that ends where the window does. An index of `more` asks for more bytes, one of
// `broken` says that no reading makes sense of them.
const (
	more   = -1
	broken = -2
)

// What a byte does outside strings.
const (
	plain   = iota
	quote   // begins a string
	open    // { [
	shut    // } ]
	between // , and blanks: ends a bare value
)

var classes = [256]byte{'"': quote, '{': open, '[': open, '}': shut, ']': shut, ',': between, ' ': between, '\n': between, '\r': between, '\t': between}

func blanks(b []byte, i int) int {
	for i < len(b) && b[i] <= ' ' {
		i++
	}
	return i
}

// stringEnd finds the end of the string whose first byte within the quotes is b[i]. Control bytes and invalid UTF-8 pass.
func stringEnd(b []byte, i int) int {
	from := i
	for {
		n := bytes.IndexByte(b[i:], '"')
		if n < 0 {
			return more
		}
		i += n
		slashes := 0
		for k := i - 1; k >= from && b[k] == '\\'; k-- {
			slashes++
		}
		i++
		if slashes%2 == 0 {
			return i
		}
	}
}

// valueEnd finds the end of the value that begins at b[i]. Bare words pass, as old files have NaN and inf.
func valueEnd(b []byte, i int) int {
	if i >= len(b) {
		return more
	}
	switch classes[b[i]] {
	case quote:
		return stringEnd(b, i+1)
	case open:
		return nestedEnd(b, i)
	case shut, between:
		return broken
	}
	start := i
	for i < len(b) && classes[b[i]] == plain && b[i] != ':' && b[i] > ' ' {
		i++
	}
	if i == len(b) {
		return more
	}
	if i == start || classes[b[i]] == quote || b[i] == ':' {
		return broken
	}
	return i
}

// nestedEnd finds the end of an object or array. Only strings and depth matter.
func nestedEnd(b []byte, i int) int {
	depth := 0
	for i < len(b) {
		switch classes[b[i]] {
		case open:
			depth++
		case shut:
			depth--
			if depth == 0 {
				return i + 1
			}
		case quote:
			if i = shortStringEnd(b, i+1); i < 0 {
				return i
			}
			continue
		}
		i++
	}
	return more
}

// shortStringEnd is stringEnd for keys, which are too short to be worth a search.
func shortStringEnd(b []byte, i int) int {
	for i < len(b) {
		switch b[i] {
		case '"':
			return i + 1
		case '\\':
			i++
		}
		i++
	}
	return more
}

// text is the content of a string value, escapes undone, bytes that are no UTF-8 kept.
func text(raw []byte) string {
	raw = unquoted(raw)
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw)
	}
	var s string
	if err := json.Unmarshal(append(append([]byte{'"'}, raw...), '"'), &s); err != nil {
		return string(raw)
	}
	return s
}

// spelled is text for what stands between the quotes.
func spelled(inner []byte) string {
	return text(append(append(make([]byte, 0, len(inner)+2), '"'), append(inner[:len(inner):len(inner)], '"')...))
}

// unquoted strips the quotes of a string value.
func unquoted(raw []byte) []byte {
	if len(raw) >= 2 && raw[0] == '"' {
		return raw[1 : len(raw)-1]
	}
	return raw
}

// decimal reads a decimal number, quoted or not, times ten to the power of shift, as a whole number: what is below one is
// cut off. It never goes through a float, which would lose nanoseconds.
func decimal(raw []byte, shift int) (int64, bool) {
	raw = unquoted(raw)
	negative := len(raw) > 0 && raw[0] == '-'
	if negative {
		raw = raw[1:]
	}
	var v uint64
	i, digits, fraction := 0, 0, false
	for ; i < len(raw); i++ {
		c := raw[i]
		if c == '.' && !fraction {
			fraction = true
			continue
		}
		if c < '0' || c > '9' {
			break
		}
		digits++
		switch kept := v <= (1<<63-10)/10; {
		case kept:
			v = v*10 + uint64(c-'0')
			if fraction {
				shift--
			}
		case !fraction: // a digit that no longer fits is below any that the result can hold
			shift++
		}
	}
	if digits == 0 {
		return 0, false
	}
	if i < len(raw) {
		e, ok := exponent(raw[i:])
		if !ok {
			return 0, false
		}
		shift += e
	}
	return scaled(v, shift, negative)
}

// exponent reads e+5; a huge one is as good as any other.
func exponent(raw []byte) (int, bool) {
	if len(raw) < 2 || raw[0]|0x20 != 'e' {
		return 0, false
	}
	raw = raw[1:]
	sign := 1
	if raw[0] == '-' || raw[0] == '+' {
		if raw[0] == '-' {
			sign = -1
		}
		raw = raw[1:]
	}
	e := 0
	for _, c := range raw {
		if c < '0' || c > '9' {
			return 0, false
		}
		e = min(e*10+int(c-'0'), 1<<40)
	}
	return sign * e, len(raw) > 0
}

func scaled(v uint64, shift int, negative bool) (int64, bool) {
	for ; shift < 0 && v > 0; shift++ {
		v /= 10
	}
	for ; shift > 0 && v > 0; shift-- {
		if v > (1<<63-1)/10 {
			return 0, false
		}
		v *= 10
	}
	if v > 1<<63-1 {
		return 0, false
	}
	if negative {
		return -int64(v), true
	}
	return int64(v), true
}
