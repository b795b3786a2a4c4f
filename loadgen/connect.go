package loadgen

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"sync"
	"syscall"
	"time"

	"lab/internal/lab"
)

const (
	mostConnections = 1024 // opened beforehand; a load that needs more opens the others as it goes
	mostSpares      = 128
	wave            = 64                     // connections opened at a time: some milliseconds on the loopback
	headStart       = 10 * time.Millisecond  // what an open loop sends within so long a time has its connection before it begins
	burst           = 100 * time.Millisecond // opening connections anew takes no longer than this
	spareAge        = 30 * time.Second       // servers and what stands before them close a connection on which nothing was ever asked
)

// connections is how many a load may need at once within its first moments: opening them beforehand keeps the handshakes
// out of the requests' times. A closed loop needs one for each slot; an open loop as many as requests leave within any one
// burst of its schedule, and more only where answers take longer than that: those are spares.
func connections(l lab.Load, times []time.Duration) int {
	n := l.Concurrency
	if l.Open() {
		if most := mostWithin(times, burst); n == 0 || most < n {
			n = most
		}
	}
	if l.Requests > 0 {
		n = min(n, l.Requests)
	}
	return min(n, mostConnections)
}

// mostWithin is the most moments of a sorted list that lie within one span.
func mostWithin(times []time.Duration, span time.Duration) int {
	most, first := 0, 0
	for i, at := range times {
		for at-times[first] >= span {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

// connect opens n connections and leaves them idle for the requests to come. It is no error if that does not work: the
// requests will say so. It is false where it took too long, and should not be tried again.
func (c *client) connect(ctx context.Context, n int) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var held, pings sync.WaitGroup
	held.Add(n)
	for range n {
		pings.Go(func() { c.ping(ctx, &held) })
	}
	pings.Wait()
	return ctx.Err() == nil
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

// dialer opens the connections of a load, and keeps some open that no request has asked for yet: who finds all of them busy
// then takes one that stands already, and the next is opened behind its back.
type dialer struct {
	clock lab.Clock
	tls   *tls.Config // nil: plain
	net   net.Dialer

	ctx     context.Context // ends with the load
	end     context.CancelFunc
	opening sync.WaitGroup

	mu     sync.Mutex
	spares []spare // oldest first
	keep   int     // how many there should be
	coming int     // being opened
	all    map[*conn]struct{}

	network, address string // of the server, as net/http asked for it last
}

// spare is a connection that waits for its first request.
type spare struct {
	net.Conn
	since time.Time
}

func newDialer(t Target, clock lab.Clock) *dialer {
	d := &dialer{clock: clock, net: net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}, all: map[*conn]struct{}{}}
	if at, err := url.Parse(t.URL); err == nil && at.Scheme == "https" {
		d.tls = &tls.Config{InsecureSkipVerify: t.Insecure, ServerName: at.Hostname()}
	}
	d.ctx, d.end = context.WithCancel(context.Background())
	return d
}

// dial gives net/http a connection: a spare where there is a good one.
func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	got := d.take()
	d.refill(network, address)
	if got != nil {
		return got, nil
	}
	return d.open(ctx, network, address)
}

// open makes a connection that is ready for a request, the handshake of TLS included.
func (d *dialer) open(ctx context.Context, network, address string) (net.Conn, error) {
	plain, err := d.net.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c := stamp(plain, d.clock)
	c.closed = func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.all, c)
	}
	d.mu.Lock()
	d.all[c] = struct{}{}
	d.mu.Unlock()
	if d.tls == nil {
		return c, nil
	}
	secret := tls.Client(c, d.tls)
	if err := secret.HandshakeContext(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return secret, nil
}

// take gives the youngest spare that still stands; nil: there is none.
func (d *dialer) take() net.Conn {
	d.mu.Lock()
	var stale []spare
	var got net.Conn
	for got == nil && len(d.spares) > 0 {
		last := d.spares[len(d.spares)-1]
		d.spares = d.spares[:len(d.spares)-1]
		if time.Since(last.since) > spareAge || hungUp(under(last.Conn).Conn) {
			stale = append(stale, last)
			continue
		}
		got = last.Conn
	}
	d.mu.Unlock()
	for _, s := range stale {
		s.Close()
	}
	return got
}

// spare has n spares kept from now on.
func (d *dialer) spare(n int) {
	d.mu.Lock()
	d.keep = n
	network, address := d.network, d.address
	d.mu.Unlock()
	if address != "" { // else no connection was opened at all
		d.refill(network, address)
	}
}

// refill opens what is missing, in the background and few at a time: requests come first.
func (d *dialer) refill(network, address string) {
	const atOnce = 8
	d.mu.Lock()
	defer d.mu.Unlock()
	d.network, d.address = network, address
	for d.ctx.Err() == nil && d.coming < atOnce && len(d.spares)+d.coming < d.keep {
		d.coming++
		d.opening.Go(func() {
			for more := true; more; {
				c, err := d.open(d.ctx, network, address)
				more = d.opened(c, err)
			}
		})
	}
}

// opened takes in what one of those who open spares has got, and says whether it should open another.
func (d *dialer) opened(c net.Conn, err error) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err == nil {
		d.spares = append(d.spares, spare{c, time.Now()})
	}
	if err != nil || d.ctx.Err() != nil || len(d.spares)+d.coming > d.keep {
		d.coming--
		return false
	}
	return true
}

// unread is what the kernel has taken in and the client has not read: over all connections, and the most of one.
func (d *dialer) unread() (sum, most int) {
	d.mu.Lock()
	open := make([]*conn, 0, len(d.all))
	for c := range d.all {
		open = append(open, c)
	}
	d.mu.Unlock()
	for _, c := range open {
		n := c.stamped.unread()
		sum, most = sum+n, max(most, n)
	}
	return sum, most
}

// close lets go of the spares and ends what is being opened.
func (d *dialer) close() {
	d.end()
	d.opening.Wait()
	d.mu.Lock()
	left := slices.Clone(d.spares)
	d.spares = nil
	d.mu.Unlock()
	for _, s := range left {
		s.Close()
	}
}

// hungUp says whether the peer has closed a connection on which nothing was asked yet.
func hungUp(c net.Conn) bool {
	socket, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return true
	}
	gone := false
	err = raw.Control(func(fd uintptr) {
		var one [1]byte
		n, _, peek := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		gone = peek != syscall.EAGAIN && n <= 0 // bytes may wait: TLS sends its tickets unasked
	})
	return gone || err != nil
}
