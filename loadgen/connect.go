package loadgen

import (
	"context"
	"io"
	"math"
	"net/http"
	"net/http/httptrace"
	"sync"
	"time"

	"lab/internal/lab"
)

// connections is how many a load will need at once from its first moment on: opening them beforehand keeps the handshakes
// out of the first requests' times. An open loop with a finite rate opens its own as it goes.
func connections(l lab.Load) int {
	const most = 1024
	switch {
	case l.Concurrency > 0 && l.Requests > 0:
		return min(l.Concurrency, l.Requests, most)
	case l.Concurrency > 0:
		return min(l.Concurrency, most)
	case math.IsInf(float64(l.Rate), 1):
		return min(l.Requests, most)
	}
	return 0
}

// connect opens n connections and leaves them idle for the requests to come. It is no error if that does not work: the
// requests will say so.
func (c *client) connect(ctx context.Context, n int) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var held, pings sync.WaitGroup
	held.Add(n)
	for range n {
		pings.Go(func() { c.ping(ctx, &held) })
	}
	pings.Wait()
}

// ping has a connection opened for a request that costs the server nothing. It holds the connection until every other
// ping has one too, so that none is used twice.
func (c *client) ping(ctx context.Context, held *sync.WaitGroup) {
	have := sync.OnceFunc(held.Done)
	defer have()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { have(); held.Wait() },
	})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.target.URL+"/health", nil)
	if err != nil {
		return
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return
	}
	io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	resp.Body.Close()
}
