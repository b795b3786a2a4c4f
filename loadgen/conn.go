package loadgen

import (
	"net"
	"sync/atomic"
	"time"

	"lab/internal/lab"
)

// conn is a connection to the server that knows when its bytes came and went. A read gives the kernel's stamp of the last
// segment that it took, where the connection has such stamps. Under TLS that holds too: a record is decrypted after the
// read that completed it.
//
// net/http reads in one goroutine at a time but, once an answer has ended, no longer in that of the request: hence the
// atomics.
type conn struct {
	net.Conn
	clock   lab.Clock
	stamped stamped
	closed  func() // nil: nobody wants to know

	use     atomic.Int64 // how many requests it has been given to: it may go on to the next before the last has looked at it
	read    atomic.Int64 // reads that brought something
	stamp   atomic.Int64 // the kernel's, of the last such read, in CLOCK_REALTIME; 0: none
	written atomic.Int64 // when the last write returned; below 0: minus the moment at which one began that is not back
}

func stamp(plain net.Conn, clock lab.Clock) *conn {
	c := &conn{Conn: plain, clock: clock}
	c.stamped.start(plain)
	return c
}

func (c *conn) Read(p []byte) (int, error) {
	var n int
	var stamp int64
	var err error
	if c.stamped.on && len(p) > 0 {
		n, stamp, err = c.stamped.receive(p)
	} else {
		n, err = c.Conn.Read(p)
	}
	if n > 0 {
		c.stamp.Store(stamp)
		c.read.Add(1)
	}
	return n, err
}

// Write notes when the kernel had taken the bytes. net/http's own hook is called before it flushes its buffer.
func (c *conn) Write(p []byte) (int, error) {
	c.written.Store(-int64(c.clock.Now()))
	n, err := c.Conn.Write(p)
	if err != nil {
		c.written.Store(0)
		return n, err
	}
	c.written.Store(int64(c.clock.Now()))
	return n, nil
}

// Close ends the connection and says so.
func (c *conn) Close() error {
	if c.closed != nil {
		c.closed()
	}
	return c.Conn.Close()
}

// lastWrite is when the last write returned; 0: none did. An answer may be there before the write that it answers is back:
// then it is when that write began.
func (c *conn) lastWrite(answered bool) time.Duration {
	at := time.Duration(c.written.Load())
	if at < 0 && answered {
		return -at
	}
	return max(at, 0)
}

// under finds the connection beneath TLS.
func under(c net.Conn) *conn {
	if layer, ok := c.(interface{ NetConn() net.Conn }); ok {
		c = layer.NetConn()
	}
	found, _ := c.(*conn)
	return found
}
