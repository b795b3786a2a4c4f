package dataset

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"runtime"
	"sync"
	"sync/atomic"
)

// ErrNoTokenizer says that text cannot be counted, made to length or put into the chat template here and now; once a
// server runs, it can.
var ErrNoTokenizer = errors.New("no tokenizer: place tokenizer.json in the model's folder, or name a folder that holds one " +
	"(dataset.tokenizer, --tokenizer); a running server that answers /tokenize and /detokenize serves too")

// errNoTemplate is an ErrNoTokenizer that only a server can help.
type errNoTemplate struct{}

func (errNoTemplate) Error() string {
	return "apply the chat template: only a running server that answers /tokenize can (no_chat_template sends the prompt as it stands)"
}

func (errNoTemplate) Is(target error) bool { return target == ErrNoTokenizer }

// words counts text, and makes text of exact length.
type words interface {
	// count gives the tokens of a plain prompt as the server counts them.
	count(ctx context.Context, text string) (int, error)
	// exact is Tokenizer.Exact.
	exact(ctx context.Context, ids []int32, n int, more func() int32) (text string, got []int32, ok bool, err error)
}

// words is the tokenizer, else the server, else nil.
func (e Env) words() words {
	switch {
	case e.Tokenizer != nil:
		return local{e.Tokenizer}
	case e.Server != nil:
		return remote{e.Server}
	}
	return nil
}

// workers is how many prompts are made at a time.
func (e Env) workers() int {
	const asking = 32 // requests in flight
	if e.Server != nil {
		return asking
	}
	return runtime.GOMAXPROCS(0)
}

type local struct{ Tokenizer }

func (l local) count(_ context.Context, text string) (int, error) {
	return len(l.EncodeSpecial(text)), nil
}

func (l local) exact(_ context.Context, ids []int32, n int, more func() int32) (string, []int32, bool, error) {
	text, got, ok := l.Exact(ids, n, more)
	return text, got, ok, nil
}

type remote struct{ Server }

// count leaves out a special token that the server may add: /tokenize is asked without.
func (r remote) count(ctx context.Context, text string) (int, error) {
	ids, err := r.Tokenize(ctx, text)
	return len(ids), asked(err)
}

func (r remote) exact(ctx context.Context, ids []int32, n int, more func() int32) (string, []int32, bool, error) {
	const tries = 10
	for range tries {
		text, err := r.Detokenize(ctx, ids)
		if err != nil {
			return "", nil, false, asked(err)
		}
		got, err := r.Tokenize(ctx, text)
		if err != nil {
			return "", nil, false, asked(err)
		}
		if len(got) == n {
			return text, got, true, nil
		}
		ids = got[:min(n, len(got))]
		for len(ids) < n {
			ids = append(ids, more())
		}
	}
	return "", nil, false, nil
}

// asked says what to do where the server does not tokenize.
func asked(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("ask the server to tokenize: %w (tokenizer.json in the model's folder makes that unnecessary)", err)
}

// each does n things, some at a time, and gives the first error.
func each(ctx context.Context, n, workers int, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var flight sync.WaitGroup
	for range min(n, workers) {
		flight.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := do(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	flight.Wait()
	return context.Cause(ctx)
}

func hashIDs(ids []int32) uint64 {
	h := fnv.New64a()
	var word [4]byte
	for _, id := range ids {
		binary.LittleEndian.PutUint32(word[:], uint32(id))
		h.Write(word[:])
	}
	return h.Sum64()
}

func hashText(text []byte) uint64 {
	h := fnv.New64a()
	h.Write(text)
	return h.Sum64()
}

func quote(text string) []byte {
	quoted, err := json.Marshal(text)
	if err != nil {
		panic("quote prompt: " + err.Error()) // a string always has a JSON form
	}
	return quoted
}
