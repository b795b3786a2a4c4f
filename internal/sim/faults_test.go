package sim

import (
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestToldFaultsHappenToTheStreams(t *testing.T) {
	for fail, want := range map[string]func(string) bool{
		"stream-errors=1": func(s string) bool {
			return strings.Count(s, `"text"`) == 2 && strings.Contains(s, `"error"`) && strings.HasSuffix(s, "data: [DONE]\n\n")
		},
		"cut-streams=1": func(s string) bool { return strings.Count(s, `"text"`) == 2 && !strings.Contains(s, "[DONE]") },
		"short=1": func(s string) bool {
			return strings.Contains(s, `"completion_tokens":2}`) && !strings.Contains(s, `"completion_tokens":4`) && strings.HasSuffix(s, "data: [DONE]\n\n")
		},
		"merge=1": func(s string) bool {
			return strings.Count(s, `"text":"aaaa"`) == 1 && strings.Contains(s, `"completion_tokens":4`)
		},
		"answers=1":      func(s string) bool { return strings.Contains(s, `"text":"b"`) && !strings.Contains(s, `"text":"a"`) },
		"answers=0":      func(s string) bool { return strings.Contains(s, `"text":"a"`) && !strings.Contains(s, `"text":"b"`) },
		"answers-vary=1": func(s string) bool { return strings.Contains(s, `"text":"b"`) && !strings.Contains(s, `"text":"a"`) },
	} {
		web := serve(t, "--fail", fail)
		if _, body := post(t, web.URL+"/v1/completions", streamed); !want(body) {
			t.Errorf("%s: %s", fail, body)
		}
	}
	if _, body := get(t, serve(t, "--fail", "wrong-name").URL+"/v1/models"); strings.Contains(body, `"id":"m"`) {
		t.Errorf("wrong-name: %s", body)
	}
}

func TestAWarmCacheFindsPromptsItNeverSaw(t *testing.T) {
	web := serve(t, "--fail", "warm-cache", "--enable-prompt-tokens-details")
	_, body := post(t, web.URL+"/v1/completions", `{"model":"m","prompt":"`+strings.Repeat("x", 64)+`","max_tokens":2,"stream":true,"stream_options":{"include_usage":true}}`)
	if !strings.Contains(body, `"prompt_tokens_details":{"cached_tokens":48}`) {
		t.Errorf("48 of 64 tokens are full blocks before the last: %s", body)
	}
	if got := scrape(t, web.URL)["vllm:prefix_cache_hits_total"].Metric[0].Counter.GetValue(); got != 48 {
		t.Errorf("%g hits, want 48", got)
	}
}

func TestSlowTokensAndThrottlingStretchStepsFromTheirMomentOn(t *testing.T) {
	for fail, factor := range map[string]float64{"slow-tokens=3x@1s": 3, "throttle=0.5@1s": 2} {
		synctest.Test(t, func(t *testing.T) {
			s := open(t, "--step-time", "10ms", "--run-noise", "0", "--kv-time", "0s", "--decode-time", "0s", "--fail", fail)
			var at []time.Time
			r := httptest.NewRequest("POST", "/v1/completions", strings.NewReader(long(200)))
			r.Header.Set("Content-Type", "application/json")
			s.ServeHTTP(&stampWriter{httptest.NewRecorder(), func() { at = append(at, time.Now()) }}, r)
			early, late := at[50].Sub(at[49]), at[190].Sub(at[189])
			if early != 10*time.Millisecond || late != time.Duration(factor*float64(early)) {
				t.Errorf("%s: gaps of %v and then %v", fail, early, late)
			}
		})
	}
}

func FuzzAFaultIsReadOrRefused(f *testing.F) {
	for _, spec := range []string{"late-start=10s", "no-start", "crash-at-request=3", "slow-tokens=2x@5s", "throttle=0.7@5s", "throttle=nan@1s", "clock-drop=0.5x@1s/2s", "power-cap=0.9@1s/0s", "preempt=4@5s/80ms", "preempt=4@5s,preempt=2@6s", "prefill-burst=8000@1s", "prefill-burst=1@1s/2s", "stall=80ms@-1s", "cut-streams=-1", "merge", ",", "short=1e999"} {
		f.Add(spec)
	}
	f.Fuzz(func(t *testing.T, spec string) {
		var f faults
		if f.setAll(spec) != nil {
			return
		}
		for _, share := range []float64{f.cutStreams, f.streamErrors, f.short, f.merge} {
			if !(share >= 0 && share <= 1) {
				t.Errorf("%q gives a share of %g", spec, share)
			}
		}
		for _, e := range f.clocks {
			if !(e.share > 0 && e.share <= 1 && e.at >= 0 && e.length >= 0) {
				t.Errorf("%q was taken as %+v", spec, e)
			}
		}
		for _, p := range f.timetable() {
			if p.at < 0 || p.preempt < 0 || p.full < 0 || p.prefill < 0 || p.standing < 0 {
				t.Errorf("%q was taken as %+v", spec, p)
			}
		}
		if !(f.slowFactor >= 0) || f.exitAtStart < 0 || f.crashAt < 0 {
			t.Errorf("%q was taken as %+v", spec, f)
		}
	})
}
