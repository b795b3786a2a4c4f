package dataset

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"lab/internal/lab"
)

// openShareGPT samples a ShareGPT file by vLLM's rules: entries of two turns or more, shuffled as Python does it, the
// first turn as the prompt, the length of the second as the tokens to generate, those of unsuitable length left out.
func openShareGPT(ctx context.Context, l lab.Load, env Env) (Prompts, error) {
	name := l.Dataset.File
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read conversations: %w", err)
	}
	defer f.Close()
	all, err := scanList(f)
	if err != nil {
		return nil, fmt.Errorf("read conversations: %s: %w", name, err)
	}
	talks := all[:0]
	for _, s := range all {
		if s.talk {
			talks = append(talks, s)
		}
	}
	if !l.Dataset.NoShuffle {
		shuffle(seedPython(l.Seed), talks)
	}
	w := env.words()
	if w == nil {
		return nil, fmt.Errorf("choose conversations by their length: %w", ErrNoTokenizer)
	}
	n, _ := wanted(l, env)
	entries, err := take(ctx, arrange(talks, env.Pool), n, env.workers(), func(ctx context.Context, s span) (entry, bool, error) {
		e, reply, err := readTalk(f, s, l.API == "chat")
		if err != nil {
			return e, false, fmt.Errorf("the entry at byte %d %w", s.offset, err)
		}
		serves, err := measure(ctx, w, &e.Prompt, reply, l.Dataset)
		return e, serves, err
	})
	if err != nil {
		return nil, fmt.Errorf("read conversations: %s: %w", name, err)
	}
	if len(entries) == 0 {
		return nil, fmt.Errorf("read conversations: %s: none of %d conversations serves: %s", name, len(talks), talkRule)
	}
	return newList(entries, l, env), nil
}

// What vLLM asks of a conversation, in tokens.
const (
	shortestTurn  = 4
	longestPrompt = 1024
	longestTalk   = 2048
	talkRule      = "a prompt has 4 to 1024 tokens, an answer at least 4, and both together at most 2048"
)

// measure sets the lengths of a conversation and says whether it serves.
func measure(ctx context.Context, w words, p *lab.Prompt, reply string, d lab.Dataset) (serves bool, err error) {
	if p.Input, err = w.count(ctx, p.Text); err != nil {
		return false, err
	}
	if p.Input < shortestTurn || p.Input > longestPrompt {
		return false, nil
	}
	if d.FixedOutput {
		p.Output = d.OutputTokens
	} else if p.Output, err = w.count(ctx, reply); err != nil || p.Output < shortestTurn {
		return false, err
	}
	return p.Input+p.Output <= longestTalk, nil
}

// readTalk decodes one entry of the file.
func readTalk(f *os.File, s span, chat bool) (e entry, reply string, err error) {
	text := make([]byte, s.size)
	if _, err := f.ReadAt(text, s.offset); err != nil {
		return e, "", fmt.Errorf("cannot be read: %w", err)
	}
	var talk struct {
		Conversations []struct {
			Value *string `json:"value"`
		} `json:"conversations"`
		Image string `json:"image"`
		Video any    `json:"video"`
	}
	if err := json.Unmarshal(text, &talk); err != nil {
		return e, "", fmt.Errorf("is not a conversation: %w", plainly(err))
	}
	turns := talk.Conversations
	if len(turns) < 2 || turns[0].Value == nil || turns[1].Value == nil {
		return e, "", fmt.Errorf("has no text (value) in its first two turns")
	}
	if talk.Video != nil {
		return e, "", fmt.Errorf("has a video, which lab does not send: leave such entries out")
	}
	e.Text, reply = *turns[0].Value, *turns[1].Value
	e.Hash = hashText([]byte(e.Text + "\x00" + talk.Image))
	if talk.Image != "" {
		if !chat {
			return e, "", fmt.Errorf("has an image, which only the chat endpoint takes: use api: chat")
		}
		e.image = picture{url: imageURL(talk.Image)}
	}
	return e, reply, nil
}

// imageURL is how vLLM names an image to the server: a URL as it is, a path as a file of the server's machine.
func imageURL(image string) string {
	for _, scheme := range []string{"http://", "https://", "file://", "data:image/"} {
		if strings.HasPrefix(image, scheme) {
			return image
		}
	}
	return "file://" + image
}
