package dataset

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"image"
	_ "image/gif" // so that a GIF can be made a JPEG
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lab/internal/lab"
)

// layout says what the columns of a data set mean.
type layout struct {
	needs    []string // the columns that it is told by; "a.b" is b of the objects in a
	text     string   // the column of the prompt: its first value
	talk     bool     // the second value of text is the answer; its length is the tokens to generate
	output   int      // tokens to generate where the load does not say, as in vLLM
	template bool     // the chat template is applied for the completions endpoint
	code     bool     // instruction and input together are the prompt
	pictured bool
	folder   string // image paths are relative to it
}

// layouts are tried in order.
var layouts = []layout{
	{needs: []string{"conversation.content"}, text: "conversation.content", output: 128},
	{needs: []string{"turns.content"}, text: "turns.content", output: 128},
	{needs: []string{"conversations.value"}, text: "conversations.value", talk: true},
	{needs: []string{"turns"}, text: "turns", output: 256, template: true},
	{needs: []string{"question", "image.bytes"}, text: "question", output: 128},
	{needs: []string{"question"}, text: "question", output: 256, template: true},
	{needs: []string{"instruction", "input"}, text: "input", output: 200, template: true, code: true},
	{needs: []string{"prompt"}, text: "prompt", output: 256, template: true},
}

// imageColumns are where a row has its image: of several, only the first is sent, as in vLLM.
var imageColumns = []string{"images.bytes", "images.path", "images", "image.bytes", "image.path", "image"}

// understood are the columns that layouts read.
func understood() []string {
	all := slices.Clone(imageColumns)
	for _, l := range layouts {
		all = append(all, l.needs...)
	}
	return all
}

// understand finds the layout of a data set by its columns.
func understand(columns []string, d lab.Dataset) (layout, error) {
	for _, u := range layouts {
		if slices.ContainsFunc(u.needs, func(c string) bool { return !slices.Contains(columns, c) }) {
			continue
		}
		u.pictured = slices.ContainsFunc(imageColumns, func(c string) bool { return slices.Contains(columns, c) })
		u.template = u.template && !d.NoChatTemplate
		u.folder = d.File
		if info, err := os.Stat(d.File); err == nil && !info.IsDir() {
			u.folder = filepath.Dir(d.File)
		}
		return u, nil
	}
	var known []string
	for _, u := range layouts {
		known = append(known, strings.Join(u.needs, " with "))
	}
	return layout{}, fmt.Errorf("its columns (%s) are none that lab understands: %s; other data goes as JSONL with {\"prompt\": …} lines: kind: custom",
		strings.Join(columns, ", "), strings.Join(known, ", "))
}

// rule says which rows serve.
func (u layout) rule() string {
	if u.talk {
		return talkRule
	}
	return "a row needs text in " + strings.Join(u.needs, " and ")
}

// prompt makes the prompt of a row and says whether it serves.
func (u layout) prompt(ctx context.Context, r row, l lab.Load, env Env) (e entry, serves bool, err error) {
	text, ok := r.first(u.text)
	if u.code {
		instruction, has := r.first("instruction")
		text, ok = text+"\n\n"+instruction, has
		if l.Dataset.Name == "likaixin/InstructCoder" {
			text += " Just output the code, do not include any explanation." // vLLM's prompt, to the letter
		}
	}
	if !ok || text == "" {
		return e, false, nil
	}
	if e.image, err = u.image(r); err != nil {
		return e, false, err
	}
	d := l.Dataset
	if u.talk && d.OutputTokens == 0 {
		reply, ok := r.value(u.text, 1)
		if !ok {
			return e, false, nil
		}
		e.Text = text
		serves, err = measure(ctx, env.words(), &e.Prompt, reply, d)
	} else {
		e.Prompt, err = userPrompt(ctx, text, u.template, l.API, env)
		e.Output, serves = u.output, true
		if d.OutputTokens > 0 {
			e.Output = d.OutputTokens
		}
	}
	e.Hash = hashText(slices.Concat([]byte(e.Text), []byte{0}, []byte(e.image.url), e.image.bytes))
	return e, serves, err
}

// image is the row's image.
func (u layout) image(r row) (picture, error) {
	for _, column := range []string{"images", "image"} {
		if raw, ok := r.first(column + ".bytes"); ok && raw != "" {
			return imageBytes([]byte(raw))
		}
		for _, c := range []string{column, column + ".path"} {
			name, ok := r.first(c)
			if !ok || name == "" {
				continue
			}
			if url := imageURL(name); !strings.HasPrefix(url, "file://") || strings.HasPrefix(name, "file://") {
				return picture{url: url}, nil
			}
			if !filepath.IsAbs(name) {
				name = filepath.Join(u.folder, name)
			}
			raw, err := os.ReadFile(name)
			if err != nil {
				return picture{}, fmt.Errorf("read an image of the data set: %w", err)
			}
			return imageBytes(raw)
		}
	}
	return picture{}, nil
}

// imageBytes keeps what every server reads as it is, and makes a JPEG of the rest. Text is base64, as JSON must have it.
func imageBytes(raw []byte) (picture, error) {
	for mime, magic := range map[string]string{"image/jpeg": "\xff\xd8\xff", "image/png": "\x89PNG\r\n\x1a\n"} {
		if bytes.HasPrefix(raw, []byte(magic)) {
			return picture{mime: mime, bytes: raw}, nil
		}
	}
	if len(raw) > 12 && string(raw[:4]) == "RIFF" && string(raw[8:12]) == "WEBP" {
		return picture{mime: "image/webp", bytes: raw}, nil // nothing here decodes it; vLLM does
	}
	if decoded, err := base64.StdEncoding.DecodeString(string(raw)); err == nil && len(decoded) > 0 {
		return imageBytes(decoded)
	}
	config, _, err := image.DecodeConfig(bytes.NewReader(raw))
	if err != nil || config.Width > 1<<16 || config.Height > 1<<16 {
		return picture{}, errors.New("an image of the data set is none of JPEG, PNG, WebP, GIF")
	}
	decoded, _, err := image.Decode(bytes.NewReader(raw))
	if err != nil {
		return picture{}, fmt.Errorf("decode an image of the data set: %w", err)
	}
	return picture{mime: "image/jpeg", bytes: encodeJPEG(decoded)}, nil
}
