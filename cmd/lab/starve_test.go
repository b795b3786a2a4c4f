package main

import (
	"os"
	"runtime"
	"strconv"
	"syscall"
	"unsafe"

	"github.com/rogpeppe/go-internal/testscript"
)

// burn keeps a core busy until it is killed.
func burn() {
	for {
	}
}

// starved CODE COMMAND... runs a command on one core that it shares with 15 programs which do nothing but use it, and wants
// its exit code: a sixteenth of a core is less than any load takes that keeps a client busy for a quarter of one.
func starved(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: starved CODE COMMAND [ARG...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	runtime.LockOSThread() // what it starts inherits its cores
	defer runtime.UnlockOSThread()
	all, err := affinity(syscall.SYS_SCHED_GETAFFINITY, cores{})
	ts.Check(err)
	_, err = affinity(syscall.SYS_SCHED_SETAFFINITY, all.last())
	ts.Check(err)
	defer affinity(syscall.SYS_SCHED_SETAFFINITY, all)
	for range 15 {
		cmd := scriptCommand(ts, []string{"burn"})
		ts.Check(cmd.Start())
		defer func() {
			_ = cmd.Process.Signal(syscall.SIGKILL)
			_ = cmd.Wait()
		}()
	}
	if got := exitCodeOf(ts, args[1:]); got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// cores is a set of them, as the kernel writes it.
type cores [16]uint64

// last is the set of the highest one alone.
func (c cores) last() cores {
	for i := len(c) - 1; i >= 0; i-- {
		for bit := 63; bit >= 0; bit-- {
			if c[i]&(1<<bit) != 0 {
				var one cores
				one[i] = 1 << bit
				return one
			}
		}
	}
	return c
}

// affinity reads or sets the cores of this thread.
func affinity(call uintptr, c cores) (cores, error) {
	if _, _, errno := syscall.RawSyscall(call, 0, unsafe.Sizeof(c), uintptr(unsafe.Pointer(&c))); errno != 0 {
		return c, os.NewSyscallError("affinity", errno)
	}
	return c, nil
}
