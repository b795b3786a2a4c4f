package dataset

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"image"
	"image/jpeg"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lab/internal/lab"
)

// part is a part of a message's content.
type part struct {
	Type  string
	Text  string
	Image struct{ URL string } `json:"image_url"`
}

// content reads a prompt's one user message.
func content(t *testing.T, p lab.Prompt) []part {
	t.Helper()
	var list []struct {
		Role    string
		Content []part
	}
	if err := json.Unmarshal(p.Messages, &list); err != nil {
		t.Fatal(err)
	}
	if len(list) != 1 || list[0].Role != "user" || p.Text != "" || list[0].Content[0].Type != "text" {
		t.Fatalf("got %.200s", p.Messages)
	}
	return list[0].Content
}

// sent takes the image out of a part.
func sent(t *testing.T, p part, mime string) []byte {
	t.Helper()
	text, ok := strings.CutPrefix(p.Image.URL, "data:"+mime+";base64,")
	raw, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil || p.Type != "image_url" {
		t.Fatalf("%.60s is no %s: %v", p.Image.URL, mime, err)
	}
	return raw
}

func TestImagesOfNoiseAreJPEGsOfTheSizesAskedForBehindTheText(t *testing.T) {
	l := chat(lab.Dataset{Kind: "random-mm", InputTokens: 12, OutputTokens: 5, Images: &lab.Images{
		Items: 2, RangeRatio: 0.5, Limit: 2, Buckets: []lab.ImageBucket{{Width: 16, Height: 9, Share: 0.5}, {Width: 32, Height: 24, Share: 1.5}, {Width: 1, Height: 1}},
	}})
	p := open(t, l, Env{Tokenizer: toy{}})
	sizes, counts := map[image.Point]int{}, map[int]int{}
	for i := range 100 {
		one := p.At(i)
		parts := content(t, one)
		if got := len(toy{}.Encode(parts[0].Text)); got != 12 || one.Input != 12 || one.Output != 5 {
			t.Fatalf("the text has %d tokens", got)
		}
		counts[len(parts)-1]++
		for _, part := range parts[1:] {
			picture, err := jpeg.Decode(bytes.NewReader(sent(t, part, "image/jpeg")))
			if err != nil {
				t.Fatal(err)
			}
			sizes[picture.Bounds().Size()]++
		}
	}
	if len(counts) != 2 || counts[1] < 5 || counts[2] < 5 {
		t.Errorf("images in a request: %v, want 1 or 2", counts)
	}
	if small, large := sizes[image.Pt(16, 9)], sizes[image.Pt(32, 24)]; len(sizes) != 2 || small < 10 || large < 2*small {
		t.Errorf("sizes %v, want three large ones to each small one", sizes)
	}
	if d := cmp.Diff(p.At(7), open(t, l, Env{Tokenizer: toy{}}).At(7)); d != "" {
		t.Error("made again, a request differs")
	}
	warm := content(t, open(t, l, Env{Tokenizer: toy{}, Pool: 1}).At(7))
	if warm[1].Image == content(t, p.At(7))[1].Image || content(t, p.At(8))[1].Image == content(t, p.At(7))[1].Image {
		t.Error("an image came twice")
	}
	l.API = "completions"
	if _, err := Open(t.Context(), l, Env{Tokenizer: toy{}}); err == nil || !strings.Contains(err.Error(), "use api: chat") {
		t.Error(err)
	}
}

func BenchmarkImageOfNoise1280x720(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 2))
	for b.Loop() {
		messages("text", picture{mime: "image/jpeg", bytes: noise(random, 1280, 720)})
	}
}
