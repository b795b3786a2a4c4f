package loadgen

import (
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lab/internal/lab"
)

// slow answers when it is told to, and counts the connections that were made to it.
func slow(t *testing.T, secure bool) (server *httptest.Server, asked, release chan bool, made *atomic.Int32) {
	t.Helper()
	asked, release, made = make(chan bool), make(chan bool), &atomic.Int32{}
	server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/health" {
			asked <- true
			<-release
		}
		stream200(oneToken+lastToken+done)(w, r)
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			made.Add(1)
		}
	}
	if secure {
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	return server, asked, release, made
}

// eventually waits until something that goes on in the background is done.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for range 2000 {
		if is() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("never: " + what)
}

func (d *dialer) standing() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.spares)
}

func TestARequestThatFindsEveryConnectionBusyTakesASpareAndAnotherIsOpened(t *testing.T) {
	for _, secure := range []bool{false, true} {
		server, asked, release, made := slow(t, secure)
		c := newClient(Target{URL: server.URL, Insecure: true}, lab.NewEpoch().Clock(), func(*lab.RequestRecord) {})
		c.dialer.keep = 2
		c.connect(t.Context(), 1)
		eventually(t, "two spares beside the idle one", func() bool { return c.dialer.standing() == 2 && made.Load() == 3 })
		var records [3]lab.RequestRecord
		var all sync.WaitGroup
		for i := range records {
			all.Go(func() { c.do(t.Context(), Request{Path: "/", Body: []byte("{}"), Output: 2, Fixed: true}, &records[i]) })
		}
		for range records {
			<-asked
		}
		for range records {
			release <- true
		}
		all.Wait()
		opened := 0
		for _, r := range records {
			if !r.OK() {
				t.Errorf("%s: %s", r.Error, r.Detail)
			}
			if r.Connected > 0 {
				opened++
			}
		}
		if opened != 2 {
			t.Errorf("secure %v: %d of 3 requests took a new connection, want 2", secure, opened)
		}
		eventually(t, "as many spares again", func() bool { return c.dialer.standing() == 2 })
		c.close()
		if n := len(c.dialer.all); n > 3 { // the idle ones are closed by net/http, which takes its time
			t.Errorf("%d connections are left", n)
		}
	}
}

func TestASpareThatTheServerHasClosedIsNotUsed(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	d := newDialer(Target{URL: "http://" + listener.Addr().String()}, lab.NewEpoch().Clock())
	defer d.close()
	d.keep = 2
	d.refill("tcp", listener.Addr().String())
	var peers []net.Conn
	for range 2 {
		peer, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer peer.Close()
		peers = append(peers, peer)
	}
	eventually(t, "two spares", func() bool { return d.standing() == 2 })
	youngest := d.spares[1].LocalAddr().String()
	for _, peer := range peers {
		if peer.RemoteAddr().String() == youngest {
			peer.Close()
		}
	}
	eventually(t, "the end is seen", func() bool { return hungUp(under(d.spares[1].Conn).Conn) })
	got := d.take()
	if got == nil || got.LocalAddr().String() == youngest {
		t.Fatalf("got %v", got)
	}
	got.Close()
	if d.take() != nil {
		t.Error("there is another")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.all) != 0 {
		t.Errorf("%d connections are still known", len(d.all))
	}
}

func TestWhatTheClientHasNotReadIsCountedForEachConnection(t *testing.T) {
	local, remote := tcpPair(t)
	d := newDialer(Target{}, lab.NewEpoch().Clock())
	defer d.close()
	c := stamp(local, d.clock)
	d.all[c] = struct{}{}
	if c.stamped.raw == nil {
		t.Skip("the kernel does not say here")
	}
	remote.Write(make([]byte, 1000))
	eventually(t, "1000 bytes unread", func() bool { sum, most := d.unread(); return sum == 1000 && most == 1000 })
}

func TestAsManyConnectionsAreOpenedAsTheFirstMomentsMayNeed(t *testing.T) {
	infinite := lab.Number(math.Inf(1))
	for name, tc := range map[string]struct {
		load lab.Load
		want int
	}{
		"a closed loop":           {lab.Load{Concurrency: 64, Requests: 1000}, 64},
		"more slots than work":    {lab.Load{Concurrency: 64, Requests: 10}, 10},
		"all at once":             {lab.Load{Rate: infinite, Requests: 300}, 300},
		"all at once, bounded":    {lab.Load{Rate: infinite, Requests: 300, Concurrency: 20}, 20},
		"no more than the system": {lab.Load{Concurrency: 5000}, mostConnections},
		"an even rate":            {lab.Load{Rate: 100, Burstiness: infinite, Requests: 50}, 10},
	} {
		if got := connections(tc.load, Arrivals(tc.load)); got != tc.want {
			t.Errorf("%s: %d, want %d", name, got, tc.want)
		}
	}
}

func TestTheFirstSlotsBeginBeforeTheConnectionsOfTheOthersStand(t *testing.T) {
	const slots = wave + 8
	var asked, healthy, made atomic.Int32
	begun, all := make(chan bool), make(chan bool)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/health" {
			if healthy.Add(1) > wave {
				<-begun
			}
			return
		}
		switch asked.Add(1) {
		case 1:
			close(begun)
		case slots:
			close(all)
		}
		<-all // so that no connection is idle while others are opened
		stream200(oneToken+lastToken+done)(w, r)
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			made.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	var mu sync.Mutex
	var records []lab.RequestRecord
	_, err := Run(t.Context(), Options{
		Target: Target{URL: server.URL}, Phase: lab.Phase{Load: random(lab.Load{Concurrency: slots, Requests: slots})}, Prompts: numbered{},
		Clock: lab.NewEpoch().Clock(), Progress: &Progress{}, Sample: func(lab.Sample) {},
		Record: func(r lab.RequestRecord) {
			mu.Lock()
			defer mu.Unlock()
			records = append(records, r)
		},
	})
	if err != nil || len(records) != slots || made.Load() != slots {
		t.Fatalf("%d records over %d connections, want %d: %v", len(records), made.Load(), slots, err)
	}
	for _, r := range records {
		if r.Status != http.StatusOK || r.Connected > 0 {
			t.Fatalf("a request had to open its connection, or got no answer: %+v", r)
		}
	}
}

func TestGarbageMayGrowToAFixedSizeWithinBounds(t *testing.T) {
	for live, want := range map[uint64]int{0: mostPercent, 4 << 20: mostPercent, 32 << 20: 200, 64 << 20: 100, 4 << 30: leastPercent} {
		if got := percentFor(live); got != want {
			t.Errorf("%d MiB: %d %%, want %d %%", live>>20, got, want)
		}
	}
}

func FuzzRunDelay(f *testing.F) {
	for _, seed := range []string{"1 2 3\n", "", "0 -5 1", "1 99999999999999999999 1", "a b c"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if wait, ok := runDelay(text); ok && wait < 0 {
			t.Errorf("%q: waited %v", text, wait)
		}
	})
	if wait, ok := runDelay([]byte("345966 1200 7\n")); !ok || wait != 1200 {
		f.Errorf("got %v", wait)
	}
}
