package selftest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"lab/internal/lab"
	"lab/loadgen"
)

// plainLoad is what the plain client is told to send.
type plainLoad struct {
	URL    string   `json:"url"`
	Load   lab.Load `json:"load"`
	Prompt []int    `json:"prompt"`
}

// Seen is what a client reports of one request. Moments are nanoseconds of CLOCK_MONOTONIC; 0 = absent.
type Seen struct {
	ID       string        `json:"id"`
	Intended int64         `json:"intended,omitempty"` // when it was to be sent
	Sent     int64         `json:"sent,omitempty"`     // the client set about sending it
	Written  int64         `json:"written,omitempty"`  // its last byte was with the kernel
	TTFT     time.Duration `json:"ttft"`               // as the client gives it
	Tokens   []int64       `json:"tokens"`             // arrivals
	Error    string        `json:"error,omitempty"`
}

// PlainClient is the life of a client as anybody would write it with net/http: a goroutine a stream, times taken where a line
// has been read, nothing done beforehand, nothing recorded but the moments. It is the yardstick beside lab.
func PlainClient(in io.Reader, out io.Writer) error {
	var p plainLoad
	if err := json.NewDecoder(in).Decode(&p); err != nil {
		return fmt.Errorf("read the plain client's load: %w", err)
	}
	body, err := json.Marshal(map[string]any{
		"model": truthModel, "prompt": p.Prompt, "max_tokens": p.Load.Dataset.OutputTokens, "stream": true, "temperature": 0,
	})
	if err != nil {
		return fmt.Errorf("build request: %w", err)
	}
	c := plainClient{url: p.URL, body: body, tokens: p.Load.Dataset.OutputTokens, clock: newMonotonic(), http: &http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: 1 << 20, DisableCompression: true},
	}}
	if p.Load.Open() {
		c.open(loadgen.Arrivals(p.Load))
	} else {
		c.closed(p.Load.Concurrency, p.Load.Requests)
	}
	if err := json.NewEncoder(out).Encode(c.seen); err != nil {
		return fmt.Errorf("print what the plain client saw: %w", err)
	}
	return nil
}

type plainClient struct {
	url    string
	body   []byte
	tokens int
	clock  monotonic
	http   *http.Client

	mu   sync.Mutex
	seen []Seen
}

func (c *plainClient) open(times []time.Duration) {
	var flight sync.WaitGroup
	start := time.Now()
	for i, at := range times {
		when := start.Add(at)
		time.Sleep(time.Until(when))
		flight.Go(func() { c.one(i, when) })
	}
	flight.Wait()
}

func (c *plainClient) closed(concurrency, requests int) {
	var flight sync.WaitGroup
	numbers := make(chan int)
	for range concurrency {
		flight.Go(func() {
			for i := range numbers {
				c.one(i, time.Now())
			}
		})
	}
	for i := range requests {
		numbers <- i
	}
	close(numbers)
	flight.Wait()
}

func (c *plainClient) one(i int, intended time.Time) {
	seen := Seen{ID: fmt.Sprintf("plain-%d", i), Intended: c.clock.at(intended), Sent: c.clock.now(), Tokens: make([]int64, 0, c.tokens)}
	if err := c.exchange(&seen); err != nil {
		seen.Error = err.Error()
	}
	if len(seen.Tokens) > 0 {
		seen.TTFT = time.Duration(seen.Tokens[0] - seen.Intended)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = append(c.seen, seen)
}

func (c *plainClient) exchange(seen *Seen) error {
	req, err := http.NewRequest(http.MethodPost, c.url+"/v1/completions", bytes.NewReader(c.body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Request-Id", seen.ID)
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	done := false
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		at := c.clock.now()
		switch line := lines.Bytes(); {
		case bytes.Equal(line, []byte("data: [DONE]")):
			done = true
		case bytes.HasPrefix(line, []byte("data: ")) && !bytes.Contains(line, []byte(`"choices":[]`)):
			seen.Tokens = append(seen.Tokens, at)
		}
	}
	if !done {
		return errors.New("the stream ended early")
	}
	return nil
}
