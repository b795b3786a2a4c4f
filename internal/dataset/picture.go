package dataset

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"image"
	"image/jpeg"
	"math"
	"math/rand/v2"

	"lab/internal/lab"
)

// picture is an image of a message: by URL, or its bytes.
type picture struct {
	url   string
	mime  string
	bytes []byte
}

func (p picture) none() bool { return p.url == "" && p.bytes == nil }

// messages is one user message of a text and images, in the order in which vLLM puts them.
func messages(text string, images ...picture) json.RawMessage {
	size := len(text) + 128
	for _, p := range images {
		size += base64.StdEncoding.EncodedLen(len(p.bytes)) + len(p.url) + 64
	}
	m := append(make([]byte, 0, size), `[{"role":"user","content":[{"type":"text","text":`...)
	m = append(append(m, quote(text)...), '}')
	for _, p := range images {
		m = append(m, `,{"type":"image_url","image_url":{"url":`...)
		if p.bytes == nil {
			m = append(m, quote(p.url)...)
		} else {
			m = append(append(append(m, `"data:`...), p.mime...), `;base64,`...)
			m = append(base64.StdEncoding.AppendEncode(m, p.bytes), '"')
		}
		m = append(m, `}}`...)
	}
	return append(m, `]}]`...)
}

// jpegQuality is PIL's default, which vLLM takes.
const jpegQuality = 75

// pictured is random text with images of noise.
type pictured struct {
	texts  list
	images lab.Images
	seed   uint64
	pool   uint64
}

func openPictured(ctx context.Context, l lab.Load, env Env) (Prompts, error) {
	if l.API != "chat" {
		return nil, fmt.Errorf("make prompts with images: only the chat endpoint takes them: use api: chat")
	}
	r, err := newRandom(l, env)
	if err != nil {
		return nil, err
	}
	texts, err := r.texts(ctx, l, env)
	return pictured{texts, *l.Dataset.Images, l.Seed, env.Pool}, err
}

// Distinct is the number of texts that were made ready.
func (p pictured) Distinct() int { return p.texts.Distinct() }

// At makes the request at an index, images included: not all of them fit into memory at once.
func (p pictured) At(i int) lab.Prompt {
	prompt := p.texts.At(i)
	i %= len(p.texts.entries)
	random := rand.New(rand.NewPCG(p.seed, ^(p.pool<<40 | uint64(i)))) // counts down, the text's count up
	images := make([]picture, drawItems(random, p.images))
	for k := range images {
		b := drawBucket(random, p.images.Buckets)
		images[k] = picture{mime: "image/jpeg", bytes: noise(random, b.Width, b.Height)}
	}
	prompt.Messages, prompt.Text = messages(prompt.Text, images...), ""
	prompt.Hash = hashText(prompt.Messages)
	return prompt
}

// drawItems is how many images a request carries, by vLLM's rule.
func drawItems(random *rand.Rand, d lab.Images) int {
	low := int(math.Floor(float64(d.Items) * (1 - d.RangeRatio)))
	high := int(math.Ceil(float64(d.Items) * (1 + d.RangeRatio)))
	if d.Limit > 0 {
		high = min(high, d.Limit)
	}
	return low + random.IntN(high-low+1)
}

func drawBucket(random *rand.Rand, buckets []lab.ImageBucket) lab.ImageBucket {
	total := 0.0
	for _, b := range buckets {
		total += b.Share
	}
	at := random.Float64() * total
	for _, b := range buckets {
		if at -= b.Share; at < 0 {
			return b
		}
	}
	return buckets[len(buckets)-1] // rounding took the last bit of the last share
}

// noise is a JPEG of independent random pixels, which compresses worst.
func noise(random *rand.Rand, width, height int) []byte {
	picture := image.NewRGBA(image.Rect(0, 0, width, height))
	pixels := picture.Pix // JPEG has no alpha, so that byte may be anything
	for ; len(pixels) >= 8; pixels = pixels[8:] {
		binary.LittleEndian.PutUint64(pixels, random.Uint64())
	}
	for i := range pixels {
		pixels[i] = byte(random.Uint64())
	}
	return encodeJPEG(picture)
}

func encodeJPEG(picture image.Image) []byte {
	var out bytes.Buffer
	if err := jpeg.Encode(&out, picture, &jpeg.Options{Quality: jpegQuality}); err != nil {
		panic("encode JPEG: " + err.Error()) // sizes were checked, and a buffer takes everything
	}
	return out.Bytes()
}
