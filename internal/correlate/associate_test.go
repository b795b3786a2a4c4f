package correlate

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"lab/internal/lab"
)

func TestTheOrderOfAnAutoregressionIsChosenAsInTheReference(t *testing.T) {
	var x []float64
	for len(x) < 20 {
		x = append(x, 1, 2, 3, 2, 1, 0)
	}
	phi := autoregression(x[:20], 3)
	want := []float64{.347866, -.363636, -.529685}
	if len(phi) != 3 {
		t.Fatalf("phi %v, want %v", phi, want)
	}
	for i := range want {
		if math.Abs(phi[i]-want[i]) > 1e-6 {
			t.Errorf("phi %v, want %v", phi, want)
		}
	}
}

func TestResidualsKeepNothingOfWhatWasGiven(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 3))
	y, a := make([]float64, 200), make([]float64, 200)
	for i := range y {
		a[i] = 1e6 + float64(i%7)
		y[i] = 5 + 3*a[i] + 0.01*float64(i) + random.NormFloat64()
	}
	left := residuals(y, ramp(200), a, a) // given twice: the second adds nothing
	for name, given := range map[string][]float64{"line": ramp(200), "series": a} {
		if r := pearson(left, given); math.Abs(r) > 1e-6 {
			t.Errorf("%s: correlation %g is left", name, r)
		}
	}
	if sd := math.Sqrt(dot(left, left) / 200); sd < 0.8 || sd > 1.2 {
		t.Errorf("noise of %.2f is left, want 1", sd)
	}
}

// walk is a random walk, or with rho below 1 an autoregression.
func walk(random *rand.Rand, n int, rho float64) []float64 {
	x, v := make([]float64, n), 0.0
	for i := range x {
		v = rho*v + random.NormFloat64()
		x[i] = v
	}
	return x
}

const trials = 1000

func TestIndependentRandomWalksAreSeldomAssociated(t *testing.T) {
	for _, rho := range []float64{1, 0.97, 0.5} {
		found, rotatedFound := 0, 0
		for seed := range uint64(trials) {
			random := rand.New(rand.NewPCG(seed, 11))
			u, w := whitened(walk(random, 300, rho), walk(random, 300, rho))
			if strongest(u, w, 5).p < significance {
				found++
			}
			if seed < 200 && rotated(u, w, 5) < significance {
				rotatedFound++
			}
		}
		t.Logf("rho %g: %.1f %% of %d by the t test, %.1f %% of 200 by rotation", rho, 100*float64(found)/trials, trials, float64(rotatedFound)/2)
		if share := float64(found) / trials; share > 0.07 {
			t.Errorf("rho %g: %.1f %% of independent pairs are found associated, at most 7 %% may be", rho, 100*share)
		}
	}
}

func TestACouplingAtTwoSecondsIsFoundAtThatLag(t *testing.T) {
	found := 0
	for seed := range uint64(trials) {
		random := rand.New(rand.NewPCG(seed, 13))
		x, y := walk(random, 300, 0.9), walk(random, 300, 0.9)
		for i := 2; i < len(y); i++ {
			y[i] += 0.35 * x[i-2]
		}
		u, w := whitened(x, y)
		if l := strongest(u, w, 5); l.p < significance && l.lag == 2 && l.r > 0 {
			found++
		}
	}
	t.Logf("found in %.1f %% of %d", 100*float64(found)/trials, trials)
	if found < trials*95/100 {
		t.Errorf("a coupling at 2 s is found in %d of %d", found, trials)
	}
}

// loaded is a run of so many seconds whose gaps follow the number of requests, and by strength the clock three seconds
// before; power follows the number of requests.
func loaded(seed uint64, seconds int, strength float64) (lab.Run, lab.Tables) {
	random := rand.New(rand.NewPCG(seed, 17))
	clock, load := walk(random, seconds+10, 0.9), walk(random, seconds+10, 0.9)
	requests := make([]int, seconds+10)
	for i, v := range load {
		requests[i] = max(1, 12+int(2*v))
	}
	var t lab.Tables
	for i := range seconds + 10 {
		for j := range 5 {
			t.Samples = append(t.Samples, lab.Sample{At: time.Duration(i)*time.Second + time.Duration(j)*200*time.Millisecond + time.Millisecond, Device: "gpu0",
				Values: map[string]float64{lab.GPUSMClock: 1800 + 10*clock[i], lab.GPUPower: 400 + 20*float64(requests[max(0, i-1)]) + 5*random.NormFloat64()}})
		}
	}
	seq := 0
	for i := range seconds {
		n := requests[i]
		gap := 0.02 * (1 + 0.03*float64(n-12) + 0.02*random.NormFloat64())
		if i >= 2 {
			gap *= 1 - 0.02*strength*clock[i-2] // sent at i+1 seconds
		}
		for k := range n {
			q := request(seq, "p", time.Duration(i+1)*time.Second+time.Duration(k)*5*time.Millisecond, 30*time.Millisecond, time.Duration(gap*1e9), 100, 20)
			t.Requests = append(t.Requests, q)
			seq++
		}
	}
	return experiment("p"), t
}

func TestAnAssociationIsReportedGivenTheLoadWithItsLagAndInterval(t *testing.T) {
	found, others := 0, 0
	const runs = 20
	for seed := range uint64(runs) {
		h := Explain(loaded(seed, 240, 2))
		for _, a := range h.Associations {
			switch {
			case a.Value == lab.GPUSMClock && a.Metric == "itl":
				if a.Correlation < 0 && a.Low < a.Correlation && a.Correlation < a.High && a.High < 0 && a.P < 0.05 && a.N > 200 && a.Given != "" && a.Lag == 3*time.Second {
					found++
				}
			case a.Value == lab.GPUPower: // goes with the load, and so with the gaps: not beyond it
				others++
			}
		}
	}
	if found < runs*9/10 {
		t.Errorf("the clock's part was found in %d of %d runs", found, runs)
	}
	if others > 3 {
		t.Errorf("power, which only goes with the load, was associated in %d cases of %d", others, 2*runs)
	}
	short, tables := loaded(1, 50, 3)
	if h := Explain(short, tables); len(h.Associations) != 0 {
		t.Errorf("50 s are too short, yet: %+v", h.Associations)
	}
}

func TestATrendHasAnIntervalThatAllowsForWhatReadingsShare(t *testing.T) {
	const runs = 200
	wrong, found := 0, 0
	for seed := range uint64(runs) {
		random := rand.New(rand.NewPCG(seed, 19))
		noise := walk(random, 1200, 0.95) // a second apart, a memory of 20 s
		for _, perHour := range []float64{0, 60} {
			b := blocks{whole: span{0, 1200 * time.Second}}
			for i, v := range noise {
				b.put(time.Duration(i)*time.Second, v+perHour*float64(i)/3600)
			}
			trend := b.trend(nil, "x", "1/h")
			if len(trend) != 1 || trend[0].N != 1200 {
				t.Fatalf("trend %+v", trend)
			}
			switch got := trend[0]; {
			case perHour == 0 && (got.Low > 0 || got.High < 0):
				wrong++
			case perHour > 0 && got.Rising && got.Low < perHour && perHour < got.High:
				found++
			}
		}
	}
	t.Logf("wrong %d, found %d of %d", wrong, found, runs)
	if wrong > runs/10 {
		t.Errorf("a slope was seen in %d of %d series without", wrong, runs)
	}
	if found < runs*8/10 {
		t.Errorf("a slope was seen in %d of %d series with", found, runs)
	}
}
