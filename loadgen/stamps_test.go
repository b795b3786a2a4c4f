package loadgen

import (
	"bufio"
	"context"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"lab/internal/lab"
)

// ask sends one request and returns its record.
func ask(t *testing.T, c *client, r Request) lab.RequestRecord {
	t.Helper()
	rec := lab.RequestRecord{Intended: c.clock.Now()}
	c.do(t.Context(), r, &rec)
	return rec
}

// stamping says whether this machine's kernel stamps what comes, which it begins to do a moment after it is first asked.
func stamping(t *testing.T, server *httptest.Server) *client {
	t.Helper()
	c := newClient(Target{URL: server.URL, Insecure: true}, lab.NewEpoch().Clock(), func(*lab.RequestRecord) {})
	t.Cleanup(c.close)
	for range 50 {
		if rec := ask(t, c, Request{Path: "/warm"}); rec.Stamps != nil && rec.Stamps.Reading == 0 {
			return c
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Skip("the kernel gives no receive stamps here")
	return nil
}

func TestAnEventArrivesWhenTheKernelTookItInHoweverLateItIsRead(t *testing.T) {
	read, wrote := make(chan bool), make(chan bool)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/warm" {
			stream200(oneToken+lastToken+done)(w, r)
			return
		}
		stream200(oneToken)(w, r)
		w.(http.Flusher).Flush()
		<-read
		io.WriteString(w, lastToken+done)
		w.(http.Flusher).Flush()
		wrote <- true
	}))
	defer server.Close()
	c := stamping(t, server)
	var busy time.Duration
	c.token = func(*lab.RequestRecord) {
		if busy == 0 { // with the first event, while the second one comes
			read <- true
			<-wrote
			time.Sleep(20 * time.Millisecond)
			busy = c.clock.Now()
		}
	}
	rec := ask(t, c, Request{Path: "/", Output: 2, Fixed: true})
	if !rec.OK() || len(rec.Chunks) != 2 {
		t.Fatalf("got %+v", rec)
	}
	if at := rec.Chunks[1].At; at >= busy || at <= rec.Chunks[0].At {
		t.Errorf("the second event came at %v, the first at %v; it was read after %v", at, rec.Chunks[0].At, busy)
	}
	if s := rec.Stamps; s.Kernel != 2 || s.Reading != 0 || s.Shared != 1 || s.Lag.N() != 2 || s.Lag.Max < busy-rec.Chunks[1].At {
		t.Errorf("stamps %+v", s)
	}
	if rec.FirstByte > rec.Chunks[0].At || rec.Written == 0 || rec.Written < rec.Sent {
		t.Errorf("the order of moments is wrong: %+v", rec)
	}
}

func TestEventsThatComeInOneReadShareItsStampAndAreCounted(t *testing.T) {
	server := httptest.NewServer(stream200(oneToken + oneToken + lastToken + done))
	defer server.Close()
	rec := ask(t, stamping(t, server), Request{Path: "/"})
	if s := rec.Stamps; s == nil || s.Kernel != 3 || s.Shared != 3 || rec.Chunks[0].At != rec.Chunks[2].At {
		t.Errorf("got %+v, chunks %v", s, rec.Chunks)
	}
}

func TestAConnectionUnderTLSHasTheKernelsStampsToo(t *testing.T) {
	server := httptest.NewTLSServer(stream200(oneToken + lastToken + done))
	defer server.Close()
	rec := ask(t, stamping(t, server), Request{Path: "/", Body: make([]byte, 100_000)})
	if s := rec.Stamps; !rec.OK() || s == nil || s.Kernel != 2 || rec.Written == 0 || rec.FirstByte == 0 || rec.FirstByte > rec.Chunks[0].At {
		t.Errorf("got %+v, stamps %+v", rec, s)
	}
}

func TestWhereTheKernelGivesNoStampsAMomentIsTheReadingAndSaysSo(t *testing.T) {
	listener, err := net.Listen("unix", t.TempDir()+"/s")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: stream200(oneToken + lastToken + done)}
	go server.Serve(listener)
	defer server.Close()
	c := newClient(Target{URL: "http://server"}, lab.NewEpoch().Clock(), func(*lab.RequestRecord) {})
	defer c.close()
	c.http.Transport.(*http.Transport).DialContext = func(context.Context, string, string) (net.Conn, error) {
		plain, err := net.Dial("unix", listener.Addr().String())
		if err != nil {
			return nil, err
		}
		return stamp(plain, c.clock), nil
	}
	rec := ask(t, c, Request{Path: "/", Output: 2, Fixed: true})
	if s := rec.Stamps; !rec.OK() || s.Kernel != 0 || s.Reading != 2 || s.Shared != 0 || s.Lag.N() != 0 {
		t.Errorf("got %+v, stamps %+v", rec, s)
	}
	if rec.Chunks[0].At < rec.FirstByte || rec.FirstByte < rec.Sent {
		t.Errorf("the order of moments is wrong: %+v", rec)
	}
}

func TestARequestIsWrittenWhenTheKernelHasAllOfItAndNotBefore(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	c := newClient(Target{URL: "http://" + listener.Addr().String()}, lab.NewEpoch().Clock(), func(*lab.RequestRecord) {})
	defer c.close()
	large := Request{Path: "/", Body: make([]byte, 32<<20)} // more than sockets hold

	began := make(chan time.Duration, 1)
	go func() {
		peer, err := listener.Accept()
		if err != nil {
			return
		}
		defer peer.Close()
		time.Sleep(20 * time.Millisecond)
		began <- c.clock.Now()
		if req, err := http.ReadRequest(bufio.NewReader(peer)); err == nil {
			io.Copy(io.Discard, req.Body)
			io.WriteString(peer, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"+oneToken+lastToken+done)
		}
	}()
	if rec := ask(t, c, large); !rec.OK() || rec.Written <= <-began {
		t.Errorf("written at %v: %s %s", rec.Written, rec.Error, rec.Detail)
	}

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var rec lab.RequestRecord
	if c.do(ctx, large, &rec); rec.Error != lab.ErrCanceled || rec.Connected == 0 || rec.Written != 0 {
		t.Errorf("of a server that never read, the request was written at %v: %s", rec.Written, rec.Error)
	}
}

func TestAStepOfTheWallClockIsCountedAndTheStampsAroundItAreNotUsed(t *testing.T) {
	for _, step := range []time.Duration{5 * time.Millisecond, -5 * time.Millisecond, time.Hour, -time.Hour} {
		r := newRealtime(lab.NewEpoch().Clock())
		time.Sleep(time.Millisecond)
		now := func() int64 { return time.Now().UnixNano() }
		before := now()
		if at, ok := r.arrival(before, r.clock.Now()); !ok || at > r.clock.Now() {
			t.Fatalf("a good stamp is refused: %v, %v", at, ok)
		}
		r.distance.Add(-int64(step)) // as if it had been read before the clock was set
		read := r.clock.Now()
		if at, ok := r.arrival(now(), read); ok || at != read || r.steps.Load() != 1 {
			t.Errorf("step %v: a stamp after it is taken for %v, read at %v; %d steps", step, at, read, r.steps.Load())
		}
		if _, ok := r.arrival(before-int64(step), r.clock.Now()); ok {
			t.Errorf("step %v: a stamp from before it is taken", step)
		}
		time.Sleep(time.Millisecond)
		if _, ok := r.arrival(now(), r.clock.Now()); !ok || r.steps.Load() != 1 {
			t.Errorf("step %v: a stamp long after it is refused, or it counts %d times", step, r.steps.Load())
		}
	}
}

func TestTheClientsSamplesHoldItsLagAndTheAnchorOfItsStamps(t *testing.T) {
	server := httptest.NewServer(stream200(oneToken + lastToken + done))
	defer server.Close()
	stamping(t, server)
	epoch := lab.NewEpoch()
	var samples []lab.Sample // all from one goroutine, which Run waits for
	_, err := Run(t.Context(), Options{
		Target: Target{URL: server.URL}, Phase: lab.Phase{Load: random(lab.Load{Concurrency: 2, Requests: 20})}, Prompts: numbered{},
		Clock: epoch.Clock(), Progress: &Progress{},
		Record: func(lab.RequestRecord) {}, Sample: func(s lab.Sample) { samples = append(samples, s) },
	})
	if err != nil || len(samples) == 0 {
		t.Fatalf("%d samples, %v", len(samples), err)
	}
	last := samples[len(samples)-1]
	if v := last.Values; v[lab.ClientLag] <= 0 || v[lab.ClientWaitMax] < v[lab.ClientWait99] || v[lab.ClientWait99] <= 0 {
		t.Errorf("got %+v", v)
	}
	if steps, ok := last.Values[lab.ClientSteps]; !ok || steps != 0 {
		t.Errorf("%g steps of the wall clock, told %v", steps, ok)
	}
	wall := float64(epoch.Wall.Add(last.At).UnixNano()) / 1e9
	if off := last.Values[lab.ClockWall] - wall; math.Abs(off) > 0.1 {
		t.Errorf("the anchor is %g s off", off)
	}
}

func TestTheRuntimesDistributionsAreReadAsWhatTheyGained(t *testing.T) {
	s := spread{before: []uint64{5, 0, 7, 0}, gained: make([]uint64, 4), bounds: []float64{0, 1, 2, 4, math.Inf(1)}}
	if _, ok := s.quantile(1); ok {
		t.Error("nothing was gained, and it has a quantile")
	}
	s.gain([]uint64{5 + 98, 0, 7 + 1, 1})
	for q, want := range map[float64]float64{0.5: 1, 0.99: 4, 1: 4} {
		if v, ok := s.quantile(q); !ok || v != want {
			t.Errorf("quantile %g: %g, want %g", q, v, want)
		}
	}
	s.gain([]uint64{103, 1, 8, 1})
	if v, _ := s.quantile(1); v != 2 {
		t.Errorf("after another gain the longest is %g, want 2", v)
	}
}

// A connection whose answer has ended may carry another request before the reader of the last got to run.
func TestTheStampOfTheNextRequestOnAConnectionIsNotTakenForTheLasts(t *testing.T) {
	c := newClient(Target{}, lab.NewEpoch().Clock(), func(*lab.RequestRecord) {})
	defer c.close()
	local, remote := tcpPair(t)
	on := stamp(local, c.clock)
	rec := lab.RequestRecord{}
	s := &stream{}
	s.begin(c, on, on.use.Add(1), Request{}, &rec)
	on.stamp.Store(time.Now().UnixNano())
	if s.mark(); !s.kernel {
		t.Error("its own stamp is refused")
	}
	on.use.Add(1)
	on.stamp.Store(time.Now().UnixNano())
	if s.mark(); s.kernel || s.came != s.at {
		t.Error("the next one's stamp is taken")
	}
	remote.Close()
}

func TestAnEventAllocatesNothing(t *testing.T) {
	const runs = 1000
	rec := lab.RequestRecord{}
	var progress Progress
	c := newClient(Target{}, lab.NewEpoch().Clock(), progress.token)
	local, remote := tcpPair(t)
	s := &stream{}
	s.begin(c, stamp(local, c.clock), 0, Request{Output: 4 * runs}, &rec)
	event := []byte(oneToken)
	one := func() {
		if _, err := remote.Write(event); err != nil {
			t.Fatal(err)
		}
		n, err := s.conn.Read(s.buf[:])
		if err != nil {
			t.Fatal(err)
		}
		s.mark()
		if err := s.split.feed(s.buf[:n], s.event); err != nil {
			t.Fatal(err)
		}
	}
	if allocs := testing.AllocsPerRun(runs, one); allocs != 0 {
		t.Errorf("%g allocations an event", allocs)
	}
	if len(rec.Chunks) != runs+1 {
		t.Errorf("%d chunks", len(rec.Chunks))
	}
}

func tcpPair(t testing.TB) (local, remote net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if local, err = net.Dial("tcp", listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if remote, err = listener.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { local.Close(); remote.Close() })
	return local, remote
}

// BenchmarkRead is what a read of the socket costs with the kernel's stamp and without.
func BenchmarkRead(b *testing.B) {
	for _, name := range []string{"plain", "stamped"} {
		b.Run(name, func(b *testing.B) {
			local, remote := tcpPair(b)
			if name == "stamped" {
				local = stamp(local, lab.NewEpoch().Clock())
			}
			event, buf := []byte(oneToken), make([]byte, 16<<10)
			b.ReportAllocs()
			for b.Loop() {
				remote.Write(event)
				if _, err := local.Read(buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
