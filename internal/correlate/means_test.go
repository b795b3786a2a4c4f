package correlate

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"lab/internal/lab"
)

func seriesOf(device, value string, period time.Duration, values ...float64) []lab.Sample {
	var all []lab.Sample
	for i, v := range values {
		all = append(all, lab.Sample{At: time.Duration(i+1) * period, Device: device, Values: map[string]float64{value: v}})
	}
	return all
}

func TestAMeanIsWeighedByTimeAndSaysHowMuchOfTheWindowItSpeaksFor(t *testing.T) {
	samples := seriesOf("gpu0", lab.GPUTemp, 100*time.Millisecond, 10, 10, 20, 20, 20, 20, 20, 20, 20, 20)
	samples = append(samples, lab.Sample{At: 5 * time.Second, Device: "gpu0", Values: map[string]float64{lab.GPUTemp: 50}}) // after a hole
	s := collect(samples).of("gpu0", lab.GPUTemp)
	for _, c := range []struct {
		from, to       time.Duration
		mean, coverage float64
	}{
		{100 * time.Millisecond, 500 * time.Millisecond, 15, 1},
		{250 * time.Millisecond, 350 * time.Millisecond, 15, 1},
		{0, 200 * time.Millisecond, 10, 0.5},                         // nothing before the first
		{time.Second, 2 * time.Second, 20, 0.3},                      // a reading speaks for three periods
		{2 * time.Second, 4 * time.Second, 0, 0},                     // in the hole
		{1200 * time.Millisecond, 5200 * time.Millisecond, 40, .075}, // 0.1 s of 20, 0.2 s of 50
	} {
		mean, coverage := s.mean(c.from, c.to)
		if math.Abs(mean-c.mean) > 1e-9 || math.Abs(coverage-c.coverage) > 1e-9 {
			t.Errorf("%s to %s: mean %g for %g, want %g for %g", c.from, c.to, mean, coverage, c.mean, c.coverage)
		}
	}
}

func TestPrefixIntegralsAgreeWithASumBySteps(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 5))
	s := &series{}
	at := time.Duration(0)
	for range 300 {
		at += time.Duration(random.Int64N(int64(400 * time.Millisecond)))
		s.at, s.v = append(s.at, at), append(s.v, random.Float64()*100)
	}
	s.prepare()
	for range 500 {
		from := time.Duration(random.Int64N(int64(at)))
		to := from + time.Duration(random.Int64N(int64(10*time.Second))) + 1
		want, known := 0.0, 0.0
		for i, v := range s.v {
			end := s.at[i] + maxHold*s.period
			if i+1 < len(s.at) {
				end = min(end, s.at[i+1])
			}
			d := (span{s.at[i], end}).overlap(span{from, to}).Seconds()
			want, known = want+v*d, known+d
		}
		mean, coverage := s.mean(from, to)
		if known > 0 && (math.Abs(mean-want/known) > 1e-6 || math.Abs(coverage-known/(to-from).Seconds()) > 1e-9) {
			t.Fatalf("%s to %s: %g for %g, want %g for %g", from, to, mean, coverage, want/known, known/(to-from).Seconds())
		}
	}
}

func TestACounterRisesEvenlyBetweenReadingsAndAFallIsNothing(t *testing.T) {
	s := collect(seriesOf("engine", lab.EnginePrompt, time.Second, 0, 100, 300, 5, 25)).of("engine", lab.EnginePrompt)
	for _, c := range []struct {
		from, to time.Duration
		want     float64
	}{{time.Second, 3 * time.Second, 300}, {1500 * time.Millisecond, 2500 * time.Millisecond, 150}, {2 * time.Second, 5 * time.Second, 220}} {
		if got, ok := s.rise(c.from, c.to); !ok || math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%s to %s: %g, want %g", c.from, c.to, got, c.want)
		}
	}
	if _, ok := s.rise(time.Second, 9*time.Second); ok {
		t.Error("a window far beyond the readings has an increase")
	}
}

func TestWhatIsItselfAMeanOverASecondIsWithheldForShortParts(t *testing.T) {
	var samples []lab.Sample
	for i := range 200 {
		at := time.Duration(i+1) * 50 * time.Millisecond
		samples = append(samples, lab.Sample{At: at, Device: "gpu0", Values: map[string]float64{lab.GPUPower: 300, lab.GPUPowerAverage: 300, lab.GPUUtil: 90, lab.GPUSMClock: 1900}})
	}
	tables := lab.Tables{Samples: samples}
	for i := range 10 { // 0.3 s to the first token, then 1 s
		tables.Requests = append(tables.Requests, request(i, "p", time.Second+time.Duration(i)*500*time.Millisecond, 300*time.Millisecond, 50*time.Millisecond, 10, 21))
	}
	h := Explain(experiment("p"), tables)
	got := map[string]int{}
	for _, m := range h.Requests {
		got[m.Value+" "+m.Part] = m.N
		if m.N+m.Withheld != 10 || m.P50 <= 0 {
			t.Errorf("%+v", m)
		}
	}
	// Power is a mean over 0.1 s, utilisation over 0.2 s.
	for what, n := range map[string]int{"power_w prefill": 10, "power_w decode": 10, "util_percent prefill": 0, "util_percent decode": 10, "sm_clock_mhz prefill": 10} {
		if got[what] != n {
			t.Errorf("%s of %d requests, want %d", what, got[what], n)
		}
	}
	h = Explain(experiment("p"), lab.Tables{Samples: samples, Requests: tables.Requests[:1]})
	for _, m := range h.Phases[0].Means {
		if m.Value == lab.GPUPowerAverage {
			t.Errorf("of a phase of 1.3 s: %+v", m)
		}
	}
}

func TestTheSlowRequestsAreThoseThatMetTheThrottle(t *testing.T) {
	var tables lab.Tables
	for i := range 200 {
		gap := 20 * time.Millisecond
		if i%20 == 7 { // ten of 200 are twice as slow, all in a second in which the clock was held down
			gap *= 2
		}
		tables.Requests = append(tables.Requests, request(i, "p", time.Duration(i+1)*time.Second, 50*time.Millisecond, gap, 10, 5+i%13))
	}
	held := 0.0
	for i := range 1010 {
		at := time.Duration(i) * 200 * time.Millisecond
		if second := int(at/time.Second) - 1; second >= 0 && second%20 == 7 {
			held += 0.1
		}
		tables.Samples = append(tables.Samples, lab.Sample{At: at, Device: "gpu0", Values: map[string]float64{lab.GPUThrottlePower: held, lab.GPUThrottleThermal: 0}})
	}
	h := Explain(experiment("p"), tables)
	if len(h.Slow) != 1 || h.Slow[0].Reason != CausePowerCap || h.Slow[0].Slow != 1 || h.Slow[0].Others > 0.1 || h.Slow[0].N != 10 || h.Slow[0].NOthers != 190 {
		t.Errorf("%+v", h.Slow)
	}
}

func TestALimitIsNamedByItsRuleWithTheFigureItRestsOn(t *testing.T) {
	seqs := 4
	for _, c := range []struct {
		want   string
		values map[string]map[string]float64 // device -> value -> reading; *_s: a second
	}{
		{"unattributed", map[string]map[string]float64{"engine": {lab.EngineRunning: 3, lab.EngineWaiting: 0, lab.EngineKVUsage: 0.3}}},
		{"batch cap, queueing", map[string]map[string]float64{"engine": {lab.EngineRunning: 4, lab.EngineWaiting: 3, lab.EngineKVUsage: 0.3}}},
		{"KV cache full, queueing", map[string]map[string]float64{"engine": {lab.EngineRunning: 3, lab.EngineWaiting: 3, lab.EngineKVUsage: 0.99}}},
		{"power-throttled", map[string]map[string]float64{"gpu0": {lab.GPUThrottlePower: 0.5, lab.GPUSMClock: 1500, lab.GPUMaxSMClock: 1980}}},
		{"unattributed", map[string]map[string]float64{"gpu0": {lab.GPUThrottlePower: 0.5, lab.GPUSMClock: 1970, lab.GPUMaxSMClock: 1980}}},
		{"thermal", map[string]map[string]float64{"gpu0": {lab.GPUThrottleThermal: 0.1, lab.GPUSMClock: 1970}}},
		{"compute or memory bandwidth", map[string]map[string]float64{"gpu0": {lab.GPUUtil: 97}}},
		{"compute-bound", map[string]map[string]float64{"gpu0": {lab.GPUUtil: 97, lab.GPUTensorUtil: 70, lab.GPUDRAMUtil: 30}}},
		{"memory-bandwidth-bound", map[string]map[string]float64{"gpu0": {lab.GPUUtil: 97, lab.GPUTensorUtil: 20, lab.GPUDRAMUtil: 80}}},
		{"host-bound", map[string]map[string]float64{"gpu0": {lab.GPUUtil: 60}, "server": {lab.ProcCPU: 1.02}}},
	} {
		var tables lab.Tables
		for i := range 90 {
			tables.Requests = append(tables.Requests, request(i, "p", time.Second+time.Duration(i)*250*time.Millisecond, 50*time.Millisecond, 20*time.Millisecond, 10, 30))
		}
		for i := range 150 {
			at := time.Duration(i) * 200 * time.Millisecond
			for device, readings := range c.values {
				values := map[string]float64{}
				for name, v := range readings {
					if values[name] = v; isCounter(device, name) {
						values[name] = v * at.Seconds()
					}
				}
				tables.Samples = append(tables.Samples, lab.Sample{At: at, Device: device, Values: values})
			}
		}
		r := experiment("p")
		r.Experiment.Server.MaxNumSeqs = &seqs
		h := Explain(r, tables)
		var got []string
		for _, b := range h.Bottlenecks {
			got = append(got, b.Class)
			if b.Share != 1 || b.Windows != b.Of || b.Of != 4 || b.Evidence == "" || strings.Contains(b.Evidence, "NaN") {
				t.Errorf("%+v", b)
			}
		}
		if strings.Join(got, ", ") != c.want {
			t.Errorf("%v: %q, want %q", c.values, got, c.want)
		}
	}
	var late lab.Tables
	for i := range 90 {
		q := request(i, "p", time.Second+time.Duration(i)*250*time.Millisecond, 50*time.Millisecond, 20*time.Millisecond, 10, 30)
		q.Intended -= 8 * time.Millisecond
		late.Requests = append(late.Requests, q)
	}
	if h := Explain(experiment("p"), late); len(h.Bottlenecks) != 1 || h.Bottlenecks[0].Class != "client-limited" {
		t.Errorf("sent 8 ms late: %+v", h.Bottlenecks)
	}
}

func TestArmsAreComparedByRunsWithWelchsInterval(t *testing.T) {
	arm := func(watts ...float64) (runs []Hardware) {
		for i, w := range watts {
			runs = append(runs, Hardware{
				Phases: []Phase{
					{Name: "p", Judged: true, Start: time.Second, End: 11 * time.Second, Energy: &PhaseEnergy{Joules: 10 * w, N: 1000},
						Means: []Mean{{Device: "gpu0", Value: lab.GPUPower, Mean: w, Coverage: 1}, {Device: "gpu0", Value: lab.GPUThrottlePower, Mean: float64(i), Counter: true, Coverage: 1}}},
					{Name: "other", Start: 0, End: time.Hour, Means: []Mean{{Device: "gpu0", Value: lab.GPUPower, Mean: 1e6, Coverage: 1}}},
				},
				Stalls: Stalls{Count: i, Gaps: 1000},
			})
		}
		return runs
	}
	// The golden example of Welch's test: the statistics page's eight runs.
	a, b := arm(10.00, 10.08, 10.05, 10.11), arm(10.42, 10.39, 10.51, 10.47)
	all := map[string]Difference{}
	for _, d := range Between(a, b) {
		all[d.Value] = d
	}
	power := all["power"]
	se := (*power.High - *power.Low) / 2 / quantile(0.975, power.DF)
	if power.Unit != "W" || power.NA != 4 || power.NB != 4 || math.Abs(power.A-10.06) > 1e-9 || math.Abs(power.Delta-0.3875) > 1e-9 ||
		math.Abs(se-math.Sqrt((.0022+.00283333)/4)) > 1e-4 || power.DF < 5.5 || power.DF > 6 {
		t.Errorf("power %+v, standard error %g", power, se)
	}
	if e := all["energy per output token"]; math.Abs(e.A-0.1006) > 1e-9 || e.Unit != "J" {
		t.Errorf("energy %+v", e)
	}
	if s := all["throttled"]; s.Delta != 0 || math.Abs(s.A-0.15) > 1e-9 || *s.Low >= 0 || *s.High <= 0 {
		t.Errorf("throttled %+v", s)
	}
	if s := all["stalls per 1000 gaps"]; math.Abs(s.A-1.5) > 1e-9 {
		t.Errorf("stalls %+v", s)
	}
	if _, there := all["sm clock"]; there {
		t.Error("a clock that nobody read is compared")
	}
	if one := Between(a[:1], b[:1])[0]; one.DF != 0 || one.Low != nil || one.High != nil {
		t.Errorf("one run a side has an interval: %+v", one)
	}
}

func TestTheMedianIsThatOfTheSortedValues(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	for n := 1; n < 300; n++ {
		values := make([]float64, n)
		for i := range values {
			values[i] = []float64{random.Float64(), float64(random.IntN(5)), float64(i), float64(-i), math.NaN(), math.Inf(1)}[random.IntN(2+n%5)]
		}
		sorted := slices.Sorted(slices.Values(values))
		want := (sorted[(n-1)/2] + sorted[n/2]) / 2
		if got := median(values); got != want && !(math.IsNaN(got) && math.IsNaN(want)) {
			t.Fatalf("%v of %v, want %v", got, sorted, want)
		}
	}
}
