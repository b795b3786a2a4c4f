package metric

import (
	"testing"
	"time"

	"lab/internal/lab"
)

func TestAServerThatWasRestartedDuringARunMakesItInvalid(t *testing.T) {
	type reading struct{ start, tokens float64 } // 0: absent
	for what, tc := range map[string]struct {
		readings []reading
		want     bool
	}{
		"one server":                      {[]reading{{100, 0}, {100, 50}, {100, 90}}, false},
		"a new start":                     {[]reading{{100, 50}, {160, 10}, {160, 90}}, true},
		"a new start, counters ahead":     {[]reading{{100, 50}, {160, 60}}, true},
		"counters fall, no start is told": {[]reading{{0, 50}, {0, 10}}, true},
		"counters fall under one start":   {[]reading{{100, 50}, {100, 10}}, true},
		"several servers in turn":         {[]reading{{100, 50}, {160, 10}, {100, 60}, {160, 20}}, false},
		"nothing is told":                 {[]reading{{0, 0}, {0, 0}}, false},
	} {
		var tables lab.Tables
		for i, r := range tc.readings {
			s := lab.Sample{At: time.Duration(i+1) * time.Second, Device: "engine", Values: map[string]float64{lab.EngineRunning: 1}}
			if r.start > 0 {
				s.Values[lab.EngineStarted] = r.start
			}
			if r.tokens > 0 {
				s.Values[lab.EngineGenerated] = r.tokens
			}
			tables.Samples = append(tables.Samples, s, lab.Sample{At: s.At, Device: "engine", Error: "no answer"})
		}
		c := checker{tables: tables}
		c.restarted()
		if got := len(c.findings) == 1 && c.findings[0].Code == "server-restarted" && c.findings[0].Level == lab.Invalid; got != tc.want {
			t.Errorf("%s: %v", what, c.findings)
		}
	}
}
