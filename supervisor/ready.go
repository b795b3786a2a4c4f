package supervisor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"lab/internal/lab"
)

const (
	startPoll   = 200 * time.Millisecond
	watchPoll   = 500 * time.Millisecond
	memberPoll  = 2 * time.Second  // how often it is noted who belongs to a starting server
	giveUpAfter = 45 * time.Second // a server that says its engine failed has this long to end by itself
	badAnswers  = 25               // answers of /health in a row that are not 200
)

// DeathError says why a server is lost, and how it was stopped.
type DeathError struct {
	Failure lab.Failure
	Stop    *lab.Stop // nil where it has not been stopped yet
}

func (e *DeathError) Error() string { return "run server: " + e.Failure.Reason }

// WaitReady waits until the server really serves: /health answers 200, the answering process is ours and is the vllm
// and the model that were started, and a one-token request completes. On an error the server has been stopped; the
// error is a *DeathError unless ctx ended. The facts are those known by then, also beside an error.
func (s *Server) WaitReady(ctx context.Context) (lab.ServerFacts, error) {
	deadline := time.Now().Add(s.o.StartTimeout)
	if f, err := s.untilHealthy(ctx, deadline); f != nil || err != nil {
		err := s.giveUp(ctx, f, err)
		return s.facts("", nil), err
	}
	checks, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	version, f := s.identify(checks)
	if f == nil {
		f = s.tryCanary(checks)
	}
	if f != nil {
		err := s.giveUp(ctx, s.orDeath(f), ctx.Err())
		return s.facts(version, nil), err
	}
	s.look()
	facts := s.facts(version, s.api.cacheConfig(ctx))
	if err := s.note(); err != nil {
		return facts, s.giveUp(ctx, nil, err)
	}
	if !s.serve() {
		return facts, s.giveUp(ctx, nil, errStopped)
	}
	s.event(lab.ServerReady, fmt.Sprintf("vllm %s, %d processes", version, len(s.Group())))
	return facts, nil
}

var errStopped = errors.New("it was stopped meanwhile")

// serve marks the server as ready and begins to watch it, unless it is being stopped.
func (s *Server) serve() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return false
	}
	s.ready = true
	s.work.Go(s.watch)
	return true
}

// giveUp stops the server and makes the error.
func (s *Server) giveUp(ctx context.Context, f *lab.Failure, err error) error {
	stop := s.Stop(context.WithoutCancel(ctx))
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return fmt.Errorf("wait for server: %w", err)
	}
	if f.Exit == "" && len(stop.Signals) == 0 {
		f.Exit = stop.Exit
	}
	return &DeathError{Failure: *f, Stop: &stop}
}

// untilHealthy polls until /health answers 200. It returns a failure if the server will not come, and an error if
// ctx ends first.
func (s *Server) untilHealthy(ctx context.Context, deadline time.Time) (*lab.Failure, error) {
	tick := time.NewTicker(startPoll)
	defer tick.Stop()
	late := time.NewTimer(time.Until(deadline))
	defer late.Stop()
	bad, looked := 0, time.Time{}
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-s.quit:
			return nil, errStopped
		case <-s.exited:
			return s.startFailure(), nil
		case <-late.C:
			return s.overdue(), nil
		case <-tick.C:
		}
		if time.Since(looked) > memberPoll {
			looked = time.Now()
			s.look()
			if err := s.note(); err != nil {
				return nil, err
			}
		}
		if s.hopeless() {
			return s.startFailure(), nil
		}
		status, body, err := s.api.health(ctx)
		if err != nil {
			if !refusedConnection(err) && time.Now().After(deadline) {
				return s.overdue(), nil
			}
			continue
		}
		if who := stranger(s.launch.Port, s.look()); who != "" {
			return s.failed(lab.FailIdentity, fmt.Sprintf("%s answers on port %d, which is not the server that was started", who, s.launch.Port)), nil
		}
		if status == http.StatusOK {
			return nil, nil
		}
		if bad++; bad >= badAnswers {
			return s.orDeath(s.failed(lab.FailEngine, fmt.Sprintf("/health keeps answering %d %s", status, body))), nil
		}
	}
}

// hopeless says that the engine reported its failure a while ago and yet the server does not end: a stuck worker can
// keep it, and the GPU, for ever.
func (s *Server) hopeless() bool {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	return s.log.fatal > 0 && s.o.Clock.Now()-s.log.fatal > giveUpAfter
}

// startFailure classifies the end of a start-up by log and exit.
func (s *Server) startFailure() *lab.Failure {
	s.log.read()
	return Classify(s.log.tail(-1), s.ended(), false, s.Phase())
}

func (s *Server) overdue() *lab.Failure {
	f := s.startFailure()
	if f.Class == lab.FailExit || f.Class == lab.FailUnknown {
		f.Class = lab.FailTimeout
		f.Reason = fmt.Sprintf("not ready within %s (start_timeout), still in the start-up phase %q", s.o.StartTimeout, f.Phase)
	}
	return f
}

func (s *Server) failed(class, reason string) *lab.Failure {
	s.log.read()
	return &lab.Failure{Class: class, Reason: reason, Quote: lastWords(s.log.tail(quoteLines*4), quoteLines), Exit: s.ended().String(), Phase: s.Phase()}
}

// orDeath prefers the server's own end, if it has one, to what a check saw of it.
func (s *Server) orDeath(f *lab.Failure) *lab.Failure {
	select {
	case <-s.exited:
		return s.startFailure()
	case <-time.After(startPoll):
	}
	s.log.read()
	if _, dead := firstDeath(takeApart(s.log.tail(-1))); !dead {
		return f
	}
	select {
	case <-s.exited:
	case <-time.After(dyingTime):
	}
	s.log.read()
	return Classify(s.log.tail(-1), s.ended(), false, serving)
}

// identify checks that the server which answers is the one that was started.
func (s *Server) identify(ctx context.Context) (string, *lab.Failure) {
	version, err := s.api.version(ctx)
	if err != nil {
		return "", s.failed(lab.FailIdentity, "what answers is not vllm: "+err.Error())
	}
	if !sameRelease(version, s.launch.Version) {
		return "", s.failed(lab.FailIdentity, fmt.Sprintf("vllm %s answers, but %s was started", version, s.launch.Version))
	}
	names, err := s.api.models(ctx)
	if err != nil {
		return "", s.failed(lab.FailIdentity, err.Error())
	}
	if !slices.Contains(names, s.launch.Served) {
		return "", s.failed(lab.FailIdentity, fmt.Sprintf("it serves %s, but %s was started", strings.Join(names, ", "), s.launch.Served))
	}
	return version, nil
}

func (s *Server) tryCanary(ctx context.Context) *lab.Failure {
	if err := s.api.canary(ctx, s.launch.Served); err != nil {
		return s.failed(lab.FailCanary, "it says it is ready, but does not: "+err.Error())
	}
	return nil
}

// facts collects what the server said about itself.
func (s *Server) facts(version string, cache map[string]string) lab.ServerFacts {
	s.log.read()
	env := s.set()
	for _, name := range s.launch.Unset {
		env[name] = ""
	}
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	up := &s.log.startup
	up.end(s.o.Clock.Now())
	facts := lab.ServerFacts{
		Version: version, Package: s.launch.Version, Executable: s.launch.Executable, Argv: s.launch.Argv, Env: env,
		ServedName: s.launch.Served, Port: s.launch.Port, PID: s.root.PID,
		Resolved: map[string]string{}, Stages: slices.Clone(up.seen), Inert: slices.Clone(s.launch.Inert),
	}
	maps.Copy(facts.Resolved, up.resolved)
	maps.Copy(facts.Resolved, cache)
	if up.resolved["engine"] == "V1" {
		facts.Inert = append(facts.Inert, s.launch.inertOnV1...)
	}
	return facts
}

// watch asks a ready server for its health until it ends or is stopped. An engine that died shows as 503 (500 in old
// versions) seconds before the process ends. A late answer proves nothing, so only a spoken one counts, or an API
// process that lives on without listening.
func (s *Server) watch() {
	tick := time.NewTicker(watchPoll)
	defer tick.Stop()
	defer s.api.http.CloseIdleConnections()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s.work.Go(func() {
		select {
		case <-s.quit:
		case <-s.exited:
		}
		cancel()
	})
	for refused := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		status, body, err := s.api.health(ctx)
		switch {
		case errors.Is(err, context.Canceled):
			return
		case err == nil && status >= http.StatusInternalServerError:
			s.goDown(strings.TrimSpace(fmt.Sprintf("/health answers %d %s", status, body)))
			return
		case refusedConnection(err):
			if refused++; refused == 20 {
				s.goDown("it does not listen any more")
				return
			}
		default:
			refused = 0
		}
	}
}
