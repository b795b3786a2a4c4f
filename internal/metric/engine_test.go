package metric

import (
	"slices"
	"testing"

	"lab/internal/lab"
)

func TestTheEnginesOwnTimesAreMeansOverTheRequestsThatEndedInThePhase(t *testing.T) {
	r, tables := run(), healthy()
	for _, s := range tables.Samples {
		if s.Device == "engine" {
			n := s.Values[lab.EngineQueries] // grows by one a second
			s.Values[lab.EngineQueueTime], s.Values[lab.EngineQueueCount] = 3+.5*n, 7+4*n
			s.Values[lab.EnginePrefillTime], s.Values[lab.EnginePrefillCount] = n, 7+4*n
			s.Values[lab.EngineDecodeTime], s.Values[lab.EngineDecodeCount] = 8*n, 0 // counted nowhere
			s.Values[lab.EngineAccepted], s.Values[lab.EngineDraftTokens] = 3*n, 4*n
		}
	}
	s := Summarise(r, tables)
	near(t, "queue_time.mean", figure(t, s, "queue_time.mean").Value, .125)
	near(t, "prefill_time.mean", figure(t, s, "prefill_time.mean").Value, .25)
	near(t, "spec_accept_share", figure(t, s, "spec_accept_share").Value, .75)
	if f, ok := s.Figure("load", "decode_time.mean"); ok {
		t.Errorf("a mean over no request: %+v", f)
	}
}

func TestAForeignProcessIsNamedWhereTheDriverNamedIt(t *testing.T) {
	r, tables := run(), healthy()
	strangers := []lab.GPUProcess{{PID: 42}, {PID: 41, Name: "python", User: "li", Memory: 11 << 30}}
	r.Server.GPUs = []lab.GPUUse{{UUID: "GPU-a", Foreign: strangers}, {UUID: "GPU-b", Foreign: strangers[:1]}}
	r.Findings = Check(r, tables, Summarise(r, tables))
	const want = "2 process(es) that are not the server's used a GPU during the run: pid 41 python (user li, 11.0 GiB), pid 42"
	if !slices.Contains(r.Findings, lab.Finding{Code: "foreign-process", Level: lab.Invalid, Detail: want}) {
		t.Errorf("%+v", r.Findings)
	}
}
