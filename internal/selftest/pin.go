package selftest

import (
	"fmt"
	"math/bits"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"unsafe"
)

// cpuSet is a thread's affinity mask, as the kernel lays it out for up to 1024 cores.
type cpuSet [16]uint64

// affinity is that of a thread; 0: the calling one.
func affinity(thread int) (cpuSet, error) {
	var set cpuSet
	_, _, errno := syscall.Syscall(syscall.SYS_SCHED_GETAFFINITY, uintptr(thread), unsafe.Sizeof(set), uintptr(unsafe.Pointer(&set)))
	if errno != 0 {
		return set, os.NewSyscallError("sched_getaffinity", errno)
	}
	return set, nil
}

// stay keeps the calling thread on the cores of a set.
func (s cpuSet) stay() error {
	_, _, errno := syscall.Syscall(syscall.SYS_SCHED_SETAFFINITY, 0, unsafe.Sizeof(s), uintptr(unsafe.Pointer(&s)))
	if errno != 0 {
		return os.NewSyscallError("sched_setaffinity", errno)
	}
	return nil
}

func (s cpuSet) cores() []int {
	var all []int
	for i, word := range s {
		for ; word != 0; word &= word - 1 {
			all = append(all, i*64+bits.TrailingZeros64(word))
		}
	}
	return all
}

// places are the cores of the two sides.
type places struct {
	server, client int // -1: wherever the kernel puts it
	note           string
}

// choosePlaces gives the server one core and the client another.
func choosePlaces() places {
	unpinned := places{server: -1, client: -1}
	set, err := affinity(0)
	if err != nil {
		unpinned.note = notPinned(err)
		return unpinned
	}
	cores := set.cores()
	if len(cores) < 2 {
		unpinned.note = "there is one core only: server and client take turns on it, and each is late because of the other"
		return unpinned
	}
	p := places{server: cores[0], client: cores[1]}
	for _, core := range cores[:2] {
		if err := onCore(core, func() error { return nil }); err != nil {
			unpinned.note = notPinned(err)
			return unpinned
		}
	}
	p.note = fmt.Sprintf("truth server on core %d, each client in turn on core %d, with all its processes", p.server, p.client)
	return p
}

func notPinned(err error) string {
	return fmt.Sprintf("nothing is pinned to a core (%v): server and client disturb each other", err)
}

// startOn starts a command on one core. A child inherits the affinity of the thread that made it, so it is there from its
// first instruction on, and its runtime sees one processor.
func startOn(core int, cmd *exec.Cmd) error {
	if core < 0 {
		return cmd.Start()
	}
	return onCore(core, cmd.Start)
}

// onCore calls f on a thread that stays on one core meanwhile.
func onCore(core int, f func() error) error {
	runtime.LockOSThread()
	before, err := affinity(0)
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	var one cpuSet
	one[core/64] = 1 << (core % 64)
	if err := one.stay(); err != nil {
		runtime.UnlockOSThread()
		return err
	}
	err = f()
	if before.stay() == nil { // else the thread ends with its goroutine: nothing else may run on it
		runtime.UnlockOSThread()
	}
	return err
}
