package supervisor

import (
	"context"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"

	"lab/internal/lab"
)

const (
	againStarting = 2 * time.Second // until the second SIGTERM, if the server was never ready
	killStarting  = 6 * time.Second // until the kill in that case
	childrenTime  = 3 * time.Second // for children to end after the server ended by itself
	killedTime    = 10 * time.Second
	pollPeriod    = 20 * time.Millisecond
)

// Stop ends the server and everything that belongs to it, and says how it went. It may be called at any time and any
// number of times; if ctx ends, it kills at once. Afterwards no process of the server runs (zombies, of which only an
// exit status is left, aside), nobody listens on its port, and its shared memory and temporary files are gone.
func (s *Server) Stop(ctx context.Context) lab.Stop {
	s.stopOnce.Do(func() { s.stopped = s.stop(ctx) })
	return s.stopped
}

func (s *Server) stop(ctx context.Context) lab.Stop {
	begin := time.Now()
	s.mu.Lock()
	s.stopping = true
	s.mu.Unlock()
	close(s.quit)
	s.event(lab.ServerStop, "")

	var r lab.Stop
	shm := s.sharedMemory()
	s.terminate(ctx, &r)
	s.killRest(&r)
	r.Took = time.Since(begin)

	if who := s.listenerLeft(); who != "" {
		r.Leftovers = append(r.Leftovers, fmt.Sprintf("%s still listens on port %d", who, s.launch.Port))
	}
	for _, file := range cleanShm(s.shm, shm) {
		r.Leftovers = append(r.Leftovers, "shared memory "+file+": removed")
	}
	if err := os.RemoveAll(s.temp); err != nil {
		r.Leftovers = append(r.Leftovers, "temporary files: "+err.Error())
	}
	close(s.closed)
	select {
	case <-s.exited:
		s.work.Wait()
	case <-time.After(time.Second): // it hangs in the kernel: nothing can be waited for
	}
	s.log.finish()
	r.Exit = s.ended().String()
	if r.Exit == "" {
		r.Exit = "still running"
		return r // the state file stays, so that the orphan hunt can try again
	}
	s.noting.Lock()
	defer s.noting.Unlock()
	os.Remove(s.state)
	return r
}

// terminate asks the server to end: a SIGTERM to its API process alone, which stops its engine in order. The signal is
// lost while the engine starts, and versions 0.12 to 0.17 never obey it while a client keeps a stream open; so it is
// sent again, and not waited for without end.
func (s *Server) terminate(ctx context.Context, r *lab.Stop) {
	s.mu.Lock()
	again, limit := s.o.StopTimeout/3, s.o.StopTimeout
	if !s.ready {
		again, limit = min(again, againStarting), min(limit, killStarting)
	}
	s.mu.Unlock()
	for _, patience := range []time.Duration{again, limit - again} {
		select {
		case <-s.exited:
			return
		default:
		}
		syscall.Kill(s.root.PID, syscall.SIGTERM) // not yet waited for, so the number is still its own
		r.Signals = append(r.Signals, "SIGTERM")
		select {
		case <-s.exited:
			return
		case <-ctx.Done():
			return
		case <-time.After(patience):
		}
	}
}

// killRest ends with force what still runs. Children that outlive a server which ended by itself get a moment first.
func (s *Server) killRest(r *lab.Stop) {
	select {
	case <-s.exited:
		until(childrenTime, func() bool { return len(s.left()) == 0 })
		for _, p := range s.left() {
			r.Leftovers = append(r.Leftovers, fmt.Sprintf("%s outlived the server: killed", p))
		}
	default:
	}
	left := s.left()
	if len(left) == 0 {
		return
	}
	r.Signals = append(r.Signals, "SIGKILL to the group")
	if !until(killedTime, func() bool { return killAll(s.root.PID, s.left()) }) {
		for _, p := range s.left() {
			r.Leftovers = append(r.Leftovers, fmt.Sprintf("%s does not die", p))
		}
	}
	select {
	case <-s.exited:
	case <-time.After(time.Second):
	}
}

// killAll sends SIGKILL to the group and to those who left it; true if nobody was there to get it.
func killAll(group int, members []process) bool {
	for _, p := range members {
		if p.group == group {
			syscall.Kill(-group, syscall.SIGKILL)
		}
		if p.same() {
			syscall.Kill(p.PID, syscall.SIGKILL)
		}
	}
	return len(members) == 0
}

// left lists who still runs: the server's family now, and everyone who was ever seen in it. A member that made itself
// independent has lost every tie but its pid and start time.
func (s *Server) left() []process {
	now := s.look()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.members {
		if !slices.ContainsFunc(now, func(q process) bool { return q.PID == p.PID && q.Start == p.Start }) && p.same() {
			now = append(now, p)
		}
	}
	return now
}

// sharedMemory lists what the server's processes use in /dev/shm; asked before they die.
func (s *Server) sharedMemory() map[uint64]bool {
	used := map[uint64]bool{}
	for _, p := range s.look() {
		for _, inode := range p.sharedMemory() {
			used[inode] = true
		}
	}
	return used
}

// listenerLeft names who listens on the port after all, or "".
func (s *Server) listenerLeft() string {
	if until(time.Second, func() bool { return len(listeners(s.launch.Port)) == 0 }) {
		return ""
	}
	return holder(s.launch.Port)
}

// until polls for a condition, and says whether it came true in time.
func until(patience time.Duration, done func() bool) bool {
	for end := time.Now().Add(patience); ; time.Sleep(pollPeriod) {
		if done() {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}
