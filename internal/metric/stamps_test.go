package metric

import (
	"math"
	"testing"
	"time"

	"lab/internal/lab"
)

func TestTheClientsLagIsOverTheEventsOfAllRequestsOfThePhase(t *testing.T) {
	tables := healthy()
	tables.Requests = tables.Requests[:3]
	other := request(3, 500*ms, 50*ms, ms, 3)
	other.Phase = lab.Warmup
	other.Stamps = &lab.Stamps{Kernel: 1, Shared: 1}
	other.Stamps.Lag.Add(time.Second)
	for i, lags := range [][]time.Duration{{20 * time.Microsecond, 30 * time.Microsecond}, {40 * time.Microsecond, 7 * ms}} {
		s := &lab.Stamps{Kernel: len(lags), Shared: 1, Reading: i * 4}
		for _, lag := range lags {
			s.Lag.Add(lag)
		}
		tables.Requests[i].Stamps = s
	}
	tables.Requests[1].Error = lab.ErrCut
	tables.Requests = append(tables.Requests, other) // the third request is of a client that kept no stamps
	s := Summarise(run(), tables)
	for name, want := range map[string]float64{"read_lag.max": .007, "kernel_stamps": .5, "shared_stamps": .5} {
		near(t, name, figure(t, s, name).Value, want)
	}
	if f := figure(t, s, "read_lag.p50"); f.N != 4 || math.Abs(f.Value/.000033-1) > .25 {
		t.Errorf("median lag %+v", f)
	}
	tables.Requests = tables.Requests[2:3]
	if s = Summarise(run(), tables); len(s.Figures) == 0 {
		t.Fatal("no figures")
	}
	for _, name := range []string{"read_lag.p50", "read_lag.max", "kernel_stamps", "shared_stamps"} {
		if f, ok := s.Figure("load", name); ok {
			t.Errorf("without stamps there is %+v", f)
		}
	}
}

func TestEachLoadCountsTheStepsOfTheWallClockFromZero(t *testing.T) {
	var samples []lab.Sample
	for i, steps := range []float64{0, 1, 1, 2, 0, 0, 1, 3} {
		samples = append(samples, lab.Sample{At: time.Duration(i) * time.Second, Device: "client", Values: map[string]float64{lab.ClientSteps: steps}})
	}
	if n := clockSteps(samples); n != 5 {
		t.Errorf("%d steps, want 5", n)
	}
}
