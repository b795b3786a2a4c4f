package supervisor

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"time"

	"lab/internal/lab"
)

const (
	healthTimeout = 10 * time.Second // a busy API process may answer late
	canaryTimeout = 3 * time.Minute  // the first request of a process may have to compile
	bodyLimit     = 16 << 20
)

// Access is where a server is and how one gets in.
type Access struct {
	URL      string // without /v1
	APIKey   string
	Header   http.Header // sent with every request, over lab's own
	Insecure bool        // its certificate is not checked
}

// client asks one server.
type client struct {
	base string
	a    Access
	http *http.Client
}

func newClient(a Access) client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil // the load takes none either: what is probed is what is measured
	transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: a.Insecure}
	transport.IdleConnTimeout = 4 * time.Second // below the 5 s after which old servers close idle connections
	return client{base: strings.TrimRight(a.URL, "/"), a: a, http: &http.Client{Transport: transport}}
}

// get returns status and body; the error is only about the way there.
func (c client) do(ctx context.Context, method, path string, body any) (int, []byte, error) {
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return 0, nil, err
		}
		content = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, content)
	if err != nil {
		return 0, nil, err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if c.a.APIKey != "" {
		request.Header.Set("Authorization", "Bearer "+c.a.APIKey)
	}
	for name, values := range c.a.Header {
		request.Header[name] = values
	}
	response, err := c.http.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, bodyLimit))
	return response.StatusCode, text, err
}

func (c client) health(ctx context.Context) (int, string, error) {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	status, body, err := c.do(ctx, "GET", "/health", nil)
	return status, brief(body), err
}

func refusedConnection(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

// ask gets a JSON answer.
func (c client) ask(ctx context.Context, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	status, body, err := c.do(ctx, "GET", path, nil)
	switch {
	case err != nil:
		return fmt.Errorf("ask %s: %w", path, err)
	case status != http.StatusOK:
		return fmt.Errorf("ask %s: status %d %s", path, status, brief(body))
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("read answer of %s: %w", path, err)
	}
	return nil
}

// version asks which vllm answers.
func (c client) version(ctx context.Context) (string, error) {
	var answer struct{ Version string }
	if err := c.ask(ctx, "/version", &answer); err != nil {
		return "", err
	}
	if answer.Version == "" {
		return "", errors.New("ask /version: the answer names no version")
	}
	return answer.Version, nil
}

// models asks for the names that requests may carry.
func (c client) models(ctx context.Context) ([]string, error) {
	var answer struct{ Data []struct{ ID string } }
	if err := c.ask(ctx, "/v1/models", &answer); err != nil {
		return nil, err
	}
	var names []string
	for _, model := range answer.Data {
		names = append(names, model.ID)
	}
	return names, nil
}

// canary lets the server complete one token. The prompt is token ids, which need no tokenizer.
func (c client) canary(ctx context.Context, model string) error {
	ctx, cancel := context.WithTimeout(ctx, canaryTimeout)
	defer cancel()
	status, body, err := c.do(ctx, "POST", "/v1/completions", map[string]any{
		"model": model, "prompt": []int{5, 6, 7}, "max_tokens": 1, "temperature": 0,
	})
	switch {
	case err != nil:
		return fmt.Errorf("complete one token: %w", err)
	case status != http.StatusOK:
		return fmt.Errorf("complete one token: status %d %s", status, brief(body))
	}
	var answer struct {
		Error   any
		Choices []struct {
			Finish string `json:"finish_reason"`
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return fmt.Errorf("complete one token: read answer: %w", err)
	}
	if answer.Error != nil || len(answer.Choices) == 0 || !slices.Contains([]string{"stop", "length"}, answer.Choices[0].Finish) {
		return fmt.Errorf("complete one token: the answer is not a finished completion: %s", brief(body))
	}
	return nil
}

// cacheConfig reads the engine's account of its cache, if the server gives one.
func (c client) cacheConfig(ctx context.Context) map[string]string {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	status, body, err := c.do(ctx, "GET", "/metrics", nil)
	if err != nil || status != http.StatusOK {
		return nil
	}
	return cacheConfig(string(body))
}

func brief(body []byte) string {
	text := strings.Join(strings.Fields(string(body)), " ")
	if len(text) > 300 {
		text = strings.ToValidUTF8(text[:300], "") + "…"
	}
	return text
}

// Attach looks at a server that already runs: healthy, which vllm, which model, and whether it completes a token.
// It returns the model name to send; an empty model takes the server's first.
func Attach(ctx context.Context, a Access, model string) (lab.ServerFacts, string, error) {
	c := newClient(a)
	defer c.http.CloseIdleConnections()
	fail := func(err error) (lab.ServerFacts, string, error) {
		return lab.ServerFacts{}, "", fmt.Errorf("attach to %s: %w", c.base, err)
	}
	if status, body, err := c.health(ctx); err != nil {
		return fail(err)
	} else if status != http.StatusOK {
		return fail(fmt.Errorf("not healthy: /health answers %d %s", status, body))
	}
	version, err := c.version(ctx)
	if err != nil {
		return fail(err)
	}
	names, err := c.models(ctx)
	if err != nil {
		return fail(err)
	}
	switch {
	case len(names) == 0:
		return fail(errors.New("it serves no model"))
	case model == "":
		model = names[0]
	case !slices.Contains(names, model):
		return fail(fmt.Errorf("it does not serve %q but %s", model, strings.Join(names, ", ")))
	}
	if err := c.canary(ctx, model); err != nil {
		return fail(err)
	}
	return lab.ServerFacts{Version: version, ServedName: model, Resolved: c.cacheConfig(ctx)}, model, nil
}

// Alive asks a server that already runs whether it still does; a *DeathError says that it does not.
func Alive(ctx context.Context, a Access) error {
	c := newClient(a)
	defer c.http.CloseIdleConnections()
	status, body, err := c.health(ctx)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return &DeathError{Failure: lab.Failure{Class: lab.FailExit, Reason: fmt.Sprintf("the server at %s no longer answers: %v", c.base, err)}}
	case status != http.StatusOK:
		return &DeathError{Failure: lab.Failure{Class: lab.FailEngine, Reason: fmt.Sprintf("the server at %s is no longer healthy: /health answers %d %s", c.base, status, body)}}
	}
	return nil
}
