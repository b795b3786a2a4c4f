package kit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
)

// Documents gives the text of every result in a file as it stands there: of one, or of the several that --append-result
// writes one after the other.
func Documents(name string) ([][]byte, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read result: %w", err)
	}
	documents, err := cut(text)
	if err != nil {
		return nil, fmt.Errorf("read result %s: %w", name, err)
	}
	return documents, nil
}

// cut finds the objects by their braces, because the words that Python writes for what is no number keep a JSON decoder
// from counting bytes.
func cut(text []byte) ([][]byte, error) {
	var all [][]byte
	begin, depth, quoted := 0, 0, false
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{':
			if depth == 0 {
				if err := only(text[begin:i]); err != nil {
					return nil, err
				}
				begin = i
			}
			depth++
		case c == '}' && depth > 0:
			if depth--; depth == 0 {
				all = append(all, text[begin:i+1])
				begin = i + 1
			}
		}
	}
	if err := only(text[begin:]); err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, errors.New("it is empty")
	}
	for _, document := range all {
		if err := json.Unmarshal(plainNumbers(document), new(map[string]json.RawMessage)); err != nil {
			return nil, fmt.Errorf("it is no JSON: %w", err)
		}
	}
	return all, nil
}

// only wants nothing but white space beside the objects of a file.
func only(beside []byte) error {
	beside = bytes.TrimSpace(bytes.TrimPrefix(beside, []byte("\xef\xbb\xbf")))
	switch {
	case len(beside) == 0:
		return nil
	case beside[0] == '{':
		return errors.New("it is no JSON: it ends in the middle of a result")
	}
	const most = 20
	return fmt.Errorf("it is no JSON object: it has %q beside one", beside[:min(most, len(beside))])
}
