package sim

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// faults are the ways in which a server can be told to fail; times count from the moment it is ready.
type faults struct {
	lateStart    time.Duration
	noStart      bool
	exitAtStart  int // exit code; 0: no
	crashAfter   time.Duration
	crashAt      int // the request, counted from 1, that the engine dies of; 0: none
	restartAt    int // the request, counted from 1, from which on /metrics tells of a later start; 0: none
	hangAfter    time.Duration
	cutStreams   float64 // shares of requests
	streamErrors float64
	short        float64
	merge        float64 // share of tokens that come with the next one
	answers      float64 // share of prompts whose answer is another than without the fault, the same at every start
	answersVary  float64 // share of requests whose answer is, drawn anew
	slowFactor   float64
	slowAfter    time.Duration
	warmCache    bool
	clocks       []episode
	planted      []planted
	ignoreTerm   bool
	wrongName    bool

	profileRefuse  bool          // its start is answered with an error
	profileStop    time.Duration // how long its traces take to write
	profileStop500 bool          // its stop is answered with an error, and nothing is written
	profileCrash   bool          // the engine dies while it writes
	profilePartial bool          // half of each trace is all that is ever written
	profileRanks   int           // only so many workers write theirs; 0: all
	profileSize    int           // bytes by which each trace is larger

	foreignPort bool // another process, of another session, answers on the port
}

// setAll reads faults separated by commas.
func (f *faults) setAll(specs string) error {
	for spec := range strings.SplitSeq(specs, ",") {
		if err := f.set(spec); err != nil {
			return err
		}
	}
	return nil
}

// set reads one fault: a word, or word=value.
func (f *faults) set(spec string) error {
	name, value, _ := strings.Cut(spec, "=")
	var err error
	switch name {
	case "late-start":
		f.lateStart, err = time.ParseDuration(value)
	case "no-start":
		f.noStart = true
	case "exit-at-start":
		f.exitAtStart, err = count(value)
	case "crash-after":
		f.crashAfter, err = time.ParseDuration(value)
	case "crash-at-request":
		f.crashAt, err = count(value)
	case "restart-at-request":
		f.restartAt, err = count(value)
	case "hang-after":
		f.hangAfter, err = time.ParseDuration(value)
	case "cut-streams":
		f.cutStreams, err = share(value)
	case "stream-errors":
		f.streamErrors, err = share(value)
	case "short":
		f.short, err = share(value)
	case "merge":
		f.merge, err = share(value)
	case "answers":
		f.answers, err = share(value)
	case "answers-vary":
		f.answersVary, err = share(value)
	case "slow-tokens":
		f.slowFactor, f.slowAfter, err = factorAt(value)
	case "throttle", "power-cap", "clock-drop":
		err = f.lower(name, value, spec)
	case "preempt", "prefill-burst", "stall":
		err = f.plant(name, value, spec)
	case "warm-cache":
		f.warmCache = true
	case "ignore-term":
		f.ignoreTerm = true
	case "wrong-name":
		f.wrongName = true
	case "profile-refuse":
		f.profileRefuse = true
	case "profile-stop":
		f.profileStop, err = time.ParseDuration(value)
	case "profile-stop-500":
		f.profileStop500 = true
	case "profile-crash":
		f.profileCrash = true
	case "profile-partial":
		f.profilePartial = true
	case "profile-ranks":
		f.profileRanks, err = count(value)
	case "profile-size":
		f.profileSize, err = humanNumber(value)
	case "foreign-port":
		f.foreignPort = true
	default:
		return fmt.Errorf("%s: unknown fault; lab sim --help lists them", spec)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", spec, err)
	}
	return nil
}

func count(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err == nil && n < 1 {
		err = fmt.Errorf("%s is no number from 1", text)
	}
	return n, err
}

func share(text string) (float64, error) {
	v, err := strconv.ParseFloat(text, 64)
	if err == nil && !(v >= 0 && v <= 1) {
		err = fmt.Errorf("%s is no share between 0 and 1", text)
	}
	return v, err
}

// factorAt reads 2x@5s.
func factorAt(text string) (float64, time.Duration, error) {
	number, moment, ok := strings.Cut(text, "@")
	factor, err := strconv.ParseFloat(strings.TrimSuffix(number, "x"), 64)
	if err != nil || !ok || !(factor > 0 && factor <= 1000) {
		return 0, 0, fmt.Errorf("write for example 2x@5s")
	}
	at, err := time.ParseDuration(moment)
	return factor, at, err
}
