package sim

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// planted is something that happens to the engine once, at a told moment; times count from the moment the server is
// ready. Such a server is a known answer, against which is held what lab says of a run.
type planted struct {
	spec     string // as it was told
	at       time.Duration
	preempt  int           // so many of the newest running requests go back to the queue …
	full     time.Duration // … and for so long the KV cache has no room for anyone
	prefill  int           // so many tokens of other people's prompts arrive
	standing time.Duration // one step takes so much longer, for no reason that is counted anywhere
}

// episode is a time during which something holds the clock down.
type episode struct {
	spec   string
	share  float64 // of the full clock
	reason int     // bit of NVML's mask
	at     time.Duration
	length time.Duration // 0: to the end
}

func (e episode) holds(since time.Duration) bool {
	return since >= e.at && (e.length == 0 || since < e.at+e.length)
}

// clockReason is what lowers the clock, by the fault's name.
func clockReason(name string) int {
	switch name {
	case "power-cap":
		return bitPowerCap
	case "throttle":
		return bitThermal
	}
	return bitSetting
}

// plant reads a fault that happens at a moment.
func (f *faults) plant(name, value, spec string) error {
	amount, when, ok := strings.Cut(value, "@")
	if !ok {
		return fmt.Errorf("say when, as in %s=%s@5s", name, cmp.Or(amount, "4"))
	}
	moment, length, timed := strings.Cut(when, "/")
	at, err := sinceReady(moment)
	if err != nil {
		return err
	}
	var lasts time.Duration
	if timed {
		if lasts, err = sinceReady(length); err != nil {
			return err
		}
	}
	p := planted{spec: spec, at: at}
	switch name {
	case "preempt":
		p.preempt, err = count(amount)
		p.full = lasts
	case "prefill-burst":
		p.prefill, err = count(amount)
	case "stall":
		p.standing, err = sinceReady(amount)
	}
	if err == nil && timed && name != "preempt" {
		err = fmt.Errorf("%s has no length of its own", name)
	}
	if err == nil {
		f.planted = append(f.planted, p)
	}
	return err
}

// lower reads a fault that lowers the clock: 0.5x@5s/2s, or 0.5x@5s where it lasts to the end.
func (f *faults) lower(name, value, spec string) error {
	when, length, timed := strings.Cut(value, "/")
	share, at, err := factorAt(when)
	if err != nil {
		return err
	}
	if share > 1 || at < 0 {
		return fmt.Errorf("a clock falls to a share of at most 1, from a moment on")
	}
	e := episode{spec: spec, share: share, at: at, reason: clockReason(name)}
	if timed {
		if e.length, err = sinceReady(length); err != nil {
			return err
		}
	}
	f.clocks = append(f.clocks, e)
	return nil
}

// sinceReady reads a time above 0; a plain 0 would mean "to the end", or nothing at all.
func sinceReady(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err == nil && d <= 0 {
		err = fmt.Errorf("%s is no time above 0", strconv.Quote(text))
	}
	return d, err
}

// timetable is all that was told to happen at a moment, in order of time.
func (f faults) timetable() []planted {
	all := slices.Clone(f.planted)
	for _, e := range f.clocks {
		all = append(all, planted{spec: e.spec, at: e.at})
	}
	slices.SortStableFunc(all, func(a, b planted) int { return cmp.Compare(a.at, b.at) })
	return all
}

// happen lets what is due happen to the engine.
func (l *loop) happen(now time.Time) {
	since := now.Sub(l.ready)
	for len(l.table) > 0 && l.table[0].at <= since {
		p := l.table[0]
		l.table = l.table[1:]
		l.announce(p.spec)
		l.engine.preemptNewest(p.preempt)
		if p.full > 0 {
			l.fullUntil = now.Add(p.full)
		}
		l.addForeign(p.prefill, now)
		l.standing += p.standing
	}
	l.engine.full = now.Before(l.fullUntil)
}

// nextPlanted comes when an idle engine must wake up for what is planted.
func (l *loop) nextPlanted() <-chan time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.table) == 0 || l.frozen.Load() {
		return nil
	}
	return time.After(time.Until(l.ready.Add(l.table[0].at)))
}

// foreignPrompt is the length of one prompt of a burst.
const foreignPrompt = 2048

// addForeign adds prompts that nobody here asked for, each for one token. No two are alike, so that none is in the
// prefix cache.
func (l *loop) addForeign(tokens int, now time.Time) {
	for tokens > 0 {
		n := min(tokens, foreignPrompt, l.engine.physics.KVTokens-1)
		s := &sequence{prompt: make([]int32, n), want: 1, finish: "length", timing: timing{arrived: now}}
		for i := range s.prompt {
			l.foreign++
			s.prompt[i] = -l.foreign
		}
		l.engine.add(s)
		tokens -= n
	}
}

// preemptNewest sends the newest running sequences back to the queue, as when the KV cache runs out.
func (e *engine) preemptNewest(n int) {
	for range min(n, len(e.running)) {
		last := e.running[len(e.running)-1]
		e.running = e.running[:len(e.running)-1]
		e.preempt(last)
	}
}
