package sim

import (
	"encoding/json"
	"math"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// streams runs so many equal streams of tokens on a server with a step of 10 ms whatever the batch, and returns the
// moments of each one's tokens.
func streams(t *testing.T, s *server, n, tokens int) [][]time.Duration {
	t.Helper()
	at := make([][]time.Duration, n)
	begin := time.Now()
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			r := httptest.NewRequest("POST", "/v1/completions", strings.NewReader(long(tokens)))
			r.Header.Set("Content-Type", "application/json")
			s.ServeHTTP(&stampWriter{httptest.NewRecorder(), func() { at[i] = append(at[i], time.Since(begin)) }}, r)
		})
	}
	wg.Wait()
	return at
}

func steady(fail string) []string {
	return []string{"--step-time", "10ms", "--run-noise", "0", "--kv-time", "0s", "--decode-time", "0s", "--prefill-time", "20us", "--fail", fail}
}

// longest is the longest gap of a stream, and when it began.
func longest(at []time.Duration) (gap, from time.Duration) {
	for i := 1; i < len(at); i++ {
		if d := at[i] - at[i-1]; d > gap {
			gap, from = d, at[i-1]
		}
	}
	return gap, from
}

func TestAPreemptionStormStallsAsManyStreamsAsItTakesAndCountsThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, steady("preempt=2@1s/80ms,preempt=1@2s")...)
		var told []string
		s.loop.lock(func() { s.loop.told = func(spec string) { told = append(told, spec) } })
		stalled := 0
		for _, at := range streams(t, s, 5, 250) {
			if gap, from := longest(at); gap >= 80*time.Millisecond {
				stalled++
				if gap > 120*time.Millisecond || from < 980*time.Millisecond || from > 1010*time.Millisecond {
					t.Errorf("a stream stood still for %v from %v on", gap, from)
				}
			}
		}
		if stalled != 2 {
			t.Errorf("%d streams stood still, want 2", stalled)
		}
		s.loop.lock(func() {
			if s.loop.engine.preempted != 3 {
				t.Errorf("%d preemptions are counted, want 3", s.loop.engine.preempted)
			}
			if want := []string{"preempt=2@1s/80ms", "preempt=1@2s"}; !slices.Equal(told, want) {
				t.Errorf("told %q, want %q", told, want)
			}
		})
	})
}

func TestABurstOfForeignPromptsLengthensStepsAndMovesThePromptCounterAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, steady("prefill-burst=4000@1s")...)
		own := 0
		for _, at := range streams(t, s, 3, 200) {
			own++
			gap, from := longest(at)
			if gap < 45*time.Millisecond || gap > 60*time.Millisecond || from < 980*time.Millisecond || from > 1100*time.Millisecond {
				t.Errorf("the longest gap is %v from %v on; a step of some 2000 prompt tokens takes 50 ms", gap, from)
			}
		}
		s.loop.lock(func() {
			if foreign := s.loop.engine.prompt - own*3; foreign != 4000 {
				t.Errorf("%d prompt tokens beyond the own of 3 each", foreign)
			}
		})
	})
}

func TestAPlantedStallIsSeenByNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, steady("stall=100ms@1s")...)
		gap, from := longest(streams(t, s, 1, 200)[0])
		if gap != 110*time.Millisecond || from < 980*time.Millisecond || from > 1010*time.Millisecond {
			t.Errorf("the longest gap is %v from %v on", gap, from)
		}
		s.loop.lock(func() {
			if e := s.loop.engine; e.preempted != 0 {
				t.Errorf("%d preemptions", e.preempted)
			}
		})
	})
}

func TestAnIdleEngineWakesUpForWhatIsPlanted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, steady("prefill-burst=4000@1s")...)
		time.Sleep(2 * time.Second)
		s.loop.lock(func() {
			if s.loop.engine.prompt != 4000 {
				t.Errorf("%d prompt tokens were computed, want 4000", s.loop.engine.prompt)
			}
		})
	})
}

func TestWhatHoldsTheClockDownIsSaidForAsLongAsItDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, steady("clock-drop=0.5x@1s/1s,power-cap=0.8x@4s/2s,power-cap=0.8x@5s/2s,throttle=0.7x@8s/1s")...)
		begin := time.Now()
		s.loop.lock(func() { s.loop.ready = begin })
		read := func(at time.Duration) map[string]any {
			time.Sleep(time.Until(begin.Add(at)))
			w := httptest.NewRecorder()
			s.ServeHTTP(w, httptest.NewRequest("GET", "/sim/gpu", nil))
			var body struct{ Devices []map[string]any }
			if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
				t.Fatal(err)
			}
			return body.Devices[0]
		}
		for _, want := range []struct {
			at           time.Duration
			clock        float64
			bits         int
			cap, thermal float64
		}{
			{500 * time.Millisecond, 1980, 0, 0, 0},
			{1500 * time.Millisecond, 990, bitSetting, 0, 0},
			{2500 * time.Millisecond, 1980, 0, 0, 0},
			{5500 * time.Millisecond, 1584, bitPowerCap, 1.5, 0},
			{7500 * time.Millisecond, 1980, 0, 3, 0}, // two that overlap count once
			{8500 * time.Millisecond, 1386, bitThermal, 3, 0.5},
			{9500 * time.Millisecond, 1980, 0, 3, 1},
		} {
			got := read(want.at)
			if got["sm_clock_mhz"] != want.clock || int(got["throttle_bits"].(float64))&^bitIdle != want.bits ||
				got["throttle_power_cap_s"] != want.cap || got["throttle_thermal_s"] != want.thermal {
				t.Errorf("at %v: %v", want.at, got)
			}
		}
	})
}

func TestTheGPUWarmsUpSlowly(t *testing.T) {
	now := time.Now()
	g := newGPU(now)
	g.step(stepResult{decode: 1, took: time.Hour}, 1, 0, now)
	rest := g.temp
	g.settle(now.Add(warmTime))
	if final := restTemp + g.watts/wattsPerDeg; math.Abs((g.temp-rest)/(final-rest)-0.632) > 0.01 {
		t.Errorf("%g °C after %v, from %g towards %g", g.temp, warmTime, rest, final)
	}
}
