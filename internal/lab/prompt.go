package lab

import "encoding/json"

// Prompt is one thing to send. Exactly one of IDs, Text and Messages is set.
type Prompt struct {
	IDs      []int32         // token ids
	Text     string          // plain text; for the chat endpoint one user message
	Messages json.RawMessage // of the chat endpoint: the whole list, with any images as data URLs
	Input    int             // tokens in it by the data set's count; 0 = unknown
	Output   int             // tokens wanted
	Hash     uint64          // of the content
}
