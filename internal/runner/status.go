package runner

import (
	"context"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"lab/internal/lab"
	"lab/internal/metric"
	"lab/loadgen"
	"lab/supervisor"
)

// status keeps what the live view shows of a run and hands it on, a few times a second. Several goroutines feed it; what a
// stream does when its request ends takes no lock here.
type status struct {
	emit  func(lab.Status)
	clock lab.Clock
	run   lab.Experiment
	left  time.Duration // that the series needs, from the run's begin

	ended, good atomic.Int64 // requests of the phases, and of these those within every limit

	mu     sync.Mutex
	began  time.Duration // of the stage
	leg    int           // that goes on, from 1; 0: none yet
	legs   time.Duration // when it began
	window window
	gauges gauges
	alerts alerts
	now    lab.Status
}

// begin sets the status of a run that begins.
func (s *status) begin(l *Lab, r lab.Run, at place, clock lab.Clock) {
	s.emit, s.clock, s.run, s.left = l.Status, clock, r.Experiment, at.left
	s.gauges.host = r.Host.GPUs
	s.now = lab.Status{
		Run: r.ID, Title: r.Experiment.Name, Model: r.Experiment.Server.Model, Step: at.step, Plan: at.planned, Sweep: at.swept,
		Legs: legs(r.Experiment, at),
	}
	if at.arm != "" {
		s.now.Title = at.arm + " " + r.Experiment.Name
	}
}

// legs are the stretches that a run will have.
func legs(e lab.Experiment, at place) []lab.Leg {
	var all []lab.Leg
	if !e.Attached() && at.on == nil {
		all = append(all, lab.Leg{Name: "starting"})
	}
	for _, p := range e.Phases {
		if p.Load.Warmup > 0 {
			all = append(all, lab.Leg{Name: "warm-up"})
		}
		if !at.burnIn {
			all = append(all, lab.Leg{Name: p.Name, Whole: length(p.Load)})
		}
	}
	return all
}

// length is how long a load takes, as far as its own words say; 0: its requests decide.
func length(l lab.Load) time.Duration {
	whole := time.Duration(l.Duration)
	if rate := float64(l.Rate); rate > 0 && !math.IsInf(rate, 1) && l.Requests > 0 {
		sent := time.Duration(float64(l.Requests) / rate * float64(time.Second))
		if whole == 0 || sent < whole {
			whole = sent
		}
	}
	return whole
}

func (s *status) stage(name string, whole time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now.Stage, s.now.Whole, s.now.Phase, s.now.Doing, s.began = name, whole, "", "", s.clock.Now()
	switch name {
	case "starting":
		s.enter(name)
	case "stopping", "sealing":
		s.enter("")
		s.forget()
	}
	s.send()
}

// forget ends what is shown of a load: it goes on no more.
func (s *status) forget() {
	s.now.Figures, s.now.Latencies, s.now.Output, s.now.Requests, s.now.Goodput = "", nil, lab.Rate{}, lab.Rate{}, nil
	s.now.GPUs, s.now.Engine, s.now.Host, s.now.Client = nil, lab.Gauges{}, lab.Gauges{}, lab.Gauges{}
}

// enter goes on to the next leg of a name; "": the last one is over.
func (s *status) enter(name string) {
	s.now.Legs = slices.Clone(s.now.Legs)
	if s.leg > 0 && s.now.Legs[s.leg-1].State == lab.LegNow {
		if name != "" && s.now.Legs[s.leg-1].Name == name && s.now.Stage == "starting" {
			return // it had to wait in between
		}
		over := &s.now.Legs[s.leg-1]
		over.State, over.Took = lab.LegDone, s.clock.Now()-s.legs
		over.OK, over.Errors = s.now.OK, s.now.Errors-s.now.Failed[lab.ErrCanceled]
	}
	for i := s.leg; i < len(s.now.Legs); i++ {
		if s.now.Legs[i].Name == name {
			s.leg, s.legs = i+1, s.clock.Now()
			s.now.Legs[i].State = lab.LegNow
			return
		}
	}
}

// phase begins a stage of load; progress counts since the run began.
func (s *status) phase(p lab.Phase, stage string, progress *loadgen.Progress) {
	if stage == "warm-up" && p.Load.Warmup == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now.Stage, s.now.Phase, s.now.Load, s.began = stage, p.Name, p.Load, s.clock.Now()
	s.now.Whole, s.now.Want = length(p.Load), p.Load.Requests
	name := p.Name
	if stage == "warm-up" {
		s.now.Whole, s.now.Want, name = 0, p.Load.Warmup, stage
	}
	s.enter(name)
	s.window.begin(s.reading(progress.Snapshot(), progress))
	s.gauges.begin()
	s.now.Sent, s.now.OK, s.now.Errors, s.now.Tokens, s.now.Failed, s.now.LastError = 0, 0, 0, 0, nil, ""
	s.forget()
	s.now.Figures = name
	s.send()
}

// reading takes down what has been counted up to now.
func (s *status) reading(now loadgen.Snapshot, progress *loadgen.Progress) reading {
	return reading{
		at: s.clock.Now(), counts: now, latencies: progress.Latencies(), joules: s.gauges.energy(),
		ended: int(s.ended.Load()), good: int(s.good.Load()),
	}
}

// request counts one that has ended, against the limits of the experiment.
func (s *status) request(r lab.RequestRecord) {
	if r.Phase == lab.Warmup || len(s.run.SLO) == 0 {
		return
	}
	s.ended.Add(1)
	if metric.Good(r, s.run.SLO) {
		s.good.Add(1)
	}
}

// progress shows what was counted in the stage, and returns what was counted in the run. It is read under the lock: a
// reading from before the stage began would be less than what the stage began with.
func (s *status) progress(progress *loadgen.Progress) loadgen.Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := progress.Snapshot()
	s.count(now, progress)
	return now
}

// count shows one reading; the lock is held.
func (s *status) count(now loadgen.Snapshot, progress *loadgen.Progress) {
	if s.now.Figures == "" {
		s.send()
		return
	}
	r := s.reading(now, progress)
	s.window.add(r)
	base := s.window.start.counts
	s.now.Sent, s.now.OK, s.now.Errors = now.Sent-base.Sent, now.OK-base.OK, now.Errors-base.Errors
	s.now.Tokens, s.now.InFlight = now.Tokens-base.Tokens, now.InFlight
	s.now.Failed, s.now.LastError = less(now.Failed, base.Failed), now.LastError
	s.now.Latencies = s.window.latencies(r)
	s.now.Output, s.now.Requests = s.window.rates(r)
	if len(s.run.SLO) > 0 && s.now.Stage != "warm-up" {
		s.now.Goodput = s.window.goodput(r, s.run.SLO)
	}
	s.now.GPUs, s.now.Engine, s.now.Host, s.now.Client = s.gauges.show(r, s.window.since(r))
	s.alerts.look(s, now, r.at)
	s.send()
}

// less is how often each class came since.
func less(now, base map[string]int) map[string]int {
	gained := map[string]int{}
	for class, n := range now {
		if n > base[class] {
			gained[class] = n - base[class]
		}
	}
	return gained
}

// detail says more of the stage; empty: nothing.
func (s *status) detail(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now.Doing = text
	s.send()
}

// sample keeps the last readings of everything that is sampled.
func (s *status) sample(sample lab.Sample) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gauges.take(sample)
}

// event takes note of what a run should not have to tell of.
func (s *status) event(kind lab.EventKind, detail string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alerts.event(kind, detail, s.clock.Now())
}

// end tells what became of the sealed run. Only one that is complete was judged.
func (s *status) end(sealed lab.Run) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now.Stage, s.now.Outcome = "", sealed.Outcome
	if sealed.Outcome == lab.Complete {
		s.alerts.judge(s.clock.Now(), sealed.Findings)
	}
	s.send()
}

// send is called with the lock held. What it hands on shares no memory that is written to again.
func (s *status) send() {
	at := s.clock.Now()
	s.now.Since = at - s.began
	if s.left > 0 {
		s.now.Left = max(0, s.left-at)
	}
	s.now.Alerts = s.alerts.show(at)
	s.emit(s.now)
}

// tellStart shows how far a server is with its start-up, until the returned function is called.
func (j *job) tellStart(server *supervisor.Server) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var telling sync.WaitGroup
	telling.Go(func() {
		tick := time.NewTicker(250 * time.Millisecond)
		defer tick.Stop()
		for last := ""; ; {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if now := server.Phase(); now != last {
					last = now
					j.status.detail(now)
				}
			}
		}
	})
	return func() {
		cancel()
		telling.Wait()
		j.status.detail("")
	}
}
