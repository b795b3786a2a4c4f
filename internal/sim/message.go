package sim

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"hash/fnv"
	"image"
	_ "image/jpeg" // the pictures that clients send
	_ "image/png"
	"math/rand/v2"
	"strings"
)

// element is one piece of a message's content.
type element struct {
	Type  string `json:"type"`
	Text  string `json:"text"`
	Image struct {
		URL string `json:"url"`
	} `json:"image_url"`
}

// messageIDs strings a chat's messages together, by a template that opens each with its role and ends with that of the
// assistant. Of a content list, texts count as they are and a picture as a fixed number of tokens.
func (s *server) messageIDs(messages []message) ([]int32, *problem) {
	var ids []int32
	for _, m := range messages {
		content, p := s.contentIDs(m.Content)
		if p != nil {
			return nil, p
		}
		ids = append(ids, bytesToIDs(m.Role+": ")...)
		ids = append(append(ids, content...), bytesToIDs("\n")...)
	}
	if len(messages) > 0 {
		ids = append(ids, bytesToIDs("assistant: ")...)
	}
	return ids, nil
}

func (s *server) contentIDs(content json.RawMessage) ([]int32, *problem) {
	var text string
	if json.Unmarshal(content, &text) == nil {
		return bytesToIDs(text), nil
	}
	var parts []element
	if json.Unmarshal(content, &parts) != nil {
		return bytesToIDs(string(content)), nil
	}
	var ids []int32
	for _, p := range parts {
		switch p.Type {
		case "image_url":
			picture, bad := s.pictureIDs(p.Image.URL)
			if bad != nil {
				return nil, bad
			}
			ids = append(ids, picture...)
		case "text":
			ids = append(ids, bytesToIDs(p.Text)...)
		default:
			return nil, s.bad("", "Unknown part type: %s", p.Type)
		}
	}
	return ids, nil
}

// pictureIDs stand for a picture: as many as the model spends on one, the same for the same picture, so that the prefix
// cache knows it again. The picture must be one.
func (s *server) pictureIDs(url string) ([]int32, *problem) {
	kind, encoded, ok := strings.Cut(url, ";base64,")
	if !ok || !strings.HasPrefix(kind, "data:image/") {
		return nil, s.bad("", "Invalid image URL: a data URL of an image is expected")
	}
	data, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, s.bad("", "Failed to load image: %s", err)
	}
	if _, _, err := image.DecodeConfig(bytes.NewReader(data)); err != nil {
		return nil, s.bad("", "Failed to load image: cannot identify image file")
	}
	h := fnv.New64a()
	h.Write(data) // cannot fail
	random := rand.New(rand.NewPCG(h.Sum64(), 0))
	ids := make([]int32, s.c.imageTokens)
	for i := range ids {
		ids[i] = firstByte + random.Int32N(256)
	}
	return ids, nil
}
