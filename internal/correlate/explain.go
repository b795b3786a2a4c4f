package correlate

import (
	"strconv"
	"sync"

	"lab/internal/lab"
)

// Explain says what the hardware, the host and the engine did beside a run's requests.
func Explain(r lab.Run, t lab.Tables) Hardware {
	v := look(r, t)
	h := Hardware{Run: r.ID, Coverage: v.coverage()}
	var stalls sync.WaitGroup // what takes longest, and is needed by nothing else
	stalls.Go(func() { h.Stalls = v.stalls() })
	books := v.account()
	if books != nil {
		h.Energy = v.energy(books)
	}
	for _, w := range v.windows {
		p := Phase{Name: w.phase.Name, Start: w.from, End: w.to, Judged: w.phase.Judged, Means: v.means(w)}
		if books != nil {
			p.Energy = v.phaseEnergy(books, w, h.Energy.IdlePowerW)
		}
		h.Phases = append(h.Phases, p)
		h.Requests = append(h.Requests, v.requestMeans(w)...)
	}
	h.Slow = v.slow()
	h.Bottlenecks = v.bottlenecks()
	h.Associations = v.associations()
	h.Trends = v.trends()
	h.Findings = v.findings(books)
	stalls.Wait()
	return h
}

// deviceName is what samples of a GPU are called.
func deviceName(index int) string { return "gpu" + strconv.Itoa(index) }
