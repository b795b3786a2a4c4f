package loadgen

import (
	"context"
	"runtime/debug"
	"syscall"
	"time"

	"lab/internal/lab"
)

// probeEvery is how often the client looks whether it still gets to run in time: a prime, so as not to beat with the load.
const probeEvery = 11 * time.Millisecond

// measureSelf samples the client once a second until ctx ends: its CPU, the pauses of its garbage collector, the worst
// lateness of a timer. A timer that fires late means stamps that were taken late.
func (d *driver) measureSelf(ctx context.Context) {
	var worst time.Duration
	next := time.Now()
	report := next.Add(time.Second)
	for {
		next = next.Add(probeEvery)
		if !sleepUntil(ctx, next) {
			d.sampleSelf(worst)
			return
		}
		now := time.Now()
		worst = max(worst, now.Sub(next))
		if now.After(next.Add(probeEvery)) {
			next = now
		}
		if now.After(report) {
			d.sampleSelf(worst)
			worst, report = 0, report.Add(time.Second)
		}
	}
}

func (d *driver) sampleSelf(worst time.Duration) {
	at := d.Clock.Now()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return
	}
	var collector debug.GCStats
	debug.ReadGCStats(&collector) // unlike runtime.ReadMemStats it does not stop the program
	d.Sample(lab.Sample{At: at, Took: d.Clock.Now() - at, Device: "client", Values: map[string]float64{
		lab.ClientCPU:    time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds(),
		lab.ClientGC:     collector.PauseTotal.Seconds(),
		lab.ClientLate:   worst.Seconds(),
		lab.ClientFlight: float64(d.Progress.Snapshot().InFlight),
	}})
}
