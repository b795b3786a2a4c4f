package runner

import (
	"context"
	"slices"
	"sync"

	"lab/gpu"
	"lab/internal/lab"
	"lab/supervisor"
)

// attribute notes how much of each GPU's memory the server holds when the load has ended, and who else uses it or did.
func (j *job) attribute(ctx context.Context, server *supervisor.Server) {
	if server == nil || j.at.burnIn {
		return
	}
	j.run.Server.GPUs = j.strangers
	select {
	case <-server.Down(): // its processes are gone, and nobody knows any more which were its own
	default:
		if now, ok := j.uses(context.WithoutCancel(ctx), server.PID()); ok {
			j.run.Server.GPUs = remember(now, j.strangers)
		}
	}
	j.writer.Update(j.run)
}

// uses asks the driver whose the memory of the run's GPUs is at this moment. Where it does not answer, the sampler has
// said so.
func (j *job) uses(ctx context.Context, server int) ([]lab.GPUUse, bool) {
	if len(j.before.Devices) == 0 {
		return nil, false
	}
	found, err := gpu.Probe(ctx, []string{j.lab.Self}, lab.Telemetry{}, "")
	if err != nil {
		return nil, false
	}
	mine := j.ready.devices()
	found.Devices = slices.DeleteFunc(found.Devices, func(d lab.Device) bool { return !slices.Contains(mine, d.UUID) })
	return gpu.Attribute(j.before, found, server), true
}

// remember adds the foreign processes that were seen earlier to those that are there still.
func remember(now, earlier []lab.GPUUse) []lab.GPUUse {
	for _, then := range earlier {
		i := slices.IndexFunc(now, func(u lab.GPUUse) bool { return u.UUID == then.UUID })
		if i < 0 {
			continue
		}
		for _, p := range then.Foreign {
			if !slices.ContainsFunc(now[i].Foreign, func(q lab.GPUProcess) bool { return q.PID == p.PID }) {
				now[i].Foreign = append(now[i].Foreign, p)
			}
		}
	}
	return now
}

// nameStrangers gives a function that looks at samples: when more foreign processes use a GPU than before, the driver is
// asked who they are, while they are still there. Such a run does not count any more, so asking disturbs nothing. wait
// ends it.
func (j *job) nameStrangers(ctx context.Context, server int) (look func(lab.Sample), wait func()) {
	most := map[string]float64{}
	var asking sync.WaitGroup
	busy := make(chan struct{}, 1)
	look = func(s lab.Sample) {
		n := s.Values[lab.GPUForeign]
		if n <= most[s.Device] {
			return
		}
		select {
		case busy <- struct{}{}: // one question at a time: the next sample comes in a second
		default:
			return
		}
		most[s.Device] = n
		asking.Go(func() {
			defer func() { <-busy }()
			if now, ok := j.uses(ctx, server); ok {
				j.strangers = remember(now, j.strangers)
			}
		})
	}
	return look, asking.Wait
}
