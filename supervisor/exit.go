package supervisor

import (
	"fmt"
	"syscall"
)

// Exit is how a process ended, as far as it has.
type Exit struct {
	Code   int
	Signal syscall.Signal
	Exited bool
}

// String is "exit code 1", "killed by signal 9", or empty while the process lives.
func (e Exit) String() string {
	switch {
	case !e.Exited:
		return ""
	case e.Signal != 0:
		return fmt.Sprintf("killed by signal %d", int(e.Signal))
	}
	return fmt.Sprintf("exit code %d", e.Code)
}

func exitOf(status syscall.WaitStatus) Exit {
	if status.Signaled() {
		return Exit{Signal: status.Signal(), Exited: true}
	}
	return Exit{Code: status.ExitStatus(), Exited: true}
}
