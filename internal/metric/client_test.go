package metric

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"lab/internal/lab"
)

func TestTheWayToTheFirstTokenIsTakenApart(t *testing.T) {
	fresh := request(0, 1000*ms, 50*ms, 10*ms, 3)
	fresh.Sent, fresh.Connected, fresh.Written, fresh.FirstByte = 1002*ms, 1005*ms, 1006*ms, 1040*ms
	kept := request(1, 1000*ms, 60*ms, 10*ms, 3)
	kept.Sent, kept.Written, kept.FirstByte = 1001*ms, 1003*ms, 1050*ms
	cut := lab.RequestRecord{Seq: 2, Phase: "load", Intended: 1000 * ms, Sent: 1009 * ms, Done: 1010 * ms, Error: lab.ErrConnect}
	s := Summarise(run(), lab.Tables{Requests: []lab.RequestRecord{fresh, kept, cut}})
	for name, want := range map[string]struct {
		value float64
		n     int
	}{
		"lag.max": {.009, 3}, "lag.p50": {.002, 3}, "connect.max": {.003, 1}, "write.p50": {.0015, 2}, "first_byte.max": {.047, 2}, "first_token.p50": {.010, 2},
		"ttft_sent.mean": {(.048 + .059) / 2, 2}, "ttft.mean": {.055, 2},
	} {
		f := figure(t, s, name)
		near(t, name, f.Value, want.value)
		if f.N != want.n {
			t.Errorf("%s rests on %d, want %d", name, f.N, want.n)
		}
	}
	for _, name := range []string{"sent_rate", "arrival_ks"} {
		if f, ok := s.Figure("load", name); ok {
			t.Errorf("a closed loop has %+v", f)
		}
	}
}

// A second's samples would not do for a load of a second.
func TestTheClientsCountersAreThoseOfItsOwnLoadHoweverShort(t *testing.T) {
	tables := lab.Tables{Requests: []lab.RequestRecord{request(0, 1000*ms, 50*ms, 10*ms, 11)}} // to 1151 ms
	for _, s := range []struct {
		at                time.Duration
		cpu, wait, unread float64
	}{{500 * ms, 1, 0, 7000}, {999 * ms, 3, .2, 9000}, {1199 * ms, 3.1, .26, 50}, {2199 * ms, 9, 5, 8000}} {
		tables.Samples = append(tables.Samples, lab.Sample{At: s.at, Device: "client",
			Values: map[string]float64{lab.ClientCPU: s.cpu, lab.ClientRunWait: s.wait, lab.ClientUnreadMax: s.unread, lab.ClientCores: 2}})
	}
	s := Summarise(run(), tables)
	for name, want := range map[string]float64{"client_cpu": .5, "client_wait": .3, "unread.max": 50, "client_cores": 2} {
		near(t, name, figure(t, s, name).Value, want)
	}
	tables.Samples = tables.Samples[:2]
	if f, ok := Summarise(run(), tables).Figure("load", "client_cpu"); ok {
		t.Errorf("from samples before the load: %+v", f)
	}
}

func TestARunWhoseClientWasTheLimitSaysWhichLimit(t *testing.T) {
	late := func(t *lab.Tables) {
		for i := range t.Requests {
			t.Requests[i].Sent += 40 * ms
		}
	}
	slow := func(t *lab.Tables) {
		for i := range t.Requests {
			t.Requests[i].Stamps = &lab.Stamps{Kernel: 1}
			t.Requests[i].Stamps.Lag.Add(60 * ms)
		}
	}
	counter := func(name string, cores float64) func(*lab.Tables) {
		return func(t *lab.Tables) {
			for _, s := range t.Samples {
				if s.Device == "client" {
					s.Values[name] = s.At.Seconds() * cores
				}
			}
		}
	}
	gauge := func(name string, v float64) func(*lab.Tables) {
		return func(t *lab.Tables) { each(t, "client", name, v) }
	}
	for name, tc := range map[string]struct {
		spoil      []func(*lab.Tables)
		code, says string
	}{
		"cpu":     {[]func(*lab.Tables){late, counter(lab.ClientCPU, 1.9)}, "client-lag", "The limit was its CPU: it used 1.90 of the 2 cores"},
		"box":     {[]func(*lab.Tables){late, counter(lab.ClientRunWait, .7)}, "client-lag", "The limit was a busy box: 0.70 of its threads waited for a core on average, while it used 0.10"},
		"gc":      {[]func(*lab.Tables){late, counter(lab.ClientCPU, 1.9), counter(lab.ClientGCCPU, .6)}, "client-lag", "The limit was its garbage collector: it took 0.60 cores"},
		"pause":   {[]func(*lab.Tables){late, gauge(lab.ClientGCMax, .03)}, "client-lag", "The limit was its garbage collector: its longest pause was 30.0 ms"},
		"backlog": {[]func(*lab.Tables){slow, gauge(lab.ClientUnreadMax, 1<<20)}, "client-behind", "up to 1024 KiB stood unread in one socket"},
		"steal": {[]func(*lab.Tables){late, func(t *lab.Tables) {
			t.Samples = append(t.Samples, lab.Sample{At: 2000 * ms, Device: "host", Values: map[string]float64{lab.HostSteal: 30}})
		}}, "client-lag", "it took away 30 % of the CPU"},
		"stopped": {[]func(*lab.Tables){late}, "client-lag", "may have been stopped"},
		"unstamped": {[]func(*lab.Tables){gauge(lab.ClientLate, .2), counter(lab.ClientRunWait, .7), func(t *lab.Tables) {
			t.Requests[0].Stamps = &lab.Stamps{Reading: 3}
		}}, "client-late", "The limit was a busy box"},
	} {
		t.Run(name, func(t *testing.T) {
			r, tables := run(), healthy()
			gauge(lab.ClientCores, 2)(&tables)
			counter(lab.ClientRunWait, 0)(&tables)
			for _, spoil := range tc.spoil {
				spoil(&tables)
			}
			r.Findings = Check(r, tables, Summarise(r, tables))
			var told []string
			for _, f := range r.Findings {
				if f.Level == lab.Invalid {
					told = append(told, f.Code+": "+f.Detail)
				}
			}
			if len(told) != 1 || !strings.HasPrefix(told[0], tc.code+": ") || !strings.Contains(told[0], "the client was the limit") || !strings.Contains(told[0], tc.says) {
				t.Errorf("got %q, want %s … %s", told, tc.code, tc.says)
			}
		})
	}
}

func TestReadingLateLeavesAnOpenLoopValidUntilTheServerMustWait(t *testing.T) {
	for lag, valid := range map[time.Duration]bool{100 * ms: true, 3 * time.Second: false} {
		r, tables := run(), healthy()
		r.Experiment.Phases[0].Load = lab.Load{Rate: 100, Burstiness: lab.Number(math.Inf(1)), Dataset: lab.Dataset{Kind: "random"}}
		for i := range tables.Requests {
			tables.Requests[i].Stamps = &lab.Stamps{Kernel: 1}
			tables.Requests[i].Stamps.Lag.Add(lag)
		}
		if r.Findings = Check(r, tables, Summarise(r, tables)); r.Valid() != valid {
			t.Errorf("read %v late: valid %v, %+v", lag, r.Valid(), r.Findings)
		}
	}
}

func TestReadingLaterThanTokensComeSpoilsTheirGapsInAnOpenLoopToo(t *testing.T) {
	for _, tc := range []struct {
		lag    time.Duration
		shared int
		level  lab.Level
	}{{30 * ms, 5, lab.Invalid}, {8 * ms, 5, lab.Warning}, {3 * ms, 5, lab.Warning}, {ms, 5, ""}, {30 * ms, 0, ""}} { // tokens come every 10 ms
		r, tables := run(), healthy()
		r.Experiment.Phases[0].Load = lab.Load{Rate: 100, Burstiness: lab.Number(math.Inf(1)), Dataset: lab.Dataset{Kind: "random"}}
		for i := range tables.Requests {
			stamps := &lab.Stamps{Kernel: 11, Shared: tc.shared}
			for range stamps.Kernel {
				stamps.Lag.Add(tc.lag)
			}
			tables.Requests[i].Stamps = stamps
		}
		var level lab.Level
		for _, f := range Check(r, tables, Summarise(r, tables)) {
			if f.Code == "client-behind" {
				level = f.Level
			}
		}
		if level != tc.level {
			t.Errorf("%v late, %d of 11 shared: %q, want %q", tc.lag, tc.shared, level, tc.level)
		}
	}
}

// A client that was stopped for most of the time has few samples of it, and many of the rest.
func TestHowLateTheClientWasIsOfTimeAndNotOfSamples(t *testing.T) {
	r, tables := run(), healthy() // from 1 s to 5.15 s
	tables.Requests[0].Stamps = &lab.Stamps{Reading: 3}
	tables.Samples = slices.DeleteFunc(tables.Samples, func(s lab.Sample) bool { return s.Device == "client" })
	for _, s := range []struct {
		at   time.Duration
		late float64
	}{{999 * ms, 0}, {1400 * ms, .001}, {4600 * ms, 3.2}, {4700 * ms, .001}, {4800 * ms, .002}, {4900 * ms, .001}, {5200 * ms, .001}} {
		tables.Samples = append(tables.Samples, lab.Sample{At: s.at, Device: "client", Values: map[string]float64{lab.ClientLate: s.late, lab.ClientCores: 2, lab.ClientCPU: 1}})
	}
	r.Findings = Check(r, tables, Summarise(r, tables))
	if r.Valid() || !told(r.Findings, "client-late") {
		t.Errorf("3.2 of 4.2 s late, without stamps: valid %v, %+v", r.Valid(), r.Findings)
	}
}

// poisson makes the requests of an open loop: 100 a second by the given shape, sent as `late` says.
func poisson(n int, shape float64, late func(i int, at time.Duration) time.Duration) (lab.Run, lab.Tables) {
	random := rand.New(rand.NewPCG(1, 2))
	r, tables := run(), healthy()
	tables.Requests = nil
	r.Experiment.Phases[0].Load = lab.Load{Rate: 100, Burstiness: lab.Number(shape), Requests: n, Dataset: lab.Dataset{Kind: "random", PrefixTokens: 1}}
	at := 1.0
	for i := range n {
		gap := 0.0
		for range int(shape) { // a sum of exponentials is gamma distributed
			gap += random.ExpFloat64() / shape
		}
		at += gap / 100
		one := request(i, time.Duration(at*1e9), 50*ms, 10*ms, 11)
		one.Sent = late(i, one.Intended)
		tables.Requests = append(tables.Requests, one)
	}
	return r, tables
}

func TestWhatLeftIsHeldAgainstTheProcessThatWasAsked(t *testing.T) {
	onTime := func(_ int, at time.Duration) time.Duration { return at }
	for _, shape := range []float64{1, 4} {
		r, tables := poisson(3000, shape, onTime)
		s := Summarise(r, tables)
		if ks := figure(t, s, "arrival_ks"); ks.Value > 0.025 || ks.N != 2999 { // 5 % critical: 1.36/sqrt(n)
			t.Errorf("shape %g: %+v", shape, ks)
		}
		if d := figure(t, s, "arrival_dispersion").Value; math.Abs(d*shape-1) > .6 {
			t.Errorf("shape %g: variance/mean %.2f", shape, d)
		}
		near(t, "sent_ratio", figure(t, s, "sent_ratio").Value, 1)
		if f := Check(r, tables, s); told(f, "arrivals") {
			t.Errorf("shape %g: %+v", shape, f)
		}
	}
	// In fives, as a client sends that wakes too seldom.
	r, tables := poisson(3000, 1, onTime)
	for i := range tables.Requests {
		tables.Requests[i].Sent = max(tables.Requests[i].Intended, tables.Requests[min(i+4-i%5, 2999)].Intended)
	}
	if s := Summarise(r, tables); figure(t, s, "arrival_ks").Value < .3 || !told(Check(r, tables, s), "arrivals") {
		t.Errorf("bunches pass: %+v", figure(t, s, "arrival_ks"))
	}
	r, tables = poisson(3000, 1, func(i int, at time.Duration) time.Duration { return at + time.Duration(i)*ms })
	if s := Summarise(r, tables); figure(t, s, "sent_ratio").Value > .95 || !told(Check(r, tables, s), "arrivals") {
		t.Errorf("a rate that was never reached passes: %+v", figure(t, s, "sent_ratio"))
	}
}

func told(all []lab.Finding, code string) bool {
	for _, f := range all {
		if f.Code == code {
			return true
		}
	}
	return false
}

func TestTheGammaDistributionIsThatOfTheTables(t *testing.T) {
	for _, tc := range []struct{ shape, x, want float64 }{
		{1, 1, 1 - math.Exp(-1)}, {1, 5, 1 - math.Exp(-5)}, {.5, .5, math.Erf(math.Sqrt(.5))}, {.5, 3, math.Erf(math.Sqrt(3))},
		{2, 3, 1 - 4*math.Exp(-3)}, {3, 1, 1 - 2.5*math.Exp(-1)}, {100, 100, 0.5132987982791487}, {4, 0, 0},
	} {
		if got := gammaShare(tc.shape, tc.x); math.Abs(got-tc.want) > 1e-9 {
			t.Errorf("P(%g, %g) = %.12g, want %.12g", tc.shape, tc.x, got, tc.want)
		}
	}
}
